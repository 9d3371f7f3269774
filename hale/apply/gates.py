"""Which hosts may be changed when: a living cluster is changed one control-plane node at a time.

A host that has joined no cluster has no gate. Control-plane hosts of a living one are changed
after all others, the VIP's owner last. Before and after each, every requirement that guards a
change (`guards = ["change"]` in standard/: apiserver, VIP, etcd's members) must pass at runtime,
judged by the same checks as an audit; with a standard that has no such requirement, none of them
is changed. A change that interrupts something needs a quorum of etcd without this member: three
members or more, all of them healthy.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hale.model.change import Impact
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.plan.plan import HostPlan
from hale.polling import wait_until

QUORUM = 3  # members that tolerate the loss of one: etcd's FAQ, "What is failure tolerance?"
# Seconds for a cluster to be healthy again after a host, and between two audits.
HEALTH_TIMEOUT, POLL_INTERVAL = 300.0, 5.0
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


class GateClosed(Exception):
    """The host must not be changed now; the text says why."""


def batches(hosts: Sequence[str], membership: Mapping[str, NodeStatus]) -> list[list[str]]:
    """The batches of hosts, in order; those of a batch may be changed in parallel."""
    alone = [h for h in hosts if membership[h].control_plane]
    alone.sort(key=lambda h: membership[h].holds_vip)
    together = [h for h in hosts if h not in alone]
    return [*([together] if together else []), *([h] for h in alone)]


def unhealthy(rows: Iterable[Result], guards: Collection[str]) -> list[str]:
    """Why the cluster is not healthy, by the ids of the requirements that guard it.

    Without a guard nothing can be known, so the cluster does not count as healthy.
    """
    if not guards:
        return ["no requirement in standard/ guards it (`guards`), so its health is unknown"]
    return [
        f"{r.requirement} on {r.host}: {r.verdict.value}, {r.actual}"
        for r in rows
        if r.requirement in guards
        and r.aspect == "runtime"
        and r.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
    ]


def check_may_change(host: HostPlan, masters: int, problems: Sequence[str]) -> None:
    """Raises GateClosed where this control-plane host must not be changed now.

    problems: what `unhealthy` found.
    """
    if problems:
        raise GateClosed(
            f"the cluster is unhealthy, so no control-plane node is changed: {problems[0]}"
        )
    risky = [s for s in host.steps if any(e in INTERRUPTS for e in s.change.effects)]
    if risky and masters < QUORUM:
        raise GateClosed(
            f"{', '.join(risky[0].requirements)} interrupts this host, and with {masters} "
            f"control-plane node(s) etcd would lose quorum: do it manually in a maintenance window"
        )


def wait_until_healthy(
    check: Callable[[], Sequence[str]],
    give_up: Callable[[], bool],
    timeout: float = HEALTH_TIMEOUT,
    interval: float = POLL_INTERVAL,
) -> None:
    """Wait until the cluster is healthy. Raises GateClosed after `timeout` seconds.

    check: what `unhealthy` finds now.
    """
    if problems := wait_until(check, timeout, interval, give_up):
        raise GateClosed(f"the cluster is still unhealthy after {timeout:g} s: {problems[0]}")
