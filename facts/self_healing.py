"""Whether a Deployment recovers its replicas when a node dies: measured by a drill, not an audit.

An audit only reads, and nothing that can be read shows how a cluster reacts to a lost node.

Source: kubernetes.io, "Kubernetes Self-Healing", "Taints and Tolerations" (eviction), "Nodes"
(--node-monitor-grace-period).
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.drill import FaultKind, Measurement
from hale.model.evidence import ConfigLine, Probe, Unreadable
from hale.model.requirement import Case

DRILLS = (FaultKind.WORKER, FaultKind.MASTER)


class SelfHealingParameters(Struct, frozen=True):
    """The seconds after a node's loss within which all replicas must be ready on other nodes."""

    heal_seconds: float


class Healed(Struct, frozen=True):
    """A host that was lost, and the seconds until all replicas were ready without it; None if
    they never were."""

    host: str
    replicas: int
    seconds: float | None

    def __str__(self) -> str:
        when = "were not all ready" if self.seconds is None else f"were ready {self.seconds:.1f} s"
        return f"{self.replicas} replicas {when} after {self.host} was lost"


class SelfHealingDrill(Struct, frozen=True):
    """Each host that was lost with a replica on it."""

    healed: tuple[Healed, ...]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(map(str, self.healed))


def probes(host: Host, cases: Sequence[Case[SelfHealingParameters]]) -> tuple[Probe, ...]:
    """No probe: nothing is read."""
    return ()


def read_drill(
    measured: Sequence[Measurement], case: Case[SelfHealingParameters]
) -> SelfHealingDrill:
    """What this run's drills measured. Raises Unreadable where one of them proves nothing."""
    lost = [m for m in measured if m.kind in DRILLS]
    for one in lost:
        if one.reboots:
            raise Unreadable(
                f"{one.host} was only rebooted, and was back before the cluster considered it dead"
            )
        if not one.replicas or not one.had_replica:
            raise Unreadable(f"no replica was on {one.host} when it was lost")
    return SelfHealingDrill(
        tuple(Healed(m.host, m.replicas, m.replicas_recovered_at) for m in lost)
    )
