"""Workers: all join at once, beside the masters; then each has to be a ready node.

A worker whose join was cut off is reset, alone, and joins again: it holds nothing of the cluster.
"""

import shlex
from collections.abc import Iterable

from facts.cluster import kubernetes, nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, Phase, Probes, RunScript, Step, WaitForPhase
from hale.inventory.ini import Host
from hale.model.evidence import FileProbe, Probe
from remediate.cluster import kubeadm, kubectl, masters

PATIENCE = 300.0  # seconds for the network to come up on every worker


class JoinWorkers(Phase):
    """`kubeadm join` of all workers at once."""

    name = "workers"
    title = "Workers join"
    DEPENDS_ON = ("images/workers", "readyz/first", "network")

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm came on each worker; the nodes, as the first master tells."""
        asked: dict[str, tuple[Probe, ...]] = {}
        if host in site.workers:
            asked[kubernetes.SUBJECT] = (kubernetes.probe(stacked=site.etcd_is_stacked),)
        elif host is site.first_control_plane:
            asked[kubernetes.SUBJECT] = (FileProbe(kubernetes.CA),)
            asked[nodes.SUBJECT] = (nodes.probe(),)
        return asked

    def remaining(self, site: ClusterContext, seen: Observations) -> tuple[str, ...]:
        """Workers that are no nodes, and those that are not ready."""
        told = nodes.read(seen.of(site.first_control_plane.name, nodes.SUBJECT))
        if not told.answers:
            return (f"{site.first_control_plane.name}: {told.why}",)
        return tuple(f"{h.name}: {what}" for h in site.workers if (what := _left(seen, h, told)))

    def batches(self, site: ClusterContext, seen: Observations) -> Iterable[Batch]:
        """A token, all joins at once, and the wait for every worker."""
        told = nodes.read(seen.of(site.first_control_plane.name, nodes.SUBJECT))
        if not told.answers:
            return
        remains: list[Step] = []
        joins: list[Step] = []
        for host in site.workers:
            why = _left(seen, host, told)
            if why == _CUT_OFF:
                remains += _clean(site, host)
            if why in (_JOINS, _CUT_OFF):
                pin = masters.ca_pin(seen, site.first_control_plane)
                secret = kubeadm.join(site, host, pin, master=False)
                script = f"kubeadm join {kubeadm.CONFIG}"
                joins.append(
                    RunScript(host.name, "kubeadm join", script, secret, 300, is_kubeadm_work=True)
                )
            elif why and why != _NOT_READY:
                joins.append(RunScript(host.name, "kubelet", "systemctl restart kubelet"))
        if any(isinstance(s, RunScript) and s.is_kubeadm_work for s in joins):
            remains.append(masters.token(site, site.first_control_plane))
        yield Batch(tuple(remains))
        yield Batch(tuple(joins), wait_for=WaitForPhase("workers are ready", PATIENCE))


def _left(seen: Observations, host: Host, told: nodes.Nodes) -> str:
    node = kubernetes.read(seen.of(host.name, kubernetes.SUBJECT))
    if host.name not in told.nodes or not node.finalised:
        return _JOINS if node.untouched else _CUT_OFF
    if not node.kubelet:
        return "its kubelet does not run"
    return "" if told.nodes[host.name] else _NOT_READY


_JOINS, _CUT_OFF, _NOT_READY = "has not joined", "its join was cut off", "the node is not ready"


def _clean(site: ClusterContext, host: Host) -> list[Step]:
    # kubeadm refuses to join while a ready node of the same name exists.
    command = kubectl.shell_command(site.first_control_plane)
    return [
        RunScript(
            host.name,
            "a join that was cut off is cleaned away",
            kubeadm.cleanup_script(site),
            timeout=180,
        ),
        RunScript(
            site.first_control_plane.name,
            f"the cluster forgets {host.name}",
            f"{command} delete node {shlex.quote(host.name)} --ignore-not-found --timeout=30s",
        ),
    ]
