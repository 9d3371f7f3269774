"""The baseline's hosts and addresses, and the names of everything a lab creates.

Everything that a lab creates on the machine has `hale.<lab>.` or `hale-lab/<lab>/` in its name,
so that clean-up finds it without a state file. Lab names contain no dot, so `hale.dev.` is never
a prefix of another lab's names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab.errors import LabError

NETWORK = IPv4Network("10.208.1.0/24")
OPERATOR_ADDRESS = IPv4Address("10.208.1.1")
VIP = IPv4Address("10.208.1.190")
VIP_PORT = 16443

#: Addresses of pods and of Services in the lab's cluster.
POD_RANGE = IPv4Network("10.244.0.0/16")
SERVICE_RANGE = IPv4Network("10.96.0.0/12")

#: Those of a second cluster, which overlap none of the first one's: `invoke lab.up --second`.
SECOND_VIP = IPv4Address("10.208.1.210")
SECOND_POD_RANGE = IPv4Network("10.245.0.0/16")
SECOND_SERVICE_RANGE = IPv4Network("10.112.0.0/16")

#: Addresses that exist inside labs only; the machine itself must never send to them.
LAB_RANGES = (NETWORK, POD_RANGE, SERVICE_RANGE, SECOND_POD_RANGE, SECOND_SERVICE_RANGE)

#: Where labs keep their state; hosts' disks lie here, so it must be on a real disk.
STATE_ROOT = Path("/var/lib/hale-lab")

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def mac_of(address: IPv4Address) -> str:
    """A locally administered MAC made from the address."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in address.packed)


@dataclass(frozen=True)
class HostSpec:
    """One host of the baseline: its name, planned address and role (`masters` or `workers`)."""

    name: str
    address: IPv4Address
    role: str
    firewalld: bool = False

    @property
    def mac(self) -> str:
        """A locally administered MAC made from the address, so it survives a power cycle."""
        return mac_of(self.address)


HOSTS = (
    HostSpec("k8s-master-01", IPv4Address("10.208.1.191"), "masters"),
    HostSpec("k8s-master-02", IPv4Address("10.208.1.192"), "masters"),
    HostSpec("k8s-master-03", IPv4Address("10.208.1.195"), "masters"),
    HostSpec("k8s-node-01", IPv4Address("10.208.1.196"), "workers"),
    # One host with firewalld as Debian leaves it, so that FW-FIREWALLD has something to find.
    HostSpec("k8s-node-02", IPv4Address("10.208.1.198"), "workers", firewalld=True),
)

#: Hosts of a second cluster, which the baseline does not have: one of them, or all. Their cluster
#: has no worker, so pods run on its control-plane nodes.
SECOND_HOSTS = (
    HostSpec("k8s-b-master-01", IPv4Address("10.208.1.211"), "masters"),
    HostSpec("k8s-b-master-02", IPv4Address("10.208.1.212"), "masters"),
    HostSpec("k8s-b-master-03", IPv4Address("10.208.1.213"), "masters"),
)
KNOWN_HOSTS = (*HOSTS, *SECOND_HOSTS)


def pod_routes(host: HostSpec, hosts: Sequence[HostSpec]) -> dict[IPv4Network, IPv4Address]:
    """This host's way to the pods of the other cluster: their range and the next host.

    All packets between two clusters pass the first host of each, on the way back too: a host that
    forwards one direction alone knows no connection, and kube-proxy's rules drop what belongs to
    none.
    """
    second = [each for each in hosts if each in SECOND_HOSTS]
    first = [each for each in hosts if each not in SECOND_HOSTS]
    if not (first and second):
        return {}
    own, other = (second, first) if host in second else (first, second)
    there = POD_RANGE if other is first else SECOND_POD_RANGE
    return {there: (other if host == own[0] else own)[0].address}


def checked_name(name: str) -> str:
    """Return `name` if it can be a lab's name, else raise LabError saying what a name is."""
    if not _NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot be the name of a lab: use 1 to 32 of a-z, 0-9 and -, "
            "beginning and ending with a letter or digit"
        )
    return name


def name_prefix(lab: str) -> str:
    """The beginning of the names of a lab's network namespaces and machines."""
    return f"hale.{lab}."
