"""What an ingress answers at its nodes' own ports 80 and 443. Not a subject.

Only where the controller's pods have these ports of their node (hostPort, hostNetwork), and only
of nodes with a ready one: a Service of type NodePort or LoadBalancer leads to the pods by itself.
Every port is compared with the controller's other addresses, its Service's and those of other
nodes, so that a port which it serves nowhere (443 without any certificate) is no fault.

Source: kubernetes.io, "Service", "Configuration Best Practices" (hostPort).
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from facts.parsers.blanks import split_words
from facts.parsers.ingress_routes import Route
from facts.parsers.ingress_tls import State
from facts.parsers.route_answers import Answer, Answers, RouteState, requested_host

SCHEMES = {80: "http", 443: "https"}
_NO_CONNECTION = (7, 28)  # curl's exit statuses


class NodePorts(Struct, frozen=True):
    """Of one controller. ports: of each of its nodes; addresses: the nodes' that were requested."""

    ports: Mapping[str, Sequence[int]] = {}
    addresses: Mapping[str, str] = {}

    def requested(self, most: int) -> dict[str, Sequence[int]]:
        """The nodes that had to be requested: all, or of more than `most` those that were."""
        were = {node: ports for node, ports in self.ports.items() if node in self.addresses}
        return were if len(self.addresses) >= most else dict(self.ports)

    @property
    def in_place_of_services(self) -> tuple[str, ...]:
        """The nodes at which routes are requested if no Service leads to the controller."""
        listed = sorted(f"{n}={a}" for n, a in self.addresses.items() if n in self.ports)
        return tuple(node.partition("=")[0] for node in listed[:3])


def addresses(lines: Sequence[str]) -> dict[str, str]:
    """The address of each node that was requested, by the lines `node NAME ADDRESS PORT`."""
    words = [split_words(line) for line in lines if line.startswith("node ")]
    return {each[1]: each[2] for each in words if len(each) == 4}


def judged(
    nodes: Mapping[str, Sequence[int]],
    services: Sequence[str],
    routes: Sequence[Route],
    found: Answers,
    unknown_status: int,
) -> Iterator[State]:
    """What is wrong at the ports of these nodes, and what is not proven.

    services: the addresses of the controller's Services. routes: its own.
    """
    for node, ports in nodes.items():
        for port in ports:
            others = [*services, *(n for n in nodes if n != node and port in nodes[n])]
            if state := _of_port(node, port, others, found, unknown_status):
                yield state
            else:
                for route in routes:
                    yield from _of_route(route, node, SCHEMES[port], found)


def _of_port(
    node: str, port: int, others: Sequence[str], found: Answers, unknown_status: int
) -> State | None:
    """What an unknown host gets there, compared with what it gets at the others."""
    scheme = SCHEMES[port]
    got = found.unknown(node, scheme)
    if got is None:
        return RouteState.UNPROVEN, f"port {port} of {node} was not requested"
    elsewhere = [(o, answer) for o in others if (answer := found.unknown(o, scheme))]
    best = max(elsewhere, key=lambda each: _heard(each[1]), default=None)
    if best and _heard(got) < _heard(best[1]):
        return (
            RouteState.FAULT,
            f"port {port} of {node}, which has a replica: {got}, and the same at {best[0]} gets "
            f"{best[1]}",
        )
    if not got.http and scheme == "http":
        return (
            RouteState.UNPROVEN,
            f"what a host without any route gets at port {port} of {node} is not proven: {got}",
        )
    if got.http in (0, unknown_status):
        return None
    if scheme == "http" or any(answer.http == unknown_status for _, answer in elsewhere):
        return (
            RouteState.FAULT,
            f"a host without any route gets {got} at port {port} of {node}, and not HTTP "
            f"{unknown_status}",
        )
    return None


def _heard(answer: Answer) -> int:
    if answer.http:
        return 2
    return 0 if answer.exit in _NO_CONNECTION else 1


def _of_route(route: Route, node: str, scheme: str, found: Answers) -> Iterator[State]:
    """Whether it leads elsewhere at this node, where it reaches its Service at another address."""
    host = requested_host(route, found.unknown_host)
    got = found.via.get((node, host, route.path, scheme))
    own = found.direct.get((route.backend, host, route.path), ())
    contents = {answer.content for answer in own} - {""}
    if got is None or got.content in contents:
        return
    reached = [
        address
        for (address, *request), answer in found.via.items()
        if request == [host, route.path, scheme] and answer.content in contents
    ]
    if not reached:
        return
    message = f"{route} over {scheme} at {node}: {got}; at {reached[0]} it reaches {route.backend}"
    strange = [
        service
        for (service, *request), answers in found.direct.items()
        if request == [host, route.path] and service != route.backend
        if got.content and got.content in {answer.content for answer in answers}
    ]
    if strange:
        yield RouteState.FAULT, f"{message}, and here {strange[0]}"
    elif got.http not in {answer.http for answer in own}:
        yield RouteState.FAULT, message
    else:
        yield RouteState.UNPROVEN, f"{message}, and what answers here is not proven"
