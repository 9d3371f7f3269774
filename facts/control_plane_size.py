"""The number of masters that the inventory plans.

Source: kubeadm, "Options for Highly Available Topology"; etcd's FAQ, "Why an odd number of
cluster members?"
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, ConfigLine, Probe
from hale.model.requirement import Case


class ControlPlaneSizeParameters(Struct, frozen=True):
    """The accepted numbers of masters."""

    accepted: tuple[int, ...]


class ControlPlaneSizeInventory(Struct, frozen=True):
    """The planned masters, in the inventory's order."""

    names: tuple[str, ...]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def count(self) -> int:
        """The number of masters."""
        return len(self.names)

    @property
    def actual(self) -> str:
        if not self.names:
            return "the inventory names no master: its group [masters] is empty or missing"
        word = "master" if self.count == 1 else "masters"
        return f"the inventory names {self.count} {word}: {', '.join(self.names)}"


def probes(host: Host, cases: Sequence[Case[ControlPlaneSizeParameters]]) -> tuple[Probe, ...]:
    """No probe: nothing is read from hosts."""
    return ()


def read_inventory(
    readings: ClusterView, case: Case[ControlPlaneSizeParameters]
) -> ControlPlaneSizeInventory:
    """The planned masters, whatever the state of the hosts."""
    planned = case.inventory.masters
    return ControlPlaneSizeInventory(
        tuple(host.name for host in planned),
        tuple(ConfigLine(str(host.where.file), host.where.line, host.name) for host in planned),
    )
