"""Addons: the manifests that the site names, applied at the end."""

from collections.abc import Iterable

from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Probes
from hale.inventory.ini import Host
from remediate.cluster import network

TITLE = "Addons"
NEEDS = ("workers",)


def probes(site: ClusterContext, host: Host) -> Probes:
    """Whether the manifests' objects are there."""
    return network.object_probes(site, host, site.cluster.addons) if site.cluster.addons else {}


def left(site: ClusterContext, seen: Observations) -> tuple[str, ...]:
    """Objects that are not there."""
    return network.missing_objects(site, seen, site.cluster.addons) if site.cluster.addons else ()


def waves(site: ClusterContext, seen: Observations) -> Iterable[Batch]:
    """Apply them."""
    if site.cluster.addons:
        yield network.apply_batch(site, "addons", site.cluster.addons)
