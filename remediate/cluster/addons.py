"""Addons: the manifests that the inventory names, applied once, at the end."""

from collections.abc import Iterable

from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Phase, Probes, Problems
from hale.inventory.ini import Host
from remediate.cluster import network


class Addons(Phase):
    """The manifests that the inventory names as addons."""

    name = "addons"
    title = "Addons"
    DEPENDS_ON = ("workers",)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifests were applied, and their objects exist."""
        return network.object_probes(site, host, site.cluster.addons) if site.cluster.addons else {}

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of manifests that were not applied."""
        return (
            network.missing_objects(site, observations, site.cluster.addons)
            if site.cluster.addons
            else ()
        )

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifests since they were applied."""
        return network.differences(site, observations, site.cluster.addons)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply those that were not."""
        if site.cluster.addons:
            yield network.apply_batch(site, observations, "addons", site.cluster.addons)
