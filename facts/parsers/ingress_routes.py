"""Routes by host and path, of Ingresses and HTTPRoutes alike, and the state of Gateways.

Sources: kubernetes.io, "Ingress" (class, the annotation that came before it, defaultBackend),
"EndpointSlices"; gateway-api.sigs.k8s.io, "HTTPRoute", "Gateway" (conditions).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers.api_objects import Listing

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_GROUP = "gateway.networking.k8s.io"


class Route(Struct, frozen=True):
    """One path of one host. host: empty for any; service: empty where no Service is behind it.

    controller: what its class, or its Gateway's, names; empty where that is not there.
    """

    owner: str
    namespace: str
    host: str
    path: str
    service: str
    port: int | str
    controller: str = ""

    @property
    def backend(self) -> str:
        """Namespace and name of the Service."""
        return f"{self.namespace}/{self.service}"

    def __str__(self) -> str:
        return f"{self.host or '*'}{self.path}"


class Behind(Struct, frozen=True):
    """A Service of a route. found: whether it is there; ready: its ready endpoints' addresses."""

    found: bool
    external: bool = False
    ports: tuple[int | str, ...] = ()
    ready: tuple[str, ...] = ()


def of_ingresses(
    ingresses: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]]
) -> tuple[list[Route], list[str]]:
    """Their routes, and faults: an Ingress without a class, or with one that is not there."""
    controllers = {c["metadata"]["name"]: c["spec"].get("controller", "") for c in classes}
    routes, faults = [], []
    for ingress in ingresses:
        spec, namespace = ingress.get("spec") or {}, ingress["metadata"]["namespace"]
        owner = f"Ingress {namespace}/{ingress['metadata']['name']}"
        notes = ingress["metadata"].get("annotations") or {}
        named = spec.get("ingressClassName") or notes.get(CLASS_ANNOTATION, "")
        if not named:
            faults.append(f"{owner} has no class: no controller has to serve it")
        elif named not in controllers:
            faults.append(f"{owner} has the class {named}, which is not there")
        backends = [("", "/", spec["defaultBackend"])] if "defaultBackend" in spec else []
        backends += [
            (rule.get("host", ""), path.get("path", "/"), path["backend"])
            for rule in spec.get("rules") or ()
            for path in (rule.get("http") or {}).get("paths") or ()
        ]
        for host, path, backend in backends:
            service = backend.get("service") or {}
            port = service.get("port") or {}
            routes.append(
                Route(
                    owner,
                    namespace,
                    host,
                    path,
                    service.get("name", ""),
                    port.get("number") or port.get("name", ""),
                    controllers.get(named, ""),
                )
            )
    return routes, faults


def of_http_routes(
    http_routes: Sequence[Mapping[str, Any]],
    gateways: Sequence[Mapping[str, Any]],
    classes: Sequence[Mapping[str, Any]],
) -> tuple[list[Route], list[str]]:
    """Their routes, and faults: of Gateways and HTTPRoutes whose conditions are not met."""
    controllers = {c["metadata"]["name"]: c["spec"].get("controllerName", "") for c in classes}
    by_gateway: dict[tuple[str, str], str] = {}
    routes: list[Route] = []
    faults: list[str] = []
    for gateway in gateways:
        namespace, name = gateway["metadata"]["namespace"], gateway["metadata"]["name"]
        named = gateway["spec"].get("gatewayClassName", "")
        by_gateway[namespace, name] = controllers.get(named, "")
        owner = f"Gateway {namespace}/{name}"
        if named not in controllers:
            faults.append(f"{owner} has the class {named}, which is not there")
        else:
            status = gateway.get("status") or {}
            faults += _unmet(owner, status.get("conditions"), ("Accepted", "Programmed"))
    for route in http_routes:
        spec, namespace = route["spec"], route["metadata"]["namespace"]
        owner = f"HTTPRoute {namespace}/{route['metadata']['name']}"
        parents = [
            parent
            for parent in spec.get("parentRefs") or ()
            if parent.get("kind", "Gateway") == "Gateway" and parent.get("group", _GROUP) == _GROUP
        ]
        states = (route.get("status") or {}).get("parents") or ()
        if not parents:
            faults.append(f"{owner} names no Gateway")
        elif not states:
            faults.append(f"{owner} is not accepted: no controller has a status for it")
        for state in states:
            faults += _unmet(owner, state.get("conditions"), ("Accepted", "ResolvedRefs"))
        controller = next(
            (
                found
                for parent in parents
                if (found := by_gateway.get((parent.get("namespace", namespace), parent["name"])))
            ),
            "",
        )
        routes += _of_rules(owner, namespace, spec, controller)
    return routes, faults


def _of_rules(
    owner: str, namespace: str, spec: Mapping[str, Any], controller: str
) -> Iterable[Route]:
    for rule in spec.get("rules") or ():
        paths = [(m.get("path") or {}).get("value", "/") for m in rule.get("matches") or ()]
        for ref in rule.get("backendRefs") or ():
            service = ref["name"] if ref.get("kind", "Service") == "Service" else ""
            for host in spec.get("hostnames") or ("",):
                for path in paths or ("/",):
                    yield Route(
                        owner,
                        ref.get("namespace", namespace),
                        host,
                        path,
                        service,
                        ref.get("port", ""),
                        controller,
                    )


def _unmet(
    owner: str, conditions: Sequence[Mapping[str, str]] | None, wanted: Sequence[str]
) -> list[str]:
    """The wanted conditions that are not True."""
    have = {c["type"]: c for c in conditions or ()}
    return [
        f"{owner} is not {name} ({have.get(name, {}).get('reason', 'no such condition')})"
        for name in wanted
        if have.get(name, {}).get("status") != "True"
    ]


def behind(names: Sequence[str], listings: Sequence[Listing]) -> dict[str, Behind]:
    """The Services by `NAMESPACE/NAME`, of which two listings each came: itself, its slices.

    Raises Unreadable.
    """
    found = {}
    for name, service, slices in zip(names, listings[::2], listings[1::2], strict=True):
        if service.http == 404:
            found[name] = Behind(found=False)
            continue
        spec = service.document["spec"]
        ports = spec.get("ports") or ()
        ready = [
            endpoint["addresses"][0]
            for part in slices.items
            for endpoint in part.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
        ]
        found[name] = Behind(
            True,
            spec.get("type") == "ExternalName",
            tuple(p["port"] for p in ports) + tuple(p["name"] for p in ports if "name" in p),
            tuple(sorted(ready)),
        )
    return found


def without_backend(routes: Sequence[Route], services: Mapping[str, Behind]) -> list[str]:
    """Why these routes lead nowhere."""
    faults = []
    for route in routes:
        if not route.service or not (service := services.get(route.backend)):
            continue
        if not service.found:
            faults.append(f"{route.owner}: {route} leads to {route.backend}, which is not there")
        elif service.external:
            continue
        elif route.port not in service.ports:
            faults.append(
                f"{route.owner}: {route} leads to port {route.port} of {route.backend}, which "
                "has no such port"
            )
        elif not service.ready:
            faults.append(
                f"{route.owner}: {route} leads to {route.backend}, which has no ready endpoint"
            )
    return list(dict.fromkeys(faults))
