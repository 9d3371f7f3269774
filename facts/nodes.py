"""The cluster's Node objects, as each master's own apiserver lists them.

A node is known by its name, which is its host's in lower case. Masters that contradict each other
prove nothing: what all those that answer have in common counts. The API servers' own versions come
from each of them; in the midst of an upgrade they differ, and the oldest and the newest bound the
kubelets' versions.

Sources: kubernetes.io, "Nodes" (status, cordoning), "Version Skew Policy", "Receiving resources as
Tables"; facts/parsers/local_apiserver.py.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from facts.parsers import local_apiserver
from facts.parsers.combined import agreed, read_each
from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, CommandProbe, ConfigLine, HostView, Probe, Unreadable
from hale.model.requirement import Case

PATHS = {
    "nodes": "/api/v1/nodes?includeObject=None&pretty=false",
    "version": "/version?pretty=false",
}
SCRIPT = (
    f"{local_apiserver.SHELL}api nodes '{PATHS['nodes']}' -H '{local_apiserver.TABLE}'\n"
    f"api version '{PATHS['version']}'\n"
)
CORDONED = "SchedulingDisabled"
# A kubelet before this version may be older by this number of minor versions alone.
OLD_KUBELET, OLD_SKEW = (1, 25), 2


class NodesParameters(Struct, frozen=True):
    """The number of minor versions by which a kubelet may be older than an API server.

    cordoned: hosts that may be cordoned. others: nodes that no host of the inventory is.
    """

    minor_skew: int
    cordoned: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class NodesRuntime(Struct, frozen=True):
    """The kubelets' and the API servers' versions, the number of nodes, and the faults."""

    nodes: int
    kubelets: tuple[str, ...]
    servers: tuple[str, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        versions = (
            f"kubelets {' '.join(self.kubelets) or 'none'}, API servers {' '.join(self.servers)}"
        )
        return "; ".join([*self.faults, f"{self.nodes} nodes, {versions}", *self.unread])


class ListedNode(Struct, frozen=True):
    """A node of the list. status: `Ready`, `NotReady`, `Unknown`, with `,SchedulingDisabled`.

    version: empty where no kubelet has reported.
    """

    name: str
    status: tuple[str, ...]
    address: str
    version: str


def probes(host: Host, cases: Sequence[Case[NodesParameters]]) -> tuple[Probe, ...]:
    """Both requests of a master to its own apiserver."""
    return (CommandProbe("nodes", SCRIPT, timeout=20, slow=True),) if host.is_master else ()


def read_runtime(readings: ClusterView, case: Case[NodesParameters]) -> NodesRuntime:
    """The masters' answers combined.

    Raises Unreadable where none answers, or they contradict each other and agree on no fault.
    """
    answers, errors = read_each(readings, case.inventory.masters, _answers)
    lists = {host: nodes for host, (nodes, _) in answers.items()}
    servers = {host: version for host, (_, version) in answers.items()}
    if not lists:
        raise Unreadable("; ".join(errors) or "the inventory names no master")
    each = {host: _faults(nodes, servers, case) for host, nodes in lists.items()}
    common, unread = agreed(each)
    if unread and not common:
        raise Unreadable("; ".join(unread))
    nodes = next(iter(lists.values()))
    return NodesRuntime(
        len(nodes),
        tuple(sorted({n.version for n in nodes if n.version})),
        tuple(sorted(set(servers.values()))),
        common,
        unread,
    )


def _answers(readings: HostView) -> tuple[tuple[ListedNode, ...], str]:
    """The nodes and the version of this master's apiserver. Raises Unreadable."""
    found = local_apiserver.answers(readings.output("nodes").lines, PATHS)
    if found is None:
        raise Unreadable(f"no apiserver to ask: {local_apiserver.NONE}")
    try:
        nodes = tuple(
            ListedNode(
                row["Name"], tuple(row["Status"].split(",")), row["Internal-IP"], row["Version"]
            )
            for row in found["nodes"].rows
        )
        version = str(found["version"].document["gitVersion"])
        for text in (version, *(node.version for node in nodes if node.version)):
            _minor(text)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise Unreadable(f"the answer has an unknown format: {error!r}") from None
    return nodes, version


def _faults(
    nodes: Sequence[ListedNode], servers: Mapping[str, str], case: Case[NodesParameters]
) -> list[str]:
    """What is wrong with these nodes."""
    wanted = case.parameters
    by_name = {node.name: node for node in nodes}
    hosts = {host.name.lower(): host for host in case.inventory.hosts}
    faults = [f"{host.name} is not a node" for name, host in hosts.items() if name not in by_name]
    faults += [
        f"{name} is a node, and no host of the inventory"
        for name in by_name
        if name not in hosts and name not in wanted.others
    ]
    for name, host in hosts.items():
        if not (node := by_name.get(name)):
            continue
        if node.status[:1] != ("Ready",):
            faults.append(f"{host.name} is not ready ({node.status[0] or 'no status'})")
        if CORDONED in node.status and host.name not in wanted.cordoned:
            faults.append(f"{host.name} is cordoned: no pod is scheduled to it")
        if not _same(node.address, host.address):
            faults.append(f"{host.name} has InternalIP {node.address}, and {host.address} planned")
        faults += _skewed(host.name, node.version, servers, wanted)
    return faults


def _skewed(
    name: str, kubelet: str, servers: Mapping[str, str], wanted: NodesParameters
) -> list[str]:
    """Why this kubelet's version is not supported with these API servers."""
    oldest = min(servers, key=lambda host: _minor(servers[host]))
    newest = max(servers, key=lambda host: _minor(servers[host]))
    if not kubelet:
        return [f"{name}'s kubelet has reported no version"]
    minor = _minor(kubelet)
    if minor > _minor(servers[oldest]):
        return [f"{name}'s kubelet {kubelet} is newer than {oldest}'s API server {servers[oldest]}"]
    most = wanted.minor_skew if minor >= OLD_KUBELET else min(wanted.minor_skew, OLD_SKEW)
    apart = _minor(servers[newest])[1] - minor[1]
    if minor[0] != _minor(servers[newest])[0] or apart > most:
        return [
            f"{name}'s kubelet {kubelet} is more than {most} minor versions older than {newest}'s "
            f"API server {servers[newest]}"
        ]
    return []


def _minor(version: str) -> tuple[int, int]:
    """Major and minor of `v1.34.4`. Raises ValueError."""
    found = re.match(r"v(\d{1,6})\.(\d{1,6})\b", version, re.ASCII)
    if not found:
        raise ValueError(f"{version!r} is not a version")
    return int(found[1]), int(found[2])


def _same(address: str, planned: str | None) -> bool:
    """Whether the node has its planned address, where that is one and not a name."""
    try:
        wanted = ipaddress.ip_address(planned or "")
    except ValueError:
        return True
    try:
        return ipaddress.ip_address(address) == wanted
    except ValueError:
        return False
