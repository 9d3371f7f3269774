"""The ingress controllers that are known, by image, label, and the name that classes have for them.

Sources: each project's documentation: doc.traefik.io, kubernetes.github.io/ingress-nginx (retired
in March 2026, still judged), haproxy-ingress.github.io, haproxy.com (kubernetes-ingress),
projectcontour.io, gateway.envoyproxy.io, docs.nginx.com, docs.konghq.com.
"""

from collections.abc import Sequence

from msgspec import Struct

from facts.parsers.api_objects import KnownProgram, Workload

#: Of a controller's workload that serves a page for unknown hosts, and routes nothing.
_PAGES = ("default-backend", "defaultbackend")


class IngressController(Struct, frozen=True):
    """ingress, gateway: what an IngressClass and a GatewayClass name; empty if it serves none.

    proxy: what carries its traffic, where that is another workload of its namespace.
    """

    name: str
    program: KnownProgram
    ingress: str = ""
    gateway: str = ""
    proxy: KnownProgram | None = None

    def names(self, given: str) -> bool:
        """Whether a class with this controller is one of its own; some add an instance's name."""
        return bool(given) and any(
            given == own or given.startswith(f"{own}/")
            for own in (self.ingress, self.gateway)
            if own
        )


KNOWN = (
    IngressController(
        "traefik",
        KnownProgram(("traefik",), ("traefik",)),
        "traefik.io/ingress-controller",
        "traefik.io/gateway-controller",
    ),
    IngressController(
        "ingress-nginx",
        KnownProgram(("ingress-nginx/controller", "nginx-ingress-controller"), ("ingress-nginx",)),
        "k8s.io/ingress-nginx",
    ),
    IngressController(
        "haproxy-ingress",
        KnownProgram(("haproxy-ingress",), ("haproxy-ingress",)),
        "haproxy-ingress.github.io/controller",
        "haproxy-ingress.github.io/controller",
    ),
    IngressController(
        "haproxytech",
        KnownProgram(("haproxytech/kubernetes-ingress",), ("kubernetes-ingress",)),
        "haproxy.org/ingress-controller",
    ),
    IngressController(
        "contour",
        KnownProgram(("projectcontour/contour",), ("contour",)),
        "projectcontour.io/ingress-controller",
        "projectcontour.io/gateway-controller",
        KnownProgram(("envoyproxy/envoy",), ("envoy",)),
    ),
    IngressController(
        "envoy-gateway",
        KnownProgram(("envoyproxy/gateway",), ("gateway-helm",)),
        "",
        "gateway.envoyproxy.io/gatewayclass-controller",
        KnownProgram(("envoyproxy/envoy",), ("envoy",)),
    ),
    IngressController(
        "nginx",
        KnownProgram(("nginx/nginx-ingress", "nginx-ingress"), ("nginx-ingress",)),
        "nginx.org/ingress-controller",
    ),
    IngressController(
        "nginx-gateway-fabric",
        KnownProgram(("nginx-gateway-fabric",), ("nginx-gateway-fabric",)),
        "",
        "gateway.nginx.org/nginx-gateway-controller",
    ),
    IngressController(
        "kong",
        KnownProgram(("kong/kubernetes-ingress-controller",), ("kong",)),
        "ingress-controllers.konghq.com/kong",
        "konghq.com/kic-gateway-controller",
    ),
)

PROGRAMS = tuple(p for c in KNOWN for p in (c.program, c.proxy) if p)


def installed(workloads: Sequence[Workload]) -> dict[IngressController, tuple[Workload, ...]]:
    """The controllers that are there, each with its workloads, those that carry its traffic too."""
    found: dict[IngressController, tuple[Workload, ...]] = {}
    routing = [w for w in workloads if w.labels.get("app.kubernetes.io/component") not in _PAGES]
    for controller in KNOWN:
        own = tuple(w for w in routing if controller.program.runs(w))
        near = {w.namespace for w in own}
        proxies = tuple(
            w
            for w in routing
            if w not in own
            and w.namespace in near
            and controller.proxy
            and controller.proxy.runs(w)
        )
        if own:
            found[controller] = own + proxies
    return found
