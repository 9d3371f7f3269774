"""Dashboard: Headlamp, two replicas behind a Service of the cluster alone.

Its manifest is Hale's own (templates/dashboard-headlamp.yaml.j2), applied once and then left to the
site, as every manifest is (network.py). Its ServiceAccount has no role: a user logs in with a token
of their own, and sees what that may read.

Sources: headlamp.dev, "Installation", "In-cluster" (kubernetes-headlamp.yaml: arguments, port);
github.com/kubernetes-sigs/headlamp, charts/headlamp/values.yaml (user and group of the image).
"""

from collections.abc import Mapping
from typing import ClassVar

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Probes
from hale.inventory.ini import Host
from hale.model.components import DASHBOARD
from remediate.cluster.components import ClusterComponent, ComponentPhase


class Dashboard(ComponentPhase):
    """Headlamp."""

    name = "dashboard"
    title = "Dashboard"
    REMEDIATES = frozenset({"CMP-DASHBOARD"})
    _judged: ClassVar[Mapping[str, str]] = {
        "kubernetes-dashboard": "Kubernetes Dashboard was archived in January 2026: one that is "
        "there is judged, and none is installed"
    }
    _component = ClusterComponent(
        DASHBOARD,
        nodes.Object("apps/v1", "Deployment", DASHBOARD.name, DASHBOARD.namespace),
        "dashboard-headlamp.yaml.j2",
    )

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Any, without workers, so that `gate_problems` is consulted."""
        return {} if not self._is_own(site) or site.workers else {nodes.SUBJECT: (nodes.probe(),)}
