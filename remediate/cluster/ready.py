"""Ready: all nodes and kubeadm's addons on them, before the final audit."""

from collections.abc import Iterable

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    WaitForPhase,
)
from hale.inventory.ini import Host
from remediate.cluster import kubeadm

PATIENCE = 300.0  # seconds for the network to come up on every node


class NodesReady(Phase):
    """Every node ready, and kubeadm's addons on them."""

    name = "ready"
    title = "All nodes are ready"
    DEPENDS_ON = (
        "readyz",
        "masters",
        "workers",
        "dns",
        "ingress",
        "dashboard",
        "federation",
        "addons",
    )

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The nodes, from the first control-plane node."""
        if host is not site.first_control_plane:
            return {}
        return {nodes.SUBJECT: nodes.probes(host.address or host.name, nodes.ADDONS)}

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Nodes and addons of kubeadm that are not ready."""
        readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
        node_list = nodes.read(readings)
        if not node_list.answers:
            return (PhaseProblem(node_list.why, site.first_control_plane.name),)
        problems = [
            PhaseProblem("the node is not ready", name)
            for name, ready in node_list.nodes.items()
            if not ready
        ]
        # An addon that is missing after init was removed by the site; the audit reports it.
        for addon, count in nodes.counted(readings, kubeadm.addons(site)).items():
            if count and count.ready < max(count.wanted, 1):
                problems.append(PhaseProblem(f"{addon}: {count.ready} of {count.wanted} are ready"))
        return tuple(problems)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Wait until they are ready."""
        return (Batch(wait_for=WaitForPhase("all nodes are ready", PATIENCE)),)
