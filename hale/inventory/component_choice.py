"""What an inventory may ask for as `ingress` and `dashboard`, and what it may not.

Sources: kubernetes.io, "Ingress NGINX Retirement" (November 2025; March 2026);
github.com/kubernetes-retired/dashboard; haproxy-ingress.github.io; gateway-api.sigs.k8s.io.
"""

from pathlib import Path

from msgspec import Struct

#: Before a colon: a GatewayClass of the Gateway API, and a file of objects.
GATEWAY, MANIFEST = "gateway", "manifest"

_ALIVE = (
    "Alive are traefik, which Hale installs; haproxy-ingress, Contour and NGINX Gateway Fabric by "
    "ingress=manifest:FILE; and what serves the Gateway API by ingress=gateway:CLASS."
)
#: Why a value is refused, by variable and value.
REFUSED = {
    ("ingress", "nginx"): "ingress-nginx was retired in March 2026 and is not installed. One that "
    f"is there is judged without this line. {_ALIVE}",
    ("ingress", "haproxy"): "Hale has no manifest for haproxy-ingress, whose release 0.16 serves "
    f"nothing where newer objects of the Gateway API are. {_ALIVE}",
}


class ComponentChoice(Struct, frozen=True):
    """kind: the first word. gateway_class, manifest: what is behind the colon."""

    kind: str
    gateway_class: str = ""
    manifest: Path | None = None
