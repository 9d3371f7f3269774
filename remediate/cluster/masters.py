"""Masters: the other control-plane nodes join one at a time; etcd is healthy before each join.

An interrupted join leaves anything from a file to an etcd member that never started. It is
recognised by the cluster having no control-plane node of that name, and by Hale's note that it
began the join (begun.py). Its member is removed, if all other members are healthy, so that the
removal cannot cost the quorum; then its node object; then `kubeadm reset` runs on that host only,
and it joins again. A host whose join has completed is never cleaned: the phase waits for it.

Sources: kubeadm-join(1), "The join workflow"; etcd's "gRPC gateway", /v3/cluster/member/remove;
etcd's "Learner" design.
"""

import math
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from facts import etcd
from facts.cluster import kubernetes, nodes
from facts.etcd import MemberStatus
from hale.install.cluster_context import MASTERS, ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    WaitFor,
)
from hale.install.secrets import CERTIFICATES, TOKEN
from hale.inventory.ini import Host
from hale.model.address import url_host
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, FileProbe, Probe, Unreadable
from remediate.cluster import begun, cluster_ca, kubeadm, kubectl, scripts

PATIENCE = 180.0  # seconds until a joined node's etcd and apiserver are healthy


class JoinControlPlane(Phase):
    """`kubeadm join` of the other control-plane nodes, one at a time."""

    name = "masters"
    title = "Masters join"
    DEPENDS_ON = ("images", "load_balancer", "init")
    HOST_GROUPS = (MASTERS,)
    STAGGER_SECONDS = math.inf

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got, and each apiserver's and etcd's status."""
        if not host.is_master:
            return {}
        return {**health_probes(site, host), nodes.SUBJECT: (nodes.probe(),)}

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Nodes that are not in the control plane yet, or not healthy."""
        return tuple(
            PhaseProblem(str(what), h.name)
            for h in site.current_masters
            if (what := _remaining(site, observations, h))
        )

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster that does not answer, or has control-plane nodes unknown to the inventory."""
        joined = _joined(site, observations)
        if not joined:
            return ("no master's apiserver answers, so no host can join; see `--plan` for init.",)
        strangers = joined - {h.name for h in site.masters}
        if strangers:
            return (
                f"the cluster has a master {min(strangers)} that [masters] does not name: is this "
                "another cluster, or was the inventory shortened? Nothing joins it.",
            )
        return begun.join_refusals(site, observations, site.current_masters)

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got on each control-plane node, and its cluster."""
        return begun.gate_probes(site, host) if host.is_master else {}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """What looks like an interrupted join, and is none that Hale began."""
        return begun.join_refusals(site, observations, site.masters)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """One join after the other, each only while all earlier nodes are healthy."""
        joined = _joined(site, observations)
        yield Batch(
            tuple(
                begun.forget_join(h)
                for h in site.current_masters
                if h.name in joined and _node(observations, h).join
            )
        )
        joined_hosts = [h for h in site.masters if h.name in joined]
        fresh = [h for h in site.current_masters if h.name not in joined]
        if unhealthy := [
            h
            for h in joined_hosts
            if _unhealthy(site, observations, h)
            and not _leftover_of_cut_off_join(site, observations, h, joined)
        ]:
            yield Batch(
                wait_for=_well(joined_hosts, f"{unhealthy[0].name} is healthy again", _unhealthy)
            )
            return
        if not fresh:
            return
        if not joined_hosts:
            return
        by = joined_hosts[0]
        yield Batch((token(site, by), certificates(site, by)))
        pin, ca = cluster_ca.pin(observations, by), cluster_ca.digest(observations, by)
        for host in fresh:
            untouched = _node(observations, host).untouched
            for step in () if untouched else clean(site, observations, host, joined_hosts):
                yield Batch((step,))
            secret = kubeadm.join(site, host, pin, master=True)
            others = _well(
                joined_hosts, "the other masters are healthy", _node_unhealthy, every=10.0
            )
            joins = RunScript(
                host.name,
                "kubeadm join",
                kubeadm.join_script(site, ca, master=True),
                secret,
                600,
                is_kubeadm_work=True,
                watch_peers=others,
            )
            yield Batch((joins,))


def health_probes(site: ClusterContext, host: Host) -> Probes:
    """The probes of this node's own health."""
    probes: dict[str, tuple[Probe, ...]] = {
        kubernetes.SUBJECT: (
            kubernetes.probe(stacked=site.etcd_is_stacked),
            kubernetes.readyz(),
            FileProbe(kubernetes.CA),
        ),
    }
    if site.etcd_is_stacked:
        probes["etcd"] = (
            CommandProbe("members", etcd.SCRIPT_SINGLE_SAMPLE, timeout=30, slow=True),
        )
    return probes


def _node(observations: Observations, host: Host) -> kubernetes.Node:
    return kubernetes.read(observations.of(host.name, kubernetes.SUBJECT))


def _remaining(site: ClusterContext, observations: Observations, host: Host) -> str:
    joined = _joined(site, observations)
    node = _node(observations, host)
    if host.name not in joined:
        return "has not joined" if node.untouched else "its join was interrupted"
    if node.join:
        return begun.END_NOT_NOTED
    if _leftover_of_cut_off_join(site, observations, host, joined):
        return ""
    return str(_unhealthy(site, observations, host) or "")


class MemberState(Enum):
    """Why a control-plane node that has joined is not healthy."""

    NODE_UNHEALTHY = auto()  # its own kubelet, apiserver or etcd
    LEARNER = auto()  # etcd has a member, of this node or another, that does not vote yet
    NEVER_STARTED = auto()  # … or one that was added and never started


# What a join that was interrupted leaves in etcd.
LEFTOVER_STATES = (MemberState.LEARNER, MemberState.NEVER_STARTED)


class MemberProblem(NamedTuple):
    """One control-plane node that is not healthy."""

    state: MemberState
    detail: str

    def __str__(self) -> str:
        return self.detail


def _unhealthy(
    site: ClusterContext, observations: Observations, host: Host
) -> MemberProblem | None:
    """Why a control-plane node that has joined is not healthy; None where it is."""
    if (problem := _node_unhealthy(site, observations, host)) or not site.etcd_is_stacked:
        return problem
    status = etcd.parse_status(observations.of(host.name, "etcd"))
    members = status.members if isinstance(status, MemberStatus) else ()
    if learners := [m.name or f"{m.id:x}" for m in members if not m.voting]:
        detail = f"etcd's member {learners[0]} does not vote yet"
        return MemberProblem(MemberState.LEARNER, detail)
    if silent := [f"{m.id:x}" for m in members if not m.name]:
        detail = f"etcd's member {silent[0]} was added and never started"
        return MemberProblem(MemberState.NEVER_STARTED, detail)
    return None


def _node_unhealthy(
    site: ClusterContext, observations: Observations, host: Host
) -> MemberProblem | None:
    """Why the node itself is not healthy, whatever the state of a join; None where it is."""
    detail = _node_detail(site, observations, host)
    return MemberProblem(MemberState.NODE_UNHEALTHY, detail) if detail else None


def _node_detail(site: ClusterContext, observations: Observations, host: Host) -> str:
    readings = observations.of(host.name, kubernetes.SUBJECT)
    if not kubernetes.read(readings).kubelet:
        return "its kubelet does not run"
    if not kubernetes.ready(readings):
        return "its apiserver is not ready"
    if not site.etcd_is_stacked:
        return ""
    try:
        status = etcd.parse_status(observations.of(host.name, "etcd"))
    except Unreadable as error:
        return str(error)
    if not isinstance(status, MemberStatus):
        return status
    return "" if status.healthy and status.leader else "its etcd is not healthy"


def _joined(site: ClusterContext, observations: Observations) -> frozenset[str]:
    """The names of the control-plane nodes, from the first apiserver that answers."""
    for host in site.masters:
        node_list = nodes.read(observations.of(host.name, nodes.SUBJECT))
        if node_list.answers:
            return node_list.masters
    return frozenset()


def _leftover_of_cut_off_join(
    site: ClusterContext, observations: Observations, host: Host, joined: Collection[str]
) -> bool:
    """Whether this node is unhealthy only by what a join that was interrupted left in etcd."""
    problem = _unhealthy(site, observations, host)
    return bool(problem and problem.state in LEFTOVER_STATES) and any(
        not kubernetes.read(observations.of(h.name, kubernetes.SUBJECT)).untouched
        for h in site.masters
        if h.name not in joined
    )


def _well(
    hosts: Sequence[Host],
    title: str,
    unhealthy: Callable[[ClusterContext, Observations, Host], MemberProblem | None],
    every: float = 0.5,
) -> WaitFor:
    """Wait until these nodes are healthy."""
    names = tuple(h.name for h in hosts)

    def pending(site: ClusterContext, observations: Observations) -> Problems:
        return tuple(
            PhaseProblem(str(what), h.name)
            for h in hosts
            if (what := unhealthy(site, observations, h))
        )

    return WaitFor(title, names, health_probes, pending, PATIENCE, every)


def token(site: ClusterContext, by: Host) -> RunScript:
    """Create this run's token. That of an earlier run expires by itself."""
    # `kubeadm token create` fails if the token exists, so one from earlier in this run goes first.
    script = f"""\
umask 077
kubeadm token delete {site.secrets.token.reveal().partition(".")[0]} >/dev/null 2>&1 </dev/null || :
kubeadm token create {kubeadm.CONFIG} >/dev/null
"""
    return RunScript(by.name, "token", script, kubeadm.token(site), 120, uploads=frozenset({TOKEN}))


def certificates(site: ClusterContext, by: Host) -> RunScript:
    """The control plane's certificates, encrypted with a key that only this run has."""
    script = (
        "umask 077\nkubeadm init phase upload-certs --upload-certs --skip-certificate-key-print "
        f"{kubeadm.CONFIG}"
    )
    uploads = frozenset({CERTIFICATES})
    return RunScript(by.name, "certificates", script, kubeadm.token(site), 120, uploads=uploads)


def clean(
    site: ClusterContext, observations: Observations, host: Host, joined_hosts: Sequence[Host]
) -> list[RunScript]:
    """Remove the leftovers of an interrupted join from the cluster, then from the host.

    Raises UserError, and removes nothing, if it is no join that Hale began, or if any other etcd
    member is unhealthy.
    """
    by = joined_hosts[0]
    node = _node(observations, host)
    ca = cluster_ca.digest(observations, by)
    if node.join is None or node.foreign_join(ca):
        raise UserError(begun.join_refusal(host, node, ca))
    steps = []
    for other in joined_hosts if site.etcd_is_stacked else ():
        status = etcd.parse_status(observations.of(other.name, "etcd"))
        if not isinstance(status, MemberStatus) or not status.healthy or not status.leader:
            raise UserError(
                f"{host.name} has leftovers of an interrupted join, and etcd on {other.name} is "
                "unhealthy: removing a member now could cost the quorum. Repair etcd there first."
            )
    if site.etcd_is_stacked:
        steps.append(
            RunScript(by.name, f"etcd forgets {host.name}", remove_etcd_member_script(host))
        )
    steps.append(
        RunScript(
            by.name,
            f"the cluster forgets {host.name}",
            f"{kubectl.shell_command(by)} delete node {shlex.quote(host.name)} "
            "--ignore-not-found --timeout=30s",
        )
    )
    steps.append(
        RunScript(
            host.name,
            "an interrupted join is cleaned up",
            kubeadm.cleanup_script(site, node.join),
            timeout=180,
        )
    )
    return steps


def remove_etcd_member_script(host: Host) -> str:
    """Remove the etcd members of this host, by their peer URL."""
    url = f"https://{url_host(str(host.address))}:2380"
    return scripts.load("remove_etcd_member", pki=etcd.PKI, port=str(etcd.PORT), url=url)
