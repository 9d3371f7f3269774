"""How many masters the inventory plans.

Source: kubeadm, "Options for Highly Available Topology"; etcd's FAQ, "Why an odd number of
cluster members?"
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.fact import ClusterReadings, Probe, Source
from hale.inventory import Host
from hale.requirement import Case


class Parameters(Struct, frozen=True):
    """The accepted numbers of masters."""

    accepted: tuple[int, ...]


class Inventory(Struct, frozen=True):
    """The planned masters, in the inventory's order."""

    names: tuple[str, ...]
    sources: tuple[Source, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def actual(self) -> str:
        if not self.names:
            return "the inventory names no master: its group [masters] is empty or missing"
        word = "master" if self.count == 1 else "masters"
        return f"the inventory names {self.count} {word}: {', '.join(self.names)}"


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """Nothing is read on the hosts."""
    return ()


def inventory(readings: ClusterReadings, case: Case[Parameters]) -> Inventory:
    """What the inventory plans, whatever the hosts are."""
    planned = case.inventory.masters
    return Inventory(
        tuple(host.name for host in planned),
        tuple(Source(str(host.where.file), host.where.line, host.name) for host in planned),
    )
