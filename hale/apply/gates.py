"""Who may be touched when: hosts of a living cluster go one at a time, and the cluster waits.

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

QUORUM = 3  # members that bear the loss of one: etcd's FAQ, "What is failure tolerance?"
# Seconds for a cluster to be whole again after a host, and between two looks.
PATIENCE, EVERY = 300.0, 5.0
INTERRUPTS = (Impact.RESTARTS_SERVICE, Impact.DISRUPTS_TRAFFIC, Impact.NEEDS_REBOOT)


@dataclass(frozen=True)
class NodeStatus:
    """What a host is in its cluster. joined: the file that shows it, or why it cannot be told."""

    master: bool
    joined: str
    holds_vip: bool = False

    @property
    def control_plane(self) -> bool:
        """Whether it carries a part of a living control plane."""
        return self.master and bool(self.joined)


class GateClosed(Exception):
    """The gate stays shut; says why."""


def batches(hosts: Sequence[str], standing: Mapping[str, NodeStatus]) -> list[list[str]]:
    """Hosts that may be changed at once, wave after wave."""
    alone = [h for h in hosts if standing[h].control_plane]
    alone.sort(key=lambda h: standing[h].holds_vip)
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


def check_may_change(host: HostPlan, masters: int, wrong: Sequence[str]) -> None:
    """Raises GateClosed where this control-plane host must not be changed now.

    wrong: what `unhealthy` found.
    """
    if wrong:
        raise GateClosed(f"the cluster is not whole, so no master of it is changed: {wrong[0]}")
    risky = [s for s in host.steps if any(e in INTERRUPTS for e in s.change.effects)]
    if risky and masters < QUORUM:
        raise GateClosed(
            f"{', '.join(risky[0].requirements)} interrupts this host, and {masters} master(s) "
            f"leave etcd without quorum meanwhile: do it in a maintenance window by hand"
        )


def wait_until_healthy(
    look: Callable[[], Sequence[str]],
    stopped: Callable[[], bool],
    patience: float = PATIENCE,
    every: float = EVERY,
) -> None:
    """Wait until the cluster is whole. Raises GateClosed after `patience` seconds.

    look: what `unhealthy` finds now.
    """
    if wrong := wait_until(look, patience, every, stopped):
        raise GateClosed(f"the cluster is not whole again after {patience:g} s: {wrong[0]}")
