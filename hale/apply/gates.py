"""Which hosts may be changed when: a living cluster is changed batch by batch.

A host that has joined no cluster has no gate; all of them are one batch, the first. Then come the
workers of a living cluster: one, and after it batches of a size that the operator chooses, as
Ansible's `serial: [1, "10%"]`. Each must be as healthy afterwards as it was before
(hale/apply/worker_gate.py). Control-plane hosts are changed last, each alone, the VIP's owner after
the others. Before and after each, every requirement that guards a
change (`guards = ["change"]` in standard/: apiserver, VIP, etcd's members) must pass at runtime,
judged by the same checks as an audit, except for those of the host itself and those that the change
is for (`closing`); with a standard that has no such requirement, none of them is changed. A change
that interrupts something needs a quorum of etcd without this member: three members or more.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from hale.inventory.ini import Inventory
from hale.model.change import Impact
from hale.model.errors import UserError
from hale.model.requirement import Guard, Profile, Role
from hale.model.results import Result
from hale.plan.plan import HostPlan, Step
from hale.polling import wait_until
from hale.report.audits import audit
from hale.report.text import fold_hostnames
from hale.ssh import SessionPool
from hale.standard.loader import Standard

QUORUM = 3  # members that tolerate the loss of one: etcd's FAQ, "What is failure tolerance?"
# Seconds for a cluster to be healthy again after a host, and between two audits.
HEALTH_TIMEOUT, POLL_INTERVAL = 300.0, 5.0
# Seconds for pods that an earlier drain has evicted to be ready elsewhere.
SETTLE_TIMEOUT = 120.0
NAMED = 3  # problems in one message
CLUSTER = "cluster"  # in results: the host of what is read from several hosts
INTERRUPTS = (Impact.RESTARTS_SERVICE, Impact.DISRUPTS_TRAFFIC, Impact.NEEDS_REBOOT)


@dataclass(frozen=True)
class NodeStatus:
    """A host's place in its cluster. joined: the file that proves it, or why it is unknown."""

    master: bool
    joined: str
    holds_vip: bool = False

    @property
    def control_plane(self) -> bool:
        """Whether it is part of a living control plane."""
        return self.master and bool(self.joined)

    @property
    def worker(self) -> bool:
        """Whether it is a worker of a living cluster."""
        return not self.master and bool(self.joined)


class BatchSize(NamedTuple):
    """How many workers of a living cluster are changed at the same time, after the first one.

    A percentage is of the workers that the plan changes, rounded down, as of Ansible's `serial`.
    """

    number: int = 10
    percent: bool = True

    @classmethod
    def parse(cls, typed: str) -> Self:
        """The size that `--batch` names. Raises UserError."""
        found = re.fullmatch(r"([1-9]\d*)(%?)", typed)
        if found is None or (found[2] and int(found[1]) > 100):
            raise UserError(
                f"--batch: {typed!r} is neither a number of workers nor a percentage like 10%."
            )
        return cls(int(found[1]), bool(found[2]))

    def of(self, workers: int) -> int:
        """The number of workers, at least 1."""
        return max(1, workers * self.number // 100) if self.percent else self.number


class GateClosed(Exception):
    """The host must not be changed now; the text says why."""


TENTH = BatchSize()


def batches(
    hosts: Sequence[str], membership: Mapping[str, NodeStatus], size: BatchSize = TENTH
) -> list[list[str]]:
    """The batches of hosts, in order; those of a batch may be changed in parallel."""
    alone = [h for h in hosts if membership[h].control_plane]
    alone.sort(key=lambda h: membership[h].holds_vip)
    workers = [h for h in hosts if membership[h].worker]
    bare = [h for h in hosts if not membership[h].joined]
    step = size.of(len(workers))
    rest = [workers[n : n + step] for n in range(1, len(workers), step)]
    return [b for b in (bare, workers[:1], *rest, *([h] for h in alone)) if b]


def interrupting(host: HostPlan) -> list[Step]:
    """The steps that restart or interrupt something on the host."""
    return [s for s in host.steps if any(e in INTERRUPTS for e in s.change.effects)]


def render_batches(
    hosts: Iterable[HostPlan],
    membership: Mapping[str, NodeStatus],
    size: BatchSize,
    *,
    drain: bool,
) -> Iterable[str]:
    """The batches of a plan as text; nothing where it changes no host of a living cluster."""
    changed = {h.host: h for h in hosts if h.steps}
    if not any(membership[h].joined for h in changed):
        return
    yield "── batches, one after the other"
    for number, batch in enumerate(batches(list(changed), membership, size), 1):
        status = membership[batch[0]]
        place = "in no cluster"
        if status.joined:
            place = "control plane" if status.master else "workers"
        drained = [h for h in batch if drain and membership[h].worker and interrupting(changed[h])]
        note = f"; cordoned and drained: {fold_hostnames(drained)}" if drained else ""
        yield f"   {number}. {place}: {fold_hostnames(batch)}{note}"


def unhealthy(rows: Iterable[Result], guards: Collection[str]) -> list[str]:
    """Why the cluster is not healthy, by the ids of the requirements that guard it.

    Without a guard nothing can be known, so the cluster does not count as healthy.
    """
    if not guards:
        return ["no requirement in standard/ guards it (`guards`), so its health is unknown"]
    return [
        f"{r.requirement} on {r.host}: {r.verdict.value}, {r.actual}"
        for r in rows
        if r.requirement in guards and r.aspect == "runtime" and r.verdict.failed
    ]


def subject_of(problem: str) -> str:
    """What is unhealthy, without its present state: `CMP-KUBELET on w1`."""
    return problem.partition(": ")[0]


def requirement_of(problem: str) -> str:
    """The id of the requirement that is not met: `CMP-KUBELET`."""
    return subject_of(problem).partition(" on ")[0]


def naming(problems: Sequence[str]) -> str:
    """The first NAMED problems in one line, those of the cluster itself before those of a host."""
    first = sorted(problems, key=lambda p: not subject_of(p).endswith(f" on {CLUSTER}"))
    more = [f"and {len(first) - NAMED} more"] if len(first) > NAMED else []
    return "; ".join([*first[:NAMED], *more])


def closing(problems: Iterable[str], host: str, remediated: Collection[str] = ()) -> list[str]:
    """Those of the problems that keep this control-plane host from being changed.

    Its own do not: a change there makes them no worse, and may be what remediates them. Nor do
    those of requirements that the change is for (`remediated`), such as the VIP while every haproxy
    is stopped. What is read from several hosts, such as etcd's members, is no host's own.
    """

    def closes(problem: str) -> bool:
        where = subject_of(problem).partition(" on ")[2]
        return where != host and requirement_of(problem) not in remediated

    return [problem for problem in problems if closes(problem)]


def settling_after_drain(standard: Standard) -> frozenset[str]:
    """The requirements that guard a change and fail until evicted pods are ready on other hosts.

    They are those of the cluster that are read from workers too.
    """
    return frozenset(
        r.id
        for r in standard.guarding(Guard.CHANGE)
        if r.role is Role.CLUSTER and r.reads is Role.ALL
    )


def awaited_after(host: str, remediated: Collection[str], *, last: bool) -> set[str]:
    """What all changes of a control-plane host must have remediated there, as `subject_of` has it.

    last: no other control-plane host is changed after it, so what is no host's own is awaited too.
    """
    where = (host, CLUSTER) if last else (host,)
    return {f"{requirement} on {name}" for requirement in remediated for name in where}


@contextmanager
def changing_master(
    host: str,
    masters: int,
    check: Callable[[], Sequence[str]],
    give_up: Callable[[], bool],
    *,
    interrupts: str = "",
    remediated: Collection[str] = (),
    awaited: Collection[str] = (),
    settling: Collection[str] = (),
) -> Iterator[None]:
    """Around the change of a control-plane host: the rule of `fix`, `undo` and `install`.

    masters: the number of control-plane nodes. check: what `unhealthy` finds on them now.
    interrupts: what of the change interrupts something, empty for nothing. remediated: the
    requirements that it is for. awaited: what must be healthy after it even if it was not before
    (`awaited_after`). settling: the requirements that fail for a moment after a drain
    (`settling_after_drain`); where only these fail at first, it waits up to SETTLE_TIMEOUT. Raises
    GateClosed where the change must not be begun, or where something is unhealthy after it that was
    healthy before or is awaited.
    """
    before = check()

    def unsettled() -> bool:
        nonlocal before
        before = check()
        return bool(closing(before, host, remediated))

    problems = closing(before, host, remediated)
    if problems and {requirement_of(p) for p in problems} <= set(settling):
        wait_until(unsettled, SETTLE_TIMEOUT, POLL_INTERVAL, give_up)
        problems = closing(before, host, remediated)
    if problems:
        raise GateClosed(
            f"the cluster is unhealthy, so no control-plane node is changed: {naming(problems)}"
        )
    if interrupts and masters < QUORUM:
        raise GateClosed(
            f"{interrupts} interrupts this host, and with {masters} control-plane node(s) etcd "
            "would lose quorum: do it manually in a maintenance window"
        )
    yield
    known = {subject_of(p) for p in before}.difference(awaited)
    wait_until_healthy(lambda: [p for p in check() if subject_of(p) not in known], give_up)


def wait_until_healthy(
    check: Callable[[], Sequence[str]],
    give_up: Callable[[], bool],
    timeout: float = HEALTH_TIMEOUT,
    interval: float = POLL_INTERVAL,
    what: str = "the cluster",
) -> None:
    """Wait until the cluster, or what else, is healthy. Raises GateClosed after `timeout` seconds.

    check: what `unhealthy` finds now. give_up: whether the operator has stopped the run.
    """
    if problems := wait_until(check, timeout, interval, give_up):
        if give_up():
            raise GateClosed(f"stopped while {what} was still unhealthy: {naming(problems)}")
        raise GateClosed(f"{what} is still unhealthy after {timeout:g} s: {naming(problems)}")


def health_problems(
    inventory: Inventory,
    standard: Standard,
    shared: SessionPool,
    hosts: Sequence[str],
    requirements: Collection[str] = (),
) -> list[str]:
    """Why the cluster or a node is not healthy, by an audit of these hosts.

    requirements: their ids; empty for those that guard a change. With all masters among the hosts,
    one that is read from workers too is judged by what the masters answer: a worker that is down
    must not keep a master from being changed. It uses sessions of its own: the shared ones may be
    busy or lost during a change.
    """
    ids = set(requirements) or {r.id for r in standard.guarding(Guard.CHANGE)}
    if not ids:
        return unhealthy((), ids)
    with (
        tempfile.TemporaryDirectory(prefix="hale-") as folder,
        SessionPool(shared.targets) as sessions,
    ):
        found = audit(
            Path(folder),
            inventory,
            standard,
            Profile.BASELINE,
            ",".join(hosts),
            ids,
            sessions=sessions,
            masters_suffice=True,
        )
        return unhealthy(found.results.results, ids)
