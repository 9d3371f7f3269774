"""Ingress: Traefik on every worker, which answers there on ports 80 and 443.

Its manifest is Hale's own (templates/ingress-traefik.yaml.j2). It is applied once and then left to
the site, as every manifest is (network.py); the phase waits until Traefik is ready on each worker.
It has one route, of Hale's own, for `CHECK_HOST`: CMP-INGRESS can request it before the site has
any.

The CNI's port mapping redirects a worker's ports to the pod, also where a program of the host
listens on them already. So its name is reported before anything is applied.

Sources: doc.traefik.io, "Kubernetes Ingress Routing Configuration", "EntryPoints", "Ping";
kubernetes.io, "Configuration Best Practices" (hostPort), "DaemonSet", "Pod Security Standards".
"""

from collections.abc import Iterable

from facts.cluster import kubernetes, nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Phase, Probes, Problems
from hale.inventory.ini import Host
from remediate.cluster.components import ClusterComponent

CHECK_HOST = "hale-check.ingress.internal"
TRAEFIK = ClusterComponent(
    "traefik",
    "ingress",
    "Traefik",
    nodes.Object("apps/v1", "DaemonSet", "traefik", "hale-ingress"),
    "ingress-traefik.yaml.j2",
    (("check_host", CHECK_HOST),),
)
PORTS = (80, 443)


class Ingress(Phase):
    """Traefik on every worker."""

    name = "ingress"
    title = "Ingress"
    DEPENDS_ON = ("workers",)
    REMEDIATES = frozenset({"CMP-INGRESS"})

    def skip_reason(self, site: ClusterContext) -> str:
        """Where the inventory asks for none."""
        return "" if site.cluster.ingress == "traefik" else "the inventory asks for no ingress"

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The manifest's objects, and each worker's ports."""
        if self.skip_reason(site):
            return {}
        return {**TRAEFIK.probes(site, host), **self.gate_probes(site, host)}

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Each worker's ports; without workers a master's, so that `gate_problems` is consulted."""
        if self.skip_reason(site) or host not in (site.workers or site.masters):
            return {}
        return {kubernetes.SUBJECT: (kubernetes.probe(stacked=site.etcd_is_stacked),)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster without a worker, on which no Traefik would run; a port that is in use."""
        if self.skip_reason(site):
            return ()
        if not site.workers:
            return (
                "ingress=traefik needs a worker: Traefik does not run on control-plane nodes. Add "
                "one to [workers], or remove the line and name a manifest of your own in addons.",
            )
        return _ports_in_use(site, observations)

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A port that is in use by now."""
        return () if self.skip_reason(site) else _ports_in_use(site, observations)

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied; then pods that are not ready."""
        return () if self.skip_reason(site) else TRAEFIK.remaining(site, observations)

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        return () if self.skip_reason(site) else TRAEFIK.differences(site, observations)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it, and wait for its pods."""
        return () if self.skip_reason(site) else (TRAEFIK.batch(site, observations),)


def _ports_in_use(site: ClusterContext, observations: Observations) -> tuple[str, ...]:
    """A program of a worker has one of its ports, and would lose its connections."""
    return tuple(
        f"{host.name}: port {port} is in use by {listening[port] or 'another program'}, and "
        "the ingress would take its connections. Stop it (`ss -ltnp`), or remove "
        "ingress=traefik."
        for host in site.workers
        for listening in (kubernetes.read(observations.of(host.name, kubernetes.SUBJECT)).ports,)
        for port in PORTS
        if port in listening
    )
