"""DNS: spread CoreDNS's replicas over different nodes as soon as there are enough.

kubeadm creates them while the first control-plane node is the only node, so both run there, and a
running pod is never moved. On a node with several, all but one are deleted, one by one; by the
anti-affinity in kubeadm's Deployment the new ones are scheduled to other nodes. (A rollout does not
help: its new pods avoid the old ones too, and may end up on the same node.)

Source: kubernetes.io, "Assigning Pods to Nodes", inter-pod anti-affinity.
"""

from collections.abc import Iterable

from facts import coredns
from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    WaitFor,
    WaitForPhase,
)
from hale.inventory.ini import Host
from remediate.cluster import kubeadm, kubectl, scripts

SUBJECT = "coredns"
PATIENCE = 120.0  # seconds for new replicas to be ready
JOINS, EVERY = 3600.0, 3.0  # seconds to wait for enough nodes, and between two polls


class CoreDnsSpread(Phase):
    """CoreDNS's replicas on different nodes."""

    name = "dns"
    title = "CoreDNS on different nodes"
    DEPENDS_ON = ("workers",)  # before they join there are too few nodes

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The nodes of the replicas, from the first control-plane node."""
        return {SUBJECT: (coredns.replicas_probe(),)} if host is site.first_control_plane else {}

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Too few nodes with a ready replica, of a cluster that has kubeadm's CoreDNS."""
        if nodes.COREDNS not in kubeadm.addons(site):
            return ()
        there, _ = coredns.replicas(observations.of(site.first_control_plane.name, SUBJECT))
        if len(set(there)) >= site.dns_nodes:
            return ()
        where = ", ".join(sorted(set(there))) or "no node"
        detail = f"CoreDNS is ready on {where}, and must be on {site.dns_nodes} nodes"
        return (PhaseProblem(detail),)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Move the surplus replicas one by one, so that cluster DNS stays available."""
        first = (site.first_control_plane.name,)
        enough = WaitFor(f"{site.dns_nodes} nodes are ready", first, _nodes, _few, JOINS, EVERY)
        yield Batch(wait_for=enough)
        script = scripts.load(
            "spread_coredns", kubectl=kubectl.shell_command(site.first_control_plane)
        )
        yield Batch(
            (RunScript(site.first_control_plane.name, "CoreDNS is spread", script, timeout=600),),
            wait_for=WaitForPhase("CoreDNS is on different nodes", PATIENCE),
        )


def _nodes(site: ClusterContext, host: Host) -> Probes:
    return {nodes.SUBJECT: (nodes.probe(),)}


def _few(site: ClusterContext, observations: Observations) -> Problems:
    node_list = nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT))
    if not node_list.answers:
        return (PhaseProblem(node_list.why, site.first_control_plane.name),)
    ready = sum(node_list.nodes.values())
    detail = f"{ready} of {len(node_list.nodes)} nodes are ready"
    return () if ready >= site.dns_nodes else (PhaseProblem(detail),)
