"""Nodes and Pods reach the Pods of other nodes: those of CoreDNS, which every cluster has.

Each node requests the addresses of CoreDNS's ready Pods from an API server, with the kubelet's own
certificate. It sends a DNS query over UDP to each Pod, connects to it over TCP, and sends an echo
of ICMP with the size of the interface's MTU. No Service is used, so kube-proxy's rules do not
count, and any answer shows the path, also one that knows no such name: CMP-COREDNS judges answers.
A node that has one of these Pods connects to the others from within its network namespace: from
Pod to Pod.

The kernel of the Pod's node answers connections and echoes, whatever its processes do. A query over
UDP is answered by CoreDNS itself, so a silence is a fault only where the connection failed too, or
where the Pod has answered another node; else CoreDNS may hang, and the result is UNKNOWN. So it is
where a node is too busy to know. A Pod that is not in the endpoints any more when the node is done
is not judged: it has ended since.

Where CoreDNS is on the host's network this is the hosts' own network. An echo that does not come
back in any size proves nothing, since a NetworkPolicy may drop it: the result names those Pods.
Not covered: the Pods of nodes that have none of CoreDNS, but for their nodes' own routes.

Sources: kubernetes.io, "Cluster Networking", "Using Node Authorization" (a kubelet may read
endpoints), "PKI certificates and requirements"; nsenter(1); facts/parsers/dns_query.py, reach.py.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers import dns_query, kubelet_config, local_apiserver, reach
from facts.parsers.combined import read_each
from facts.parsers.reach import Connection, Echo, listed
from hale.inventory.ini import Host
from hale.model.address import url_host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import PROCESSES, script_with

KEY = "/var/lib/kubelet/pki/kubelet-client-current.pem"
URL = "/api/v1/namespaces/kube-system/endpoints/kube-dns?pretty=false"


class PodNetworkParameters(Struct, frozen=True):
    """TCP and UDP ports."""

    apiserver_port: int
    dns_port: int


class ReachedPods(Struct, frozen=True):
    """What a node reached of CoreDNS's Pods.

    pods: each one's node, by address. queries: whether a query over UDP was answered, by address.
    own: the same from within its own Pod of CoreDNS, if it has one.
    """

    pods: Mapping[str, str]
    queries: Mapping[str, bool]
    its: reach.ReachAnswers
    own: reach.ReachAnswers


class PodNetworkRuntime(Struct, frozen=True):
    """The number of nodes and of Pods that they reach, and the faults.

    sizes: of the packets that came back, in bytes. no_echo: the hosts to which some Pod sends none.
    """

    nodes: int
    pods: int
    sizes: tuple[int, ...] = ()
    no_echo: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        fine = f"{self.nodes} nodes reach {self.pods} Pods of CoreDNS, over UDP and TCP"
        if self.sizes:
            fine += f", with packets of {' and '.join(map(str, self.sizes))} bytes"
        if self.no_echo:
            fine += f"; no echo of ICMP comes back to {listed(self.no_echo)}: the MTU is not known"
        return "; ".join([*(self.faults or (fine,)), *self.unread])


def script(masters: str, port: int) -> str:
    """The probe. masters: ADDRESS:PORT of each API server, in words. port: of DNS."""
    return (
        dns_query.SHELL
        + reach.paths_shell(None)
        + PROCESSES
        + script_with(
            Path(__file__).with_suffix(".sh"),
            connect=reach.CONNECT,
            config=kubelet_config.PATH,
            key=KEY,
            ca=f"{local_apiserver.PKI}/ca.crt",
            masters=masters,
            url=URL,
            port=str(port),
        )
    )


def probes(host: Host, cases: Sequence[Case[PodNetworkParameters]]) -> tuple[Probe, ...]:
    """Queries, connections and echoes of this host, at once, in parallel with other probes."""
    if not cases:
        return ()
    wanted = cases[0].parameters
    servers = (url_host(m.address or m.name) for m in cases[0].inventory.masters)
    masters = " ".join(f"{server}:{wanted.apiserver_port}" for server in servers)
    return (CommandProbe("pods", script(masters, wanted.dns_port), timeout=50, slow=True),)


def read_runtime(readings: ClusterView, case: Case[PodNetworkParameters]) -> PodNetworkRuntime:
    """What the nodes reached.

    Raises NotApplicable where there is no cluster yet. Raises Unreadable where something could not
    be known and no fault is proven.
    """
    reached, unread = read_each(
        readings, case.inventory.hosts, lambda its: _reached(its, case.parameters.dns_port)
    )
    nodes = {host: found for host, found in reached.items() if found is not None}
    if not nodes and not unread:
        raise NotApplicable("there is no cluster yet")
    faults, doubts = _judged(nodes, case.parameters.dns_port)
    unread += doubts
    if unread and not faults:
        raise Unreadable("; ".join(unread))
    pods = {address for found in nodes.values() for address in found.pods}
    paths = [(host, found.its.paths.get(a)) for host, found in nodes.items() for a in found.pods]
    return PodNetworkRuntime(
        len(nodes),
        len(pods),
        tuple(sorted({path.mtu for _, path in paths if path and path.echo is Echo.FULL})),
        tuple(sorted({host for host, path in paths if not path or path.echo is Echo.NONE})),
        tuple(faults),
        tuple(unread),
    )


_QUERY = re.compile(r"dns (\S+) \S+ (silent|[0-9a-f]+)", re.A)


def _reached(readings: HostView, port: int) -> ReachedPods | None:
    """None where the host is not a node. Raises Unreadable."""
    lines = readings.output("pods").lines
    if lines == ["not joined"]:
        return None
    if lines[-1:] != ["end"]:
        raise Unreadable("the answer is incomplete")
    pods, rest = _listed_pods(lines[:2]), lines[2:-1]
    if rest and rest[-1].startswith("again "):
        still = _listed_pods((lines[0], rest.pop().replace("again", "endpoints", 1)))
        pods = {address: node for address, node in pods.items() if address in still}
    queries = [_QUERY.fullmatch(line) for line in rest if line.startswith("dns ")]
    own = [line.removeprefix("pod ") for line in rest if line.startswith("pod ")]
    its = [line for line in rest if not line.startswith(("dns ", "pod "))]
    result = ReachedPods(
        pods,
        {one[1]: one[2] != "silent" for one in queries if one},
        reach.answers(its),
        reach.answers(own),
    )
    for address in pods:
        if address not in result.queries or (address, port) not in result.its.connections:
            raise Unreadable(f"no word of the Pod {address}")
    if not pods:
        raise Unreadable("no Pod of CoreDNS is ready: there is none to reach")
    return result


def _listed_pods(lines: Sequence[str]) -> dict[str, str]:
    """The node of each ready Pod, by its address. Raises Unreadable."""
    found = local_apiserver.answers(lines, {"endpoints": URL})
    endpoints: Mapping[str, Any] = found["endpoints"].document if found else {}
    try:
        return {
            str(one["ip"]): str(one.get("nodeName", "no node"))
            for subset in endpoints.get("subsets") or ()
            for one in subset.get("addresses") or ()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise Unreadable(f"the endpoints have an unknown format: {error!r}") from None


_FAULTS = {
    Connection.SILENT: "gives no answer over TCP to {sources}",
    Connection.REJECTED: "is rejected over TCP for {sources}: a firewall on the way",
    Connection.FAILED: "is not reached over TCP from {sources}: {reason}",
}
_DOUBTS = {
    Connection.CLOSED: "refuses {sources}: its process has ended, or a firewall resets "
    "connections; run it again",
    Connection.LATE: "may answer: {sources} was too busy to know; run it again",
}
NO_UDP = "gives no answer over UDP to {sources}"
MAY_HANG = (
    "gives no node an answer over UDP, and {sources} a connection: CoreDNS hangs or is too busy, "
    "or a firewall drops UDP; run it again"
)
NO_PING = "may not send large packets to {sources}, where ping of iputils is missing"
SMALL = (
    "does not send packets of {reason} bytes back to {sources}, but smaller ones: the MTU of the "
    "path is smaller"
)


def _judged(nodes: Mapping[str, ReachedPods], port: int) -> tuple[list[str], list[str]]:
    """Faults and doubts."""
    faults: dict[tuple[str, str, str], list[str]] = {}
    doubts: dict[tuple[str, str, str], list[str]] = {}

    def connected(source: str, pod: str, what: Connection, reason: str) -> None:
        if what in _FAULTS:
            faults.setdefault((pod, _FAULTS[what], reason), []).append(source)
        elif what in _DOUBTS:
            doubts.setdefault((pod, _DOUBTS[what], reason), []).append(source)

    answered = {a for found in nodes.values() for a, heard in found.queries.items() if heard}
    for host, found in nodes.items():
        for address, node in found.pods.items():
            pod = f"the Pod {address} on {node}"
            what, reason = found.its.connections[address, port]
            connected(host, pod, what, reason)
            if not found.queries[address]:
                if what in _FAULTS or (what is Connection.OPEN and address in answered):
                    faults.setdefault((pod, NO_UDP, ""), []).append(host)
                elif what is Connection.OPEN:
                    doubts.setdefault((pod, MAY_HANG, ""), []).append(host)
            path = found.its.paths.get(address)
            if path and path.echo is Echo.SMALL:
                faults.setdefault((pod, SMALL, str(path.mtu)), []).append(host)
            elif path and path.echo is Echo.UNASKED:
                doubts.setdefault((pod, NO_PING, ""), []).append(host)
            if inside := found.own.connections.get((address, port)):
                connected(f"the Pod on {host}", pod, *inside)
    return _texts(faults), _texts(doubts)


def _texts(found: Mapping[tuple[str, str, str], Sequence[str]]) -> list[str]:
    return [
        f"{pod} {form.format(sources=listed(sources), reason=reason)}"
        for (pod, form, reason), sources in found.items()
    ]
