"""Workers: all join in parallel with the control-plane nodes; then each must be a ready node.

A worker on which a join that Hale began (begun.py) was interrupted is reset and joins again: it
holds no data of the cluster.
"""

import shlex
from collections.abc import Collection, Iterable
from enum import Enum

from facts.cluster import kubernetes, nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    Step,
    WaitForPhase,
)
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import FileProbe, Probe
from remediate.cluster import begun, cluster_ca, kubeadm, kubectl, masters

PATIENCE = 300.0  # seconds for the network to come up on every worker


class JoinWorkers(Phase):
    """`kubeadm join` of all workers at once."""

    name = "workers"
    title = "Workers join"
    DEPENDS_ON = ("images/workers", "readyz/first", "network")

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got on each worker; the nodes, from the first control-plane node."""
        probes: dict[str, tuple[Probe, ...]] = {}
        if host in site.workers:
            probes[kubernetes.SUBJECT] = (kubernetes.probe(stacked=site.etcd_is_stacked),)
        elif host is site.first_control_plane:
            probes[kubernetes.SUBJECT] = (FileProbe(kubernetes.CA),)
            probes[nodes.SUBJECT] = (nodes.probe(),)
        return probes

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Workers that are not nodes, or not ready."""
        node_list = nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT))
        if not node_list.answers:
            return (PhaseProblem(node_list.why, site.first_control_plane.name),)
        return tuple(
            PhaseProblem(state.value, h.name)
            for h in site.workers
            if (state := _state(observations, h, node_list))
        )

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got on each worker, and the cluster."""
        return begun.gate_probes(site, host) if site.workers else {}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """What looks like an interrupted join, and is none that Hale began."""
        return begun.join_refusals(site, observations, site.workers)

    def exemption_problems(
        self, site: ClusterContext, observations: Observations, exempt: Collection[str]
    ) -> tuple[str, ...]:
        """The same of workers that have a kubelet's kubeconfig: they would be joined again."""
        return begun.join_refusals(
            site, observations, [h for h in site.workers if h.name in exempt]
        )

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """What looks like an interrupted join, and is none that Hale began."""
        first = (site.first_control_plane,)
        return begun.join_refusals(site, observations, site.workers, first)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """A token, all joins in parallel, and the wait for every worker."""
        node_list = nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT))
        if not node_list.answers:
            return
        first = site.first_control_plane
        cleanups: list[Step] = []
        before: list[Step] = []
        joins: list[Step] = []
        for host in site.workers:
            state = _state(observations, host, node_list)
            if state is WorkerState.CUT_OFF:
                cleanups.append(_cleanup(site, observations, host))
                before.append(_forget_node(site, host))
            if state in (WorkerState.NOT_JOINED, WorkerState.CUT_OFF):
                pin = cluster_ca.pin(observations, first)
                secret = kubeadm.join(site, host, pin, master=False)
                ca = cluster_ca.digest(observations, first)
                script = kubeadm.join_script(site, ca, master=False)
                joins.append(
                    RunScript(host.name, "kubeadm join", script, secret, 300, is_kubeadm_work=True)
                )
            elif state is WorkerState.KUBELET_STOPPED:
                joins.append(
                    RunScript(host.name, "the stopped kubelet starts", "systemctl start kubelet")
                )
            elif state is WorkerState.NOT_NOTED:
                joins.append(begun.forget_join(host))
        if any(isinstance(s, RunScript) and s.is_kubeadm_work for s in joins):
            before.append(masters.token(site, first))
        yield Batch(tuple(cleanups))
        yield Batch(tuple(before))
        yield Batch(tuple(joins), wait_for=WaitForPhase("workers are ready", PATIENCE))


class WorkerState(Enum):
    """Why a worker is not a ready node; value: the message."""

    NOT_JOINED = "has not joined"
    CUT_OFF = "its join was interrupted"
    KUBELET_STOPPED = "its kubelet does not run"
    NOT_READY = "the node is not ready"
    NOT_NOTED = begun.END_NOT_NOTED


def _state(observations: Observations, host: Host, node_list: nodes.Nodes) -> WorkerState | None:
    """Why the worker is not a ready node; None if it is."""
    node = kubernetes.read(observations.of(host.name, kubernetes.SUBJECT))
    if host.name not in node_list.nodes or not node.finalised:
        return WorkerState.NOT_JOINED if node.untouched else WorkerState.CUT_OFF
    if not node.kubelet:
        return WorkerState.KUBELET_STOPPED
    if node.join:
        return WorkerState.NOT_NOTED
    return None if node_list.nodes[host.name] else WorkerState.NOT_READY


def _cleanup(site: ClusterContext, observations: Observations, host: Host) -> Step:
    """Raises UserError if it is no join that Hale began."""
    node = kubernetes.read(observations.of(host.name, kubernetes.SUBJECT))
    ca = cluster_ca.digest(observations, site.first_control_plane)
    if node.join is None or node.foreign_join(ca):
        raise UserError(begun.join_refusal(host, node, ca))
    script = kubeadm.cleanup_script(site, node.join)
    return RunScript(host.name, "an interrupted join is cleaned up", script, timeout=180)


def _forget_node(site: ClusterContext, host: Host) -> Step:
    # kubeadm refuses to join while a ready node of the same name exists.
    command = kubectl.shell_command(site.first_control_plane)
    return RunScript(
        site.first_control_plane.name,
        f"the cluster forgets {host.name}",
        f"{command} delete node {shlex.quote(host.name)} --ignore-not-found --timeout=30s",
    )
