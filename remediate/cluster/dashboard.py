"""Dashboard: Headlamp, two replicas behind a Service of the cluster alone.

Its manifest is Hale's own (templates/dashboard-headlamp.yaml.j2), applied once and then left to the
site, as every manifest is (network.py). Its ServiceAccount has no role: a user logs in with a token
of their own, and sees what that may read.

Sources: headlamp.dev, "Installation", "In-cluster" (kubernetes-headlamp.yaml: arguments, port);
github.com/kubernetes-sigs/headlamp, charts/headlamp/values.yaml (user and group of the image).
"""

from collections.abc import Iterable

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Phase, Probes, Problems
from hale.inventory.ini import Host
from remediate.cluster.components import ClusterComponent

HEADLAMP = ClusterComponent(
    "headlamp",
    "dashboard",
    "Headlamp",
    nodes.Object("apps/v1", "Deployment", "headlamp", "hale-dashboard"),
    "dashboard-headlamp.yaml.j2",
)


class Dashboard(Phase):
    """Headlamp."""

    name = "dashboard"
    title = "Dashboard"
    DEPENDS_ON = ("workers",)
    REMEDIATES = frozenset({"CMP-DASHBOARD"})

    def skip_reason(self, site: ClusterContext) -> str:
        """Where the inventory asks for none."""
        return "" if site.cluster.dashboard == "headlamp" else "the inventory asks for no dashboard"

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest was applied, and its objects exist."""
        return {} if self.skip_reason(site) else HEADLAMP.probes(site, host)

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Any, without workers, so that `gate_problems` is consulted."""
        return {} if self.skip_reason(site) or site.workers else {nodes.SUBJECT: (nodes.probe(),)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster without a worker, on which it would run nowhere."""
        if self.skip_reason(site) or site.workers:
            return ()
        return (
            "dashboard=headlamp needs a worker: Headlamp does not run on control-plane nodes. Add "
            "one to [workers], or remove the line and name a manifest of your own in addons.",
        )

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied; then pods that are not ready."""
        return () if self.skip_reason(site) else HEADLAMP.remaining(site, observations)

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        return () if self.skip_reason(site) else HEADLAMP.differences(site, observations)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it, and wait for its pods."""
        return () if self.skip_reason(site) else (HEADLAMP.batch(site, observations),)
