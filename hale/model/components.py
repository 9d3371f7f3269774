"""What `invoke install` adds to a cluster besides Kubernetes: the names of its objects."""

from msgspec import Struct


class AddedComponent(Struct, frozen=True):
    """A component. variable, value: what asks for it in the inventory. title: its name for people.

    name: of its workload, its Service and its pods' label app.kubernetes.io/name.
    """

    variable: str
    value: str
    title: str
    namespace: str
    name: str


INGRESS = AddedComponent("ingress", "traefik", "Traefik", "hale-ingress", "traefik")
FEDERATION = AddedComponent("federation", "karmada", "Karmada", "karmada-system", "karmada")
DASHBOARD = AddedComponent("dashboard", "headlamp", "Headlamp", "hale-dashboard", "headlamp")
#: The route that Hale's own manifest of the ingress has, before the site has any.
CHECK_HOST, CHECK_PATH = "hale-check.ingress.internal", "/ping"
