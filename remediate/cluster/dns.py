"""DNS: spread CoreDNS's replicas over different nodes as soon as there are enough.

kubeadm creates them while the first control-plane node is the only node, so both run there, and a
running pod is never moved. On a node with several, all but one are deleted, one by one; by the
anti-affinity in kubeadm's Deployment the new ones are scheduled to other nodes. (A rollout does not
help: its new pods avoid the old ones too, and may end up on the same node.)

A CoreDNS of another name, from a manifest of the site's own, is reported and stays as it is.

Source: kubernetes.io, "Assigning Pods to Nodes", inter-pod anti-affinity.
"""

from collections.abc import Iterable
from contextlib import suppress

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
from hale.model.evidence import Unreadable
from remediate.cluster import kubeadm, kubectl, scripts

SUBJECT = "coredns"
PATIENCE = 120.0  # seconds for new replicas to be ready
JOINS, EVERY = 3600.0, 3.0  # seconds to wait for enough nodes, and between two polls


class CoreDnsSpread(Phase):
    """CoreDNS's replicas on different nodes."""

    name = "dns"
    title = "CoreDNS on different nodes"
    REMEDIATES = frozenset({"CMP-COREDNS"})
    DEPENDS_ON = ("workers",)  # before they join there are too few nodes

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The nodes of the replicas and kubeadm's Deployment, from the first control-plane node."""
        if host is not site.first_control_plane:
            return {}
        return {
            SUBJECT: (coredns.replicas_probe(),),
            nodes.SUBJECT: nodes.probes(host.address or host.name, nodes.ADDONS),
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Too few nodes with a ready replica, of a cluster that has kubeadm's CoreDNS."""
        if nodes.COREDNS not in kubeadm.addons(site):
            return ()
        there, _ = coredns.replicas(observations.of(site.first_control_plane.name, SUBJECT))
        if len(set(there)) >= site.dns_nodes or _is_of_the_site(site, observations):
            return ()
        where = ", ".join(sorted(set(there))) or "no node"
        detail = f"CoreDNS is ready on {where}, and must be on {site.dns_nodes} nodes"
        return (PhaseProblem(detail),)

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """A CoreDNS of another name."""
        if nodes.COREDNS not in kubeadm.addons(site) or not _is_of_the_site(site, observations):
            return ()
        detail = f"there is no {nodes.COREDNS}: cluster DNS is the site's own, and stays as it is"
        return (PhaseProblem(detail),)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Move the surplus replicas one by one, so that cluster DNS stays available."""
        first = (site.first_control_plane.name,)
        with suppress(Unreadable):
            if _is_of_the_site(site, observations):
                return
        enough = WaitFor(f"{site.dns_nodes} nodes are ready", first, _nodes, _few, JOINS, EVERY)
        yield Batch(wait_for=enough)
        script = scripts.load(
            "spread_coredns",
            kubectl=kubectl.shell_command(site.first_control_plane),
            nodes=str(site.dns_nodes),
        )
        yield Batch(
            (RunScript(site.first_control_plane.name, "CoreDNS is spread", script, timeout=600),),
            wait_for=WaitForPhase("CoreDNS is on different nodes", PATIENCE),
        )


def _is_of_the_site(site: ClusterContext, observations: Observations) -> bool:
    """Whether a cluster that is there has no Deployment of kubeadm's name. Raises Unreadable."""
    first = site.first_control_plane.name
    coredns.replicas(observations.of(first, SUBJECT))  # raises where there is no apiserver
    there = nodes.counted(observations.of(first, nodes.SUBJECT), (nodes.COREDNS,))
    return there[nodes.COREDNS] is None


def _nodes(site: ClusterContext, host: Host) -> Probes:
    return {nodes.SUBJECT: (nodes.probe(),)}


def _few(site: ClusterContext, observations: Observations) -> Problems:
    node_list = nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT))
    if not node_list.answers:
        return (PhaseProblem(node_list.why, site.first_control_plane.name),)
    ready = sum(node_list.nodes.values())
    detail = f"{ready} of {len(node_list.nodes)} nodes are ready"
    return () if ready >= site.dns_nodes else (PhaseProblem(detail),)
