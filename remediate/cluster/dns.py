"""DNS: CoreDNS's replicas go to different nodes.

kubeadm makes them while the first master is the only node, so both are there, and a pod that runs
is never moved. Made anew one by one, the anti-affinity in kubeadm's Deployment spreads them.

Source: kubectl-rollout(1), "restart"; kubernetes.io, "Assigning Pods to Nodes".
"""

from collections.abc import Iterable

from facts import coredns
from hale.cluster import ADMIN
from hale.install.site import Site
from hale.install.step import Asked, Await, Run, Seen, Wave
from hale.inventory import Host

TITLE = "CoreDNS on different nodes"
NEEDS = ("workers",)

SUBJECT = "coredns"
PATIENCE = 120.0  # seconds for new replicas to be ready


def probes(site: Site, host: Host) -> Asked:
    """Where the replicas are, as the first master tells."""
    return {SUBJECT: (coredns.replicas_probe(),)} if host is site.first else {}


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """On how few nodes they are."""
    there, _ = coredns.replicas(seen.of(site.first.name, SUBJECT))
    if len(set(there)) >= site.dns_nodes:
        return ()
    where = ", ".join(sorted(set(there))) or "no node"
    return (f"CoreDNS is ready on {where}, and must be on {site.dns_nodes} nodes",)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Make them anew, one by one: the cluster's names are found meanwhile."""
    kubectl = (
        f"kubectl --kubeconfig {ADMIN} --server https://{site.first.address}:6443 -n kube-system"
    )
    script = (
        f"{kubectl} rollout restart deployment coredns\n"
        f"{kubectl} rollout status deployment coredns --timeout {PATIENCE:.0f}s\n"
    )
    yield Wave(
        (Run(site.first.name, "CoreDNS is spread", script, timeout=PATIENCE + 30),),
        afterwards=Await(
            "CoreDNS is on different nodes", (site.first.name,), probes, left, PATIENCE
        ),
    )
