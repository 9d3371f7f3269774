"""The faults that are injected on real hosts of the lab, in the order of docs/proofs.md."""

from lab.faults import (
    boot_chain,
    boot_scripts,
    boots,
    cluster,
    disk_space,
    firewalls,
    hosts,
    kernel,
    limits,
    network,
    security,
    services,
    swap,
    time_sync,
    unusual_places,
)
from lab.faults.fault import HostFault

FAULTS: tuple[HostFault, ...] = (
    *cluster.FAULTS,
    *hosts.FAULTS,
    *network.FAULTS,
    *security.FAULTS,
    *firewalls.FAULTS,
    *swap.FAULTS,
    *kernel.FAULTS,
    *limits.FAULTS,
    *services.FAULTS,
    *time_sync.FAULTS,
    *disk_space.FAULTS,
    *boots.FAULTS,
    *boot_scripts.FAULTS,
    *boot_chain.FAULTS,
    *unusual_places.FAULTS,
)
