"""The ingress: its controller, its classes, its routes, and what they answer.

Each master's own apiserver lists the controllers that Hale knows by image or label, IngressClasses,
Ingresses, and where there is such an API, GatewayClasses, Gateways and HTTPRoutes. Each master then
requests every route by host and path at the controller's Service, and the same at the endpoints
of the route's Service: what comes back must be the same. A host that no route has must get the
answer of `unknown_status`, and never a Service's. Hosts' names are resolved by hand
(curl --resolve).

Where the controller's pods have ports 80 and 443 of their nodes (hostPort, hostNetwork; not by a
NodePort or LoadBalancer), each master requests these too, at the address of each node with a
replica. A port that is closed there, or at which another program answers, is a fault of that node.
As many routes are requested as some seconds allow, the first one at every node first. With
`most_nodes` = 0 no node is: for sites whose firewall lets only a load balancer in.

Where an Ingress, or the listener of a Gateway, names a Secret for TLS, its certificate must cover
the host, be valid now, and be the one that the controller serves for that name (SNI).
Where an Ingress has an annotation that asks for a redirect to HTTPS, HTTP must get one. Of a Secret
the master reads the certificate alone; its key is not printed.

What answers is proven by its content. A Service whose answers differ from one request to the next,
one that does not speak HTTP, and a path that the controller rewrites are UNKNOWN, with that reason.
Where nothing is found, that costs a master two connections to its apiserver.

Sources: kubernetes.io, "Ingress", "Ingress Controllers"; gateway-api.sigs.k8s.io; curl(1);
facts/parsers/ingress_controllers.py, ingress_routes.py, ingress_nodes.py, ingress_tls.py,
ingress_redirects.py, route_answers.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import (
    api_objects,
    ingress_cluster,
    ingress_controllers,
    ingress_nodes,
    ingress_redirects,
    ingress_routes,
    ingress_tls,
    route_answers,
)
from facts.parsers.api_objects import Workload
from facts.parsers.combined import agreed, read_addon
from facts.parsers.ingress_cluster import UNKNOWN_HOST, IngressCluster
from facts.parsers.ingress_routes import Route
from facts.parsers.route_answers import RouteState
from hale.inventory.cluster_spec import NO_INGRESS
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import load_script, variables

_HERE = Path(__file__)


class IngressParameters(Struct, frozen=True):
    """Whether the site requests one, as `ingress` in its inventory does too; replicas, each on
    another node where there are as many workers; the HTTP status for an unknown host; how many
    routes, and nodes at their own ports, are requested at most."""

    requested: bool
    replicas: int
    unknown_status: int
    most_routes: int
    most_nodes: int


class IngressRuntime(Struct, frozen=True):
    """The controllers with their replicas, the number of routes, and the faults.

    nodes: those whose own ports were requested.
    """

    controllers: str
    routes: int
    nodes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        routes = f"{self.controllers}; {self.routes} routes"
        if self.nodes:
            routes += f", requested at the own ports of {' '.join(self.nodes)} too"
        return "; ".join([*self.faults, routes, *self.unread])


def probes(host: Host, cases: Sequence[Case[IngressParameters]]) -> tuple[Probe, ...]:
    """A master's requests to its own apiserver, and to routes if there are any."""
    if not (host.is_master and cases):
        return ()
    scripts = (
        api_objects.shell(ingress_controllers.PROGRAMS),
        variables(
            unknown_host=UNKNOWN_HOST,
            most=str(cases[0].parameters.most_routes),
            most_nodes=str(cases[0].parameters.most_nodes),
        ),
        load_script(_HERE.with_suffix(".sh")),
        load_script(_HERE.with_name("ingress_requests.sh")),
        load_script(_HERE.with_name("ingress_tls.sh")),
    )
    return (CommandProbe("ingress", "".join(scripts), timeout=45, slow=True),)


def read_runtime(readings: ClusterView, case: Case[IngressParameters]) -> IngressRuntime:
    """The masters' answers combined. A fault of requests counts if one master has it.

    Raises NotApplicable where nothing is found and nothing requested. Raises Unreadable where no
    apiserver answers, masters contradict each other, or a route is not proven, and no fault is.
    """
    wanted = case.parameters
    requested = wanted.requested or case.inventory.cluster.ingress != NO_INGRESS
    clusters = read_addon(
        readings,
        case.inventory.masters,
        lambda its: ingress_cluster.read(its.output("ingress").lines),
        lambda cluster: cluster.found,
        requested=requested,
    )
    workers = len(case.inventory.hosts) - len(case.inventory.masters)
    spread = max(1, min(wanted.replicas, workers))
    named = case.inventory.cluster.ingress_class
    faults, unread = agreed(
        {h: [*_class_missing(c, named), *_faults(c, spread)] for h, c in clusters.items()}
    )
    states = {h: _states(c, wanted) for h, c in clusters.items()}
    faults += _of(states, RouteState.FAULT)
    unread += _of(states, RouteState.UNPROVEN)
    first = next(iter(clusters.values()))
    if unread and not faults:
        raise Unreadable("; ".join([_described(first), *unread]))
    nodes = {
        node
        for cluster in clusters.values()
        for own in cluster.at_nodes.values()
        for node in own.ports
        if node in own.addresses
    }
    return IngressRuntime(
        _described(first), len(first.routes), tuple(sorted(nodes)), faults, unread
    )


def _faults(cluster: IngressCluster, spread: int) -> list[str]:
    """What is wrong with the controllers, classes and routes, by the apiserver's lists."""
    faults = []
    if not cluster.found:
        faults.append("there is no ingress: no controller, class or route")
    elif not cluster.controllers and not cluster.strange:
        faults.append("no workload is an ingress controller that Hale knows")
    for controller, workloads in cluster.controllers.values():
        if not any(controller.names(given) for given in cluster.classes.values()):
            faults.append(f"no class has the controller {controller.ingress or controller.gateway}")
        for workload in workloads:
            faults += _unready(workload, cluster.nodes[str(workload)], spread)
    for name, given in cluster.classes.items():
        for known in ingress_controllers.KNOWN:
            if known.names(given) and known.name not in cluster.controllers:
                faults.append(f"the class {name} has the controller {given}, which is not there")
                break
    return [
        *faults,
        *cluster.faults,
        *ingress_routes.without_backend(cluster.routes, cluster.services),
    ]


def _class_missing(cluster: IngressCluster, named: str) -> list[str]:
    """The GatewayClass that the inventory names, where that is not there."""
    if not named or named in cluster.gateway_classes:
        return []
    return [f"there is no GatewayClass {named}, which the inventory has (ingress=gateway:{named})"]


def _unready(workload: Workload, nodes: Sequence[str], spread: int) -> list[str]:
    if workload.unready:
        return [workload.unready]
    if len(set(nodes)) < spread:
        return [
            f"{workload}: its ready replicas are on {len(set(nodes))} node(s): "
            f"{' '.join(nodes) or 'none'}; the loss of one would stop every route"
        ]
    return []


def _states(cluster: IngressCluster, wanted: IngressParameters) -> list[tuple[RouteState, str]]:
    """What the requests prove: of each route at each address, and of an unknown host."""
    states = []
    for route in cluster.requested(wanted.most_routes):
        states += _state(route, cluster)
    states += ingress_tls.judged(cluster.tls, cluster.tls_addresses, UNKNOWN_HOST)
    states += ingress_redirects.not_redirected(cluster.routes, cluster.redirecting, cluster.answers)
    if cluster.routes and wanted.most_nodes:
        states += _at_nodes(cluster, wanted)
    at_services = {
        address
        for name, every in cluster.addresses.items()
        for address in every
        if address not in cluster.at_nodes[name].ports
    }
    for address in at_services:
        answer = cluster.answers.unknown(address)
        if answer and answer.http:
            if answer.http != wanted.unknown_status:
                states.append(
                    (
                        RouteState.FAULT,
                        f"a host without any route gets {answer} at {address}, and not HTTP "
                        f"{wanted.unknown_status}",
                    )
                )
        elif cluster.routes:
            why = answer or "it was not requested"
            states.append(
                (
                    RouteState.UNPROVEN,
                    f"what a host without any route gets at {address} is not proven: {why}",
                )
            )
    if not cluster.routes:
        states.append((RouteState.UNPROVEN, "there is no route that could be requested"))
    return states


def _at_nodes(cluster: IngressCluster, wanted: IngressParameters) -> list[tuple[RouteState, str]]:
    """What requests at the nodes' own ports prove."""
    states: list[tuple[RouteState, str]] = []
    for controller, _ in cluster.controllers.values():
        nodes = cluster.at_nodes[controller.name]
        services = [a for a in cluster.addresses[controller.name] if a not in nodes.ports]
        states += ingress_nodes.judged(
            nodes.requested(wanted.most_nodes),
            services,
            [r for r in cluster.routes if controller.names(r.controller)],
            cluster.answers,
            wanted.unknown_status,
        )
    return states


def _state(route: Route, cluster: IngressCluster) -> list[tuple[RouteState, str]]:
    owner = next((c for c, _ in cluster.controllers.values() if c.names(route.controller)), None)
    if not route.service:
        return [(RouteState.UNPROVEN, f"{route} leads to no Service")]
    if owner is None:
        why = f"the controller {route.controller or 'of its class'} is not one that Hale knows here"
        return [(RouteState.UNPROVEN, f"{route}: {why}")]
    addresses = cluster.addresses[owner.name]
    if not addresses:
        why = f"no Service leads from port 80 to {owner.name}: it was not requested"
        return [(RouteState.UNPROVEN, f"{route}: {why}")]
    others = {r.backend for r in cluster.routes if r.host == route.host} - {route.backend}
    return [
        route_answers.judged(route, sorted(others), address, cluster.answers)
        for address in addresses
    ]


def _of(
    states: Mapping[str, Sequence[tuple[RouteState, str]]], kind: RouteState
) -> tuple[str, ...]:
    """The sentences of that kind, each with the masters that have it."""
    each = {h: [text for state, text in found if state is kind] for h, found in states.items()}
    every = dict.fromkeys(text for texts in each.values() for text in texts)
    return tuple(
        f"{', '.join(host for host, texts in each.items() if text in texts)}: {text}"
        for text in every
    )


def _described(cluster: IngressCluster) -> str:
    parts = [
        f"{controller.name} {workload} ({' '.join(workload.images)}), {workload.ready} of "
        f"{workload.wanted} replicas ready on {' '.join(cluster.nodes[str(workload)]) or 'no node'}"
        for controller, workloads in cluster.controllers.values()
        for workload in workloads
    ]
    return ", ".join(parts) or "no ingress controller that Hale knows"
