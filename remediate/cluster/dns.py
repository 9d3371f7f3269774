"""DNS: CoreDNS's replicas go to different nodes, as soon as there are enough.

kubeadm makes them while the first master is the only node, so both are there, and a pod that runs
is never moved. Made anew one by one, the anti-affinity in kubeadm's Deployment spreads them.

Source: kubectl-rollout(1), "restart"; kubernetes.io, "Assigning Pods to Nodes".
"""

from collections.abc import Iterable

from facts import coredns, nodes
from hale.install.site import Site
from hale.install.step import Asked, Await, Run, Seen, Wave
from hale.inventory import Host
from remediate.cluster import kubectl

TITLE = "CoreDNS on different nodes"
NEEDS = ("workers",)

SUBJECT = "coredns"
PATIENCE = 120.0  # seconds for new replicas to be ready
JOINS = 1800.0  # seconds for enough nodes to be there, where masters have to be among them


def probes(site: Site, host: Host) -> Asked:
    """Nodes, and where the replicas are, as the first master tells."""
    if host is not site.first:
        return {}
    return {
        nodes.SUBJECT: (nodes.probe(host.address or host.name, ()),),
        SUBJECT: (coredns.replicas_probe(),),
    }


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """On how few nodes they are."""
    there, _ = coredns.replicas(seen.of(site.first.name, SUBJECT))
    if len(set(there)) >= site.dns_nodes:
        return ()
    where = ", ".join(sorted(set(there))) or "no node"
    return (f"CoreDNS is ready on {where}, and must be on {site.dns_nodes} nodes",)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Make them anew, one by one: the cluster's names are found meanwhile."""
    first = (site.first.name,)
    enough = Await(f"{site.dns_nodes} nodes are ready", first, probes, _few, JOINS)
    yield Wave(afterwards=enough)
    rollout = f"{kubectl.of(site.first)} -n kube-system rollout"
    script = kubectl.tried_again(
        f"{rollout} restart deployment coredns",
        f"{rollout} status deployment coredns --timeout {PATIENCE:.0f}s",
    )
    yield Wave(
        (Run(site.first.name, "CoreDNS is spread", script, timeout=PATIENCE + 30),),
        afterwards=Await("CoreDNS is on different nodes", first, probes, left, PATIENCE),
    )


def _few(site: Site, seen: Seen) -> tuple[str, ...]:
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return (f"{site.first.name}: {told.why}",)
    ready = sum(told.nodes.values())
    return () if ready >= site.dns_nodes else (f"{ready} of {len(told.nodes)} nodes are ready",)
