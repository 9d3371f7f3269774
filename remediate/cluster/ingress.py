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

from collections.abc import Mapping
from typing import ClassVar

from facts.cluster import kubernetes, nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, Probes
from hale.inventory.cluster_spec import INGRESS_PORTS
from hale.inventory.component_choice import GATEWAY
from hale.inventory.ini import Host
from hale.model.components import CHECK_HOST, CHECK_PATH, INGRESS
from remediate.cluster.components import ClusterComponent, ComponentPhase


class Ingress(ComponentPhase):
    """Traefik on every worker."""

    name = "ingress"
    title = "Ingress"
    REMEDIATES = frozenset({"CMP-INGRESS"})
    _judged: ClassVar[Mapping[str, str]] = {
        GATEWAY: "Hale installs no Gateway API: name its objects and its controller in addons"
    }
    _component = ClusterComponent(
        INGRESS,
        nodes.Object("apps/v1", "DaemonSet", INGRESS.name, INGRESS.namespace),
        "ingress-traefik.yaml.j2",
        (("check_host", CHECK_HOST), ("check_path", CHECK_PATH)),
    )

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The manifest's objects, and each worker's ports."""
        return {**super().probes(site, host), **self.gate_probes(site, host)}

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Each worker's ports; without workers a master's, so that `gate_problems` is consulted."""
        if not self._is_own(site) or host not in (site.workers or site.masters):
            return {}
        return {kubernetes.SUBJECT: (kubernetes.probe(stacked=site.etcd_is_stacked),)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster without a worker; a port that is in use."""
        return super().gate_problems(site, observations) or self.preflight(site, observations)

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A port that is in use."""
        return _ports_in_use(site, observations) if self._is_own(site) else ()


def _ports_in_use(site: ClusterContext, observations: Observations) -> tuple[str, ...]:
    """A program of a worker has one of its ports, and would lose its connections."""
    return tuple(
        f"{host.name}: port {port} is in use by {listening[port] or 'another program'}, and "
        "the ingress would take its connections. Stop it (`ss -ltnp`), or remove "
        "ingress=traefik."
        for host in site.workers
        for listening in (kubernetes.read(observations.of(host.name, kubernetes.SUBJECT)).ports,)
        for port in INGRESS_PORTS
        if port in listening
    )
