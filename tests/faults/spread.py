"""Faults that any host can have, spread over the lab's hosts: of each only one is proven at a time.

Which host a fault gets depends on its name alone, so that a new one moves no other. A host of which
the table has few faults gets more of these, since batches are as many as the faults of one host.
"""

from dataclasses import replace
from functools import cache
from zlib import crc32

from hale.model.requirement import Role
from hale.paths import ROOT
from hale.standard import loader
from lab.faults.fault import HostFault
from lab.topology import HOSTS, HostSpec
from tests.faults.batches import is_own

CROWDED = next(host for host in HOSTS if host.name == "k8s-node-01")
CLUSTER_FILES = "/etc/kubernetes"
# How many of twelve faults a host gets.
SHARES = {"k8s-master-02": 3, "k8s-master-03": 4, "k8s-node-01": 4, "k8s-node-02": 1}
HOSTS_OF_FAULTS = [host for host in HOSTS for _ in range(SHARES.get(host.name, 0))]


def spread(fault: HostFault) -> HostFault:
    """The fault on the host of its name, if it is on the crowded one and any host can have it."""
    if not (fault.host == CROWDED.name and is_own(fault) and is_portable(fault, CROWDED)):
        return fault
    host = HOSTS_OF_FAULTS[crc32(fault.name.encode()) % len(HOSTS_OF_FAULTS)]
    return replace(fault, host=host.name)


def is_portable(fault: HostFault, host: HostSpec) -> bool:
    """Whether it names neither the host nor its address, turns rows of subjects of which all hosts
    have the same, and leaves alone what a master has of a cluster.
    """
    reasons = [turn.reason for turn in fault.turns.values()]
    words = " ".join([fault.inject, fault.undo, *fault.files, *reasons])
    alike = _alike()
    everywhere = all(row.requirement in alike for row in fault.rows)
    return everywhere and not any(w in words for w in (host.name, str(host.address), CLUSTER_FILES))


@cache
def _alike() -> frozenset[str]:
    """The requirements of subjects that have none for masters or workers alone."""
    stated = loader.load_standard(ROOT / "standard").requirements
    apart = {r.subject for r in stated if r.role in (Role.MASTERS, Role.WORKERS)}
    return frozenset(r.id for r in stated if r.subject not in apart and r.role is Role.ALL)
