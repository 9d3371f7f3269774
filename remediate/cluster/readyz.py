"""The load balancer verifies the apiservers: the same files as before, now with the cluster's CA.

Before there is a CA, `load_balancer` has to trust any certificate. After this phase a backend
counts as up, and a control-plane node may hold the VIP, only while an apiserver reports over
verified TLS that it is ready.
"""

from collections.abc import Iterable

from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Phase, PhaseProblem, Probes, Problems
from hale.inventory.ini import Host
from remediate.cluster import load_balancer

_LOAD_BALANCER = load_balancer.LoadBalancer()


class VerifiedHealthChecks(Phase):
    """haproxy's and keepalived's health checks by /readyz over verified TLS."""

    name = "readyz"
    title = "Health checks by /readyz"
    DEPENDS_ON = ("load_balancer", "init")
    GATED = True
    PREPARES_HOSTS = True
    REMEDIATES = load_balancer.LoadBalancer.REMEDIATES
    HOST_GROUPS = load_balancer.LoadBalancer.HOST_GROUPS

    def skip_reason(self, site: ClusterContext) -> str:
        """The load balancer's."""
        return _LOAD_BALANCER.skip_reason(site)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The load balancer's."""
        return _LOAD_BALANCER.probes(site, host)

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The load balancer's, once there is a CA."""
        if self.skip_reason(site):
            return ()
        if not load_balancer.ca(site, observations):
            return (PhaseProblem("there is no CA yet", site.first_control_plane.name),)
        return _LOAD_BALANCER.remaining(site, observations)

    def unfinished(self, site: ClusterContext, observations: Observations, host: str) -> bool:
        """The first install was interrupted before this phase or within it."""
        if self.skip_reason(site):
            return False
        masters = {h.name for h in site.masters}
        return host in masters and load_balancer.lacks_verified_checks(observations, host)

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """The load balancer's."""
        return _LOAD_BALANCER.differences(site, observations)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The load balancer's, once there is a CA."""
        return (
            _LOAD_BALANCER.batches(site, observations)
            if load_balancer.ca(site, observations)
            else ()
        )
