"""Each host reaches each other host on the ports that it needs, with packets of full size.

Every host connects to the ports that it needs of every other: the API server's and, where the
masters have the VIP, the load balancer's of each master, since any may own the VIP next; etcd's
among masters; the kubelet's from masters. The VIP itself is HA-APISERVER-VIP's.

The path is judged, not the service. A host that answers with a reset is reached, whether or not
anything listens, so that an audit before the cluster exists needs no listener on a foreign port. A
packet that is dropped is tried twice. A refusal that a firewall sends as an ICMP message looks
like a reset to connect(2), but the kernel counts it. One that a firewall sends as a reset looks
like the host's own, unless that host shows a socket that listens there: UNKNOWN, because it may
have been opened just now. A host that was too busy to wait is UNKNOWN.

An echo of ICMP with the size of the interface's MTU, not to be fragmented, shows the path's. Each
host sends it to the next ones in the inventory, which are all up to 17 hosts. Two hosts of one
network have the same MTU. Not covered: VRRP (HA-VIP-OWNER: a master that hears no adverts takes the
VIP), the pod network's own packets (VXLAN, BGP).

Sources: connect(2), tcp(7), icmp(7) (how errors of ICMP are reported), bash(1) (/dev/tcp), ping(8)
of iputils, proc_net_tcp(5), RFC 1191; kubernetes.io, "Ports and Protocols".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import reach
from facts.parsers.blanks import split_words
from facts.parsers.combined import read_each
from facts.parsers.listeners import spellings
from facts.parsers.probe_prelude import PRELUDE
from facts.parsers.reach import Connection, Echo, PathToHost, listed
from hale.inventory.ini import Host, Inventory
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
from hale.shell import arguments, script_with

NEIGHBOURS = 16
EXTERNAL = "external"


class NetReachParameters(Struct, frozen=True):
    """TCP ports. mtu: bytes of a packet that every path must carry; 0: its interface's MTU."""

    apiserver_port: int
    etcd_ports: tuple[int, ...]
    kubelet_port: int
    mtu: int = 0


class Reached(Struct, frozen=True):
    """What one host reached: connections by address and port, each with the reason of a failure;
    routes by address; listening: its own sockets, as /proc/net/tcp has them."""

    connections: Mapping[tuple[str, int], tuple[Connection, str]]
    routes: Mapping[str, PathToHost]
    listening: frozenset[str]


class NetReachRuntime(Struct, frozen=True):
    """The number of hosts and of connections between them, and the sizes of packets, in bytes."""

    hosts: int
    connections: int
    sizes: tuple[int, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        sizes = " and ".join(map(str, self.sizes))
        fine = (
            f"{self.hosts} hosts reach each other: {self.connections} connections, packets of "
            f"{sizes} bytes"
        )
        return "; ".join([*(self.faults or (fine,)), *self.unread])


def _address(host: Host) -> str:
    return host.address or host.name


def _needed(host: Host, inventory: Inventory, wanted: NetReachParameters) -> dict[str, list[int]]:
    """The TCP ports that this host needs of each other host, by name."""
    found = {}
    for other in inventory.hosts:
        ports = set()
        if other.is_master:
            ports.add(wanted.apiserver_port)
            if inventory.endpoint.kind != EXTERNAL:
                ports.add(inventory.endpoint.port)
        if host.is_master:
            ports.add(wanted.kubelet_port)
            if other.is_master and inventory.etcd_kind != EXTERNAL:
                ports |= set(wanted.etcd_ports)
        if ports and other.name != host.name:
            found[other.name] = sorted(ports)
    return found


def _neighbours(host: Host, inventory: Inventory) -> list[Host]:
    """The hosts after this one, in a circle."""
    hosts = inventory.hosts
    at = next((n for n, other in enumerate(hosts) if other.name == host.name), None)
    if at is None:
        return []
    return [*hosts[at + 1 :], *hosts[:at]][:NEIGHBOURS]


def probes(host: Host, cases: Sequence[Case[NetReachParameters]]) -> tuple[Probe, ...]:
    """All connections and echoes of this host, at once, in parallel with other probes."""
    if not cases:
        return ()
    inventory, wanted = cases[0].inventory, cases[0].parameters
    address = {other.name: _address(other) for other in inventory.hosts}
    needed = _needed(host, inventory, wanted)
    ports = {wanted.apiserver_port, wanted.kubelet_port, *wanted.etcd_ports}
    script = script_with(
        Path(__file__).with_suffix(".sh"),
        connect=reach.CONNECT,
        targets=" ".join(f"{address[name]}/{port}" for name in needed for port in needed[name]),
        ports="|".join(f"{port:04X}" for port in sorted(ports | {inventory.endpoint.port})),
    )
    paths = reach.paths_shell(wanted.mtu)
    echoed = arguments(*(_address(other) for other in _neighbours(host, inventory)))
    return (CommandProbe("reached", f"{PRELUDE}{paths}{echoed}{script}", timeout=35, slow=True),)


def read_runtime(readings: ClusterView, case: Case[NetReachParameters]) -> NetReachRuntime:
    """What the hosts reached of each other.

    Raises NotApplicable where there is one host. Raises Unreadable where something could not be
    known and no fault is proven.
    """
    inventory = case.inventory
    if len(inventory.hosts) < 2:
        raise NotApplicable("there is one host: it has no other to reach")
    reached, unread = read_each(readings, inventory.hosts, _reached)
    faults, doubts, connections = _judged_connections(reached, case)
    more, unsure = _judged_packets(reached, case)
    faults += more
    unread += doubts + unsure
    if unread and not faults:
        raise Unreadable("; ".join(unread))
    sizes = {case.parameters.mtu or r.mtu for one in reached.values() for r in one.routes.values()}
    return NetReachRuntime(
        len(inventory.hosts), connections, tuple(sorted(sizes)), tuple(faults), tuple(unread)
    )


def _reached(its: HostView) -> Reached:
    """Raises Unreadable."""
    lines = its.output("reached").lines
    if lines[-1:] != ["end"]:
        raise Unreadable("the answer is incomplete")
    own = frozenset(split_words(line)[-1] for line in lines if line.startswith("listens "))
    found = reach.answers(line for line in lines[:-1] if not line.startswith("listens "))
    return Reached(found.connections, found.paths, own)


_FAULTS = {
    Connection.SILENT: "{port} of {host} gives no answer to {sources}: packets are dropped on the "
    "way, or the host is down",
    Connection.REJECTED: "{port} of {host} is rejected for {sources}: a firewall on the way",
    Connection.FAILED: "{port} of {host} is not reached from {sources}: {reason}",
}
_DOUBTS = {
    Connection.LATE: "{sources}: too busy to know whether {port} of {host} answers: run it again",
    Connection.CLOSED: "{port} of {host} refuses {sources}, and a process listens there: a "
    "firewall resets connections, or the process has just begun; run it again",
}


def _judged_connections(
    reached: Mapping[str, Reached], case: Case[NetReachParameters]
) -> tuple[list[str], list[str], int]:
    """Faults, doubts, and the number of connections that hosts need."""
    sources: dict[tuple[str, int, Connection, str], list[str]] = {}
    missing: list[str] = []
    number = 0
    addresses = {host.name: _address(host) for host in case.inventory.hosts}
    for host in case.inventory.hosts:
        its = reached.get(host.name)
        for other, ports in _needed(host, case.inventory, case.parameters).items():
            number += len(ports)
            for port in ports if its else ():
                answer = its.connections.get((addresses[other], port)) if its else None
                if answer is None:
                    missing.append(f"{host.name}: no word of TCP port {port} of {other}")
                elif _matters(answer[0], reached.get(other), addresses[other], port):
                    sources.setdefault((other, port, *answer), []).append(host.name)
    ports_of: dict[tuple[str, Connection, str, tuple[str, ...]], list[int]] = {}
    for (other, port, what, reason), names in sources.items():
        ports_of.setdefault((other, what, reason, tuple(names)), []).append(port)
    texts: dict[bool, list[str]] = {True: [], False: missing}
    for (other, what, reason, names_of), ports in ports_of.items():
        form = _FAULTS.get(what) or _DOUBTS[what]
        port_text = f"TCP port {' and '.join(map(str, sorted(ports)))}"
        text = form.format(port=port_text, host=other, sources=listed(names_of), reason=reason)
        texts[what in _FAULTS].append(text)
    return texts[True], texts[False], number


def _matters(what: Connection, other: Reached | None, address: str, port: int) -> bool:
    """Whether it is a fault, or a doubt. A host that refuses is reached; not so if it listens."""
    if what is not Connection.CLOSED:
        return what is not Connection.OPEN
    if other is None:
        return False
    try:
        places = spellings(address)
    except Unreadable:  # a name
        return False
    return any(f"{place}:{port:04X}" in other.listening for place in places)


def _judged_packets(
    reached: Mapping[str, Reached], case: Case[NetReachParameters]
) -> tuple[list[str], list[str]]:
    """Faults and doubts of the sizes of packets."""
    addresses = {host.name: _address(host) for host in case.inventory.hosts}
    small: dict[tuple[str, int], list[str]] = {}
    other_mtu: dict[tuple[str, str, int, int], list[str]] = {}
    silent: dict[str, list[str]] = {}
    doubts: list[str] = []
    for host in case.inventory.hosts:
        if (its := reached.get(host.name)) is None:
            continue
        for other in _neighbours(host, case.inventory):
            route = its.routes.get(_address(other))
            if route is None:
                doubts.append(f"{host.name}: no word of the path to {other.name}")
            elif route.echo is Echo.SMALL:
                size = case.parameters.mtu or route.mtu
                small.setdefault((other.name, size), []).append(host.name)
            elif route.echo is Echo.NONE:
                silent.setdefault(other.name, []).append(host.name)
            elif route.echo is Echo.UNASKED:
                doubts.append(f"{host.name}: ping of iputils is missing, which shows a path's MTU")
                break
            elif not case.parameters.mtu and (there := reached.get(other.name)):
                back = there.routes.get(addresses[host.name])
                if back and back.direct and route.direct and back.mtu < route.mtu:
                    key = other.name, back.interface, back.mtu, route.mtu
                    other_mtu.setdefault(key, []).append(host.name)
    faults = [
        f"packets of {size} bytes do not come back from {name} to {listed(hosts)}, and smaller "
        "ones do: the MTU of the path is smaller"
        for (name, size), hosts in small.items()
    ]
    faults += [
        f"{interface} of {name} has an MTU of {mtu}, and {listed(hosts)} in the same network "
        f"{theirs}"
        for (name, interface, mtu, theirs), hosts in other_mtu.items()
    ]
    doubts += [
        f"{name} gives no echo of ICMP to {listed(hosts)}: the MTU of the path is not known"
        for name, hosts in silent.items()
    ]
    return faults, doubts
