"""Ready: every node of the cluster, and kubeadm's own addons on them, before anybody judges it."""

from collections.abc import Iterable

from facts import nodes
from hale.install.site import Site
from hale.install.step import Asked, Seen, Through, Wave
from hale.inventory import Host

TITLE = "All nodes are ready"
NEEDS = ("readyz", "masters", "workers", "dns", "addons")

PATIENCE = 300.0  # seconds for the network to come up on every node


def probes(site: Site, host: Host) -> Asked:
    """The nodes, as the first master tells."""
    if host is not site.first:
        return {}
    return {nodes.SUBJECT: nodes.probes(host.address or host.name, nodes.ADDONS)}


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Nodes that are not ready, and addons of kubeadm that are not."""
    readings = seen.of(site.first.name, nodes.SUBJECT)
    told = nodes.read(readings)
    if not told.answers:
        return (f"{site.first.name}: {told.why}",)
    said = [f"{name}: the node is not ready" for name, ready in told.nodes.items() if not ready]
    for addon, count in nodes.counted(readings, nodes.ADDONS).items():
        if count is None:
            said.append(f"there is no {addon}")
        elif count.ready < max(count.wanted, 1):
            said.append(f"{addon}: {count.ready} of {count.wanted} are ready")
    return tuple(said)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Wait for them."""
    return (Wave(afterwards=Through("all nodes are ready", PATIENCE)),)
