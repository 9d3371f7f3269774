"""Addons: the manifests that the site names, applied at the end."""

from collections.abc import Iterable

from hale.install.site import Site
from hale.install.step import Asked, Seen, Wave
from hale.inventory import Host
from remediate.cluster import network

TITLE = "Addons"
NEEDS = ("workers",)


def probes(site: Site, host: Host) -> Asked:
    """Whether the manifests' objects are there."""
    return network.asked(site, host, site.cluster.addons) if site.cluster.addons else {}


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Objects that are not there."""
    return network.absent(site, seen, site.cluster.addons) if site.cluster.addons else ()


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Apply them."""
    if site.cluster.addons:
        yield network.applied(site, "addons", site.cluster.addons)
