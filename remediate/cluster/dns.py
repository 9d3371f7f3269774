"""DNS: CoreDNS's replicas go to different nodes, as soon as there are enough.

kubeadm makes them while the first master is the only node, so both are there, and a pod that runs
is never moved. Where a node has several, all but one of them are deleted, one after the other: by
the anti-affinity in kubeadm's Deployment the new ones go to other nodes. (A rollout does not do:
its new pods keep away from the old ones too, and may meet where none of those is.)

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
from remediate.cluster import kubectl, scripts

SUBJECT = "coredns"
PATIENCE = 120.0  # seconds for new replicas to be ready
JOINS, EVERY = 3600.0, 3.0  # seconds for enough nodes to be there, and between two looks


class CoreDnsSpread(Phase):
    """CoreDNS's replicas on different nodes."""

    name = "dns"
    title = "CoreDNS on different nodes"
    DEPENDS_ON = ("workers",)  # nobody has to look again and again until those are there

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Where the replicas are, as the first master tells."""
        return {SUBJECT: (coredns.replicas_probe(),)} if host is site.first_control_plane else {}

    def remaining(self, site: ClusterContext, seen: Observations) -> Problems:
        """On how few nodes they are."""
        there, _ = coredns.replicas(seen.of(site.first_control_plane.name, SUBJECT))
        if len(set(there)) >= site.dns_nodes:
            return ()
        where = ", ".join(sorted(set(there))) or "no node"
        detail = f"CoreDNS is ready on {where}, and must be on {site.dns_nodes} nodes"
        return (PhaseProblem(detail),)

    def batches(self, site: ClusterContext, seen: Observations) -> Iterable[Batch]:
        """Move those that are too many, one by one: the cluster's names are found meanwhile."""
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


def _few(site: ClusterContext, seen: Observations) -> Problems:
    told = nodes.read(seen.of(site.first_control_plane.name, nodes.SUBJECT))
    if not told.answers:
        return (PhaseProblem(told.why, site.first_control_plane.name),)
    ready = sum(told.nodes.values())
    detail = f"{ready} of {len(told.nodes)} nodes are ready"
    return () if ready >= site.dns_nodes else (PhaseProblem(detail),)
