"""The ingress of a cluster as one master's apiserver lists it. Not a subject.

What facts/ingress.sh, ingress_requests.sh and ingress_tls.sh print. Source: kubernetes.io,
"Service".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers import (
    api_objects,
    ingress_controllers,
    ingress_nodes,
    ingress_redirects,
    ingress_routes,
    ingress_tls,
    route_answers,
)
from facts.parsers.api_objects import Listing, Workload
from facts.parsers.ingress_controllers import IngressController
from facts.parsers.ingress_nodes import SCHEMES, NodePorts
from facts.parsers.ingress_redirects import Redirecting
from facts.parsers.ingress_routes import Behind, Route
from facts.parsers.ingress_tls import IngressTls
from facts.parsers.route_answers import Answers, requested_host
from hale.model.evidence import Unreadable

#: No route has it: the top-level domain is reserved (RFC 2606).
UNKNOWN_HOST = "unknown.hale.invalid"


class IngressCluster(Struct, frozen=True):
    """What one master's apiserver lists, and what came back from there.

    nodes: of ready pods, by workload. addresses: of a controller's Services with port 80; where it
    has none, nodes with that port. over_tls: those of all Services with port 443. gateway_classes:
    every GatewayClass. at_nodes: by controller.
    """

    controllers: Mapping[str, tuple[IngressController, tuple[Workload, ...]]]
    classes: Mapping[str, str]  # by IngressClass and GatewayClass
    routes: tuple[Route, ...]
    faults: tuple[str, ...]
    nodes: Mapping[str, tuple[str, ...]]
    addresses: Mapping[str, tuple[str, ...]]
    services: Mapping[str, Behind]
    answers: Answers
    tls: IngressTls
    over_tls: frozenset[str] = frozenset()
    gateway_classes: tuple[str, ...] = ()
    redirecting: tuple[Redirecting, ...] = ()
    at_nodes: Mapping[str, NodePorts] = {}

    @property
    def tls_addresses(self) -> dict[str, tuple[str, ...]]:
        """The addresses at which a host is served over TLS, by `OWNER HOST`.

        Only of those whose controller is one that Hale knows here.
        """
        by_controller = {
            route: tuple(
                dict.fromkeys(
                    [
                        *(a for a in self.addresses[controller.name] if a in self.over_tls),
                        *self._served_over_tls(route, self.at_nodes[controller.name]),
                    ]
                )
            )
            for route in self.routes
            for controller, _ in self.controllers.values()
            if controller.names(route.controller)
        }
        return {f"{route.owner} {route.host}": at for route, at in by_controller.items()}

    def _served_over_tls(self, route: Route, nodes: NodePorts) -> tuple[str, ...]:
        """The nodes whose port 443 was requested for the host of this route."""
        host = requested_host(route, UNKNOWN_HOST)
        return tuple(
            node
            for node, ports in nodes.ports.items()
            if 443 in ports and (node, host) in self.tls.answers.served
        )

    @property
    def found(self) -> bool:
        """Whether there is any ingress; a class alone may be a network plugin's."""
        return bool(self.controllers or self.routes or self.faults or self.classes)

    @property
    def strange(self) -> tuple[str, ...]:
        """The classes whose controller is not one that is known."""
        return tuple(
            name
            for name, given in self.classes.items()
            if not any(known.names(given) for known in ingress_controllers.KNOWN)
        )

    def requested(self, most: int) -> tuple[Route, ...]:
        """The routes that had to be requested: all, or of more than `most` those that were."""
        made = {(host, path) for _, host, path, _ in self.answers.via}
        were = tuple(r for r in self.routes if (requested_host(r, UNKNOWN_HOST), r.path) in made)
        return were if len(were) >= most else self.routes


def read(lines: Sequence[str]) -> IngressCluster | None:
    """What a master's probe printed; None where it has no apiserver. Raises Unreadable."""
    return api_objects.parse_answer(lines, _parsed)


def _parsed(lines: Sequence[str], found: Mapping[str, tuple[Listing, ...]]) -> IngressCluster:
    workloads = api_objects.workloads(found["workloads"])
    ingress_classes, ingresses, group = found["ingresses"]
    if group.http not in (200, 404):
        raise Unreadable(f"the Gateway API answers HTTP {group.http}")
    gateways: list[tuple[dict[str, Any], ...]] = [(), (), ()]
    if group.http == 200:
        gateways = [listing.items for listing in found["gateways"]]
    classes = {
        c["metadata"]["name"]: c["spec"].get("controller", "") for c in ingress_classes.items
    }
    routes, faults = ingress_routes.of_ingresses(ingresses.items, ingress_classes.items)
    more, more_faults = ingress_routes.of_http_routes(gateways[2], gateways[1], gateways[0])
    for gateway_class in gateways[0]:
        name = gateway_class["spec"].get("controllerName", "")
        if gateways[1] or gateways[2] or any(c.names(name) for c in ingress_controllers.KNOWN):
            classes[gateway_class["metadata"]["name"] + " (GatewayClass)"] = name
    controllers = ingress_controllers.installed(workloads)
    nodes = {str(w): _nodes(found[f"pods:{w}"]) for own in controllers.values() for w in own}
    at_nodes = {c.name: _node_ports(own, nodes, lines) for c, own in controllers.items()}
    services = [s for listing in found.get("services", ()) for s in listing.items]
    names = [line[8:].replace(" ", "/") for line in lines if line.startswith("backend ")]
    return IngressCluster(
        {c.name: (c, own) for c, own in controllers.items()},
        classes,
        tuple(dict.fromkeys([*routes, *more])),
        (*faults, *more_faults),
        nodes,
        {
            c.name: _addresses(own, services) or at_nodes[c.name].in_place_of_services
            for c, own in controllers.items()
        },
        ingress_routes.behind(names, found.get("backends", ())),
        route_answers.read(lines, UNKNOWN_HOST),
        IngressTls(
            (
                *ingress_tls.of_ingresses(ingresses.items),
                *ingress_tls.of_gateways(gateways[2], gateways[1]),
            ),
            ingress_tls.read(lines),
        ),
        frozenset(
            service["spec"].get("clusterIP", "")
            for service in services
            if any(port["port"] == 443 for port in service["spec"].get("ports") or ())
        ),
        tuple(c["metadata"]["name"] for c in gateways[0]),
        ingress_redirects.redirecting(ingresses.items),
        at_nodes,
    )


def _node_ports(
    workloads: Sequence[Workload], nodes: Mapping[str, Sequence[str]], lines: Sequence[str]
) -> NodePorts:
    """The ports of their nodes that ready pods of these have."""
    ports: dict[str, list[int]] = {}
    for workload in workloads:
        for node in nodes[str(workload)]:
            ports.setdefault(node, []).extend(p for p in workload.host_ports if p in SCHEMES)
    return NodePorts(
        {node: sorted(set(own)) for node, own in sorted(ports.items()) if own},
        ingress_nodes.addresses(lines),
    )


def _nodes(listings: Sequence[Listing]) -> tuple[str, ...]:
    """Where ready pods are."""
    return tuple(
        sorted(
            row["Node"]
            for listing in listings
            for row in listing.rows
            if row["Status"] == "Running"
            and row["Ready"].split("/")[0] == row["Ready"].split("/")[1]
        )
    )


def _addresses(
    workloads: Sequence[Workload], services: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """The Services' addresses that lead to these pods from port 80."""
    return tuple(
        service["spec"]["clusterIP"]
        for service in services
        if any(w.selected_by(service) for w in workloads)
        and any(port["port"] == 80 for port in service["spec"].get("ports") or ())
        and service["spec"].get("clusterIP", "None") != "None"
    )
