"""What a join reads of two clusters, and what it refuses. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from ipaddress import ip_address
from itertools import product

from msgspec import Struct

from hale.inventory.cluster_spec import Address, Network
from hale.inventory.ini import Inventory
from hale.model.address import url_host
from hale.model.errors import UserError


class MemberObject(Struct, frozen=True):
    """A Cluster object of Karmada's. uid: of the cluster's namespace kube-system."""

    name: str
    uid: str


class FederationHost(Struct, frozen=True):
    """The cluster with the control plane. uid: as of a member. placed: workloads, by the member's
    name."""

    uid: str
    members: tuple[MemberObject, ...]
    pods: tuple[str, ...]
    placed: Mapping[str, tuple[str, ...]] = {}


class FederationMember(Struct, frozen=True):
    """The cluster that joins or leaves. pods: addresses of CoreDNS's; account: the uid of
    the host for which a join has made accounts there, empty if another program has; None without.
    """

    uid: str
    pods: tuple[str, ...]
    account: str | None


class RefusalKind(Enum):
    """Why a cluster cannot join, or leave."""

    OVERLAP = auto()
    NO_POD_RANGE = auto()
    NAME_TAKEN = auto()
    JOINED_ALREADY = auto()
    ACCOUNT_THERE = auto()
    NO_DNS_POD = auto()
    NO_ROUTE = auto()
    NO_APISERVER = auto()
    NO_MEMBER = auto()
    ANOTHER_CLUSTER = auto()


class Refusal(Struct, frozen=True):
    """A reason. host: where it was found, empty for both clusters. about: ranges, names."""

    kind: RefusalKind
    about: tuple[str, ...]
    host: str = ""

    def __str__(self) -> str:
        text = _TEXTS[self.kind].format(*self.about)
        return f"{self.host}: {text}" if self.host else text


_TEXTS = {
    RefusalKind.OVERLAP: "{0} of {1} overlaps {2} of {3}: the clusters need ranges of their own",
    RefusalKind.NO_POD_RANGE: "{0} has no pod_cidr: whether pods' ranges overlap is not known",
    RefusalKind.NAME_TAKEN: "a member {0} has joined already, and is another cluster: --name NAME",
    RefusalKind.JOINED_ALREADY: "this cluster has joined already, as {0}",
    RefusalKind.ACCOUNT_THERE: "it has the ServiceAccount of another federation's Karmada, {0}",
    RefusalKind.NO_DNS_POD: "{0} has no running pod of CoreDNS, by which routes are checked",
    RefusalKind.NO_ROUTE: "no connection to the pod {0} of {1}: the site's routers, or routes "
    "of the hosts, must lead {2} to the nodes of {1}",
    RefusalKind.NO_APISERVER: "no connection to {0}, the apiserver of {1}, which Karmada's "
    "controllers need",
    RefusalKind.NO_MEMBER: "there is no member {0}: known are {1}",
    RefusalKind.ANOTHER_CLUSTER: "the member {0} is another cluster than the inventory's",
}


def parse_host(text: str) -> FederationHost:
    """What read_host.sh printed. Raises UserError."""
    lines = _lines(text)
    placed: dict[str, list[str]] = {}
    for _, name, workload in (line for line in lines if line[0] == "placed"):
        placed.setdefault(name, []).append(workload)
    return FederationHost(
        _uid(lines),
        tuple(MemberObject(name, uid.strip("-")) for tag, name, uid in _of(lines, "member", 3)),
        tuple(address for _, address in _of(lines, "pod", 2)),
        {name: tuple(sorted(found)) for name, found in placed.items()},
    )


def parse_member(text: str) -> FederationMember:
    """What read_member.sh printed. Raises UserError."""
    lines = _lines(text)
    pods = tuple(address for _, address in _of(lines, "pod", 2))
    accounts = [made.removesuffix("-") for _, made in _of(lines, "account", 2)]
    return FederationMember(_uid(lines), pods, accounts[0] if accounts else None)


def _uid(lines: Sequence[Sequence[str]]) -> str:
    found = [uid for _, uid in _of(lines, "uid", 2)]
    if len(found) != 1:
        raise UserError("nothing was changed: a host's answer is garbled: no identity.")
    return found[0]


def _lines(text: str) -> list[list[str]]:
    lines = [line.split() for line in text.splitlines() if line]
    if not lines or lines[-1] != ["end"]:
        raise UserError("nothing was changed: a host's answer is truncated.")
    return lines


def _of(lines: Sequence[Sequence[str]], tag: str, words: int) -> Iterator[Sequence[str]]:
    for line in lines:
        if line[0] == tag:
            if len(line) != words:
                raise UserError(f"nothing was changed: a host's answer is garbled: {line}.")
            yield line


def range_refusals(first: Inventory, second: Inventory) -> Iterator[Refusal]:
    """Ranges of two clusters that overlap, and hosts' addresses in ranges of the other."""
    for inventory in (first, second):
        if inventory.cluster.pod_cidr is None:
            yield Refusal(RefusalKind.NO_POD_RANGE, (inventory.cluster.name,))
    for (kind, one), (there, two) in product(_ranges(first), _ranges(second)):
        if one.version == two.version and one.overlaps(two):
            names = first.cluster.name, second.cluster.name
            about = f"{kind} {one}", names[0], f"{there} {two}", names[1]
            yield Refusal(RefusalKind.OVERLAP, about)
    for one_side, other_side in ((first, second), (second, first)):
        for kind, found in _ranges(one_side):
            for host in other_side.hosts:
                if (address := _address(host.address)) and address in found:
                    place = f"the address {address}", host.name
                    yield Refusal(
                        RefusalKind.OVERLAP, (f"{kind} {found}", one_side.cluster.name, *place)
                    )


def _ranges(inventory: Inventory) -> Iterator[tuple[str, Network]]:
    cluster = inventory.cluster
    if cluster.pod_cidr is not None:
        yield "pod_cidr", cluster.pod_cidr
    yield "service_cidr", cluster.service_cidr


def _address(text: str | None) -> Address | None:
    try:
        return ip_address(text or "")
    except ValueError:
        return None  # a name


def join_refusals(
    name: str, first: Inventory, second: Inventory, host: FederationHost, member: FederationMember
) -> Iterator[Refusal]:
    """Why this cluster cannot join under that name."""
    for known in host.members:
        if known.uid == member.uid:
            yield Refusal(RefusalKind.JOINED_ALREADY, (known.name,))
        elif known.name == name:
            yield Refusal(RefusalKind.NAME_TAKEN, (name,))
    if member.account not in (None, host.uid):
        yield Refusal(RefusalKind.ACCOUNT_THERE, ("karmada-cluster",))
    for one, state in ((first, host), (second, member)):
        if not state.pods:
            yield Refusal(RefusalKind.NO_DNS_POD, (one.cluster.name,))


def leave_refusals(name: str, host: FederationHost, member: FederationMember) -> Iterator[Refusal]:
    """Why no member of that name can leave."""
    found = [known for known in host.members if known.name == name]
    if not found and member.account == host.uid:
        return  # what an interrupted join or leave has not removed
    if not found:
        names = " ".join(known.name for known in host.members) or "none"
        yield Refusal(RefusalKind.NO_MEMBER, (name, names))
    elif found[0].uid != member.uid:
        yield Refusal(RefusalKind.ANOTHER_CLUSTER, (name,))


def reach_refusals(
    output: str, where: str, other: Inventory, endpoint: str = ""
) -> Iterator[Refusal]:
    """What reach.sh printed on a host: `reached ADDRESS` or `lost ADDRESS`, for each."""
    cluster = other.cluster
    for _, address in _of(_lines(output), "lost", 2):
        if address == endpoint:
            yield Refusal(RefusalKind.NO_APISERVER, (address, cluster.name), where)
        else:
            about = (address, cluster.name, str(cluster.pod_cidr))
            yield Refusal(RefusalKind.NO_ROUTE, about, where)


def endpoint_of(inventory: Inventory) -> str:
    """The control-plane endpoint's address and port, which need no name server."""
    return f"{url_host(inventory.endpoint.vip)}:{inventory.endpoint.port}"
