"""The load balancer knows the cluster's apiservers: the same files as before, now with its CA.

What `load_balancer` wrote before there was a CA believed whoever answered. From here on a backend
counts as up, and a master may hold the VIP, only while an apiserver says over verified TLS that
it is ready.
"""

from collections.abc import Iterable

from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations
from remediate.cluster import load_balancer

TITLE = "Health checks by /readyz"
NEEDS = ("load_balancer", "init")
PARTS = load_balancer.PARTS

not_applicable = load_balancer.not_applicable
probes = load_balancer.probes


def left(site: ClusterContext, seen: Observations) -> tuple[str, ...]:
    """As the load balancer's, once there is a CA."""
    if load_balancer.not_applicable(site):
        return ()
    if not load_balancer.ca(site, seen):
        return (f"{site.first_control_plane.name}: there is no CA yet",)
    return load_balancer.left(site, seen)


def waves(site: ClusterContext, seen: Observations) -> Iterable[Batch]:
    """As the load balancer's."""
    return load_balancer.waves(site, seen) if load_balancer.ca(site, seen) else ()
