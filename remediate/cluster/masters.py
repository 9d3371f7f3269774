"""Masters: the others join, one at a time, and etcd is whole before the next one does.

A join that was cut off left anything from a file to a member of etcd that never started. Such a
host is known by what the cluster does not know of it: no node of its name that is marked as
control plane. Its member is removed if etcd's other members are all well, so that removing it
can cost no quorum; its node object too; then `kubeadm reset` on that host alone, and a new join.
A host whose join went through is never cleaned: it is waited for.

Sources: kubeadm-join(1), "The join workflow"; etcd's "gRPC gateway", /v3/cluster/member/remove;
etcd's "Learner" design.
"""

import hashlib
import math
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

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
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, FileProbe, Probe, Unreadable
from remediate.cluster import kubeadm, kubectl, scripts

PATIENCE = 180.0  # seconds for a master that has joined, until etcd and apiserver are well


class JoinControlPlane(Phase):
    """`kubeadm join` of the other control-plane nodes, one at a time."""

    name = "masters"
    title = "Masters join"
    DEPENDS_ON = ("images", "init")
    HOST_GROUPS = (MASTERS,)
    STAGGER_SECONDS = math.inf

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm came, what each apiserver and each etcd says."""
        if "masters" not in host.groups:
            return {}
        told = {nodes.SUBJECT: (nodes.probe(),)}
        return {**health_probes(site, host), **told}

    def remaining(self, site: ClusterContext, seen: Observations) -> Problems:
        """Masters that the cluster does not know as such, or that are not well."""
        return tuple(
            PhaseProblem(str(what), h.name)
            for h in site.current_masters
            if (what := _left(site, seen, h))
        )

    def preflight(self, site: ClusterContext, seen: Observations) -> tuple[str, ...]:
        """Nobody joins a cluster that is ill: one loss more might be the end of it."""
        joined = _joined(site, seen)
        if not joined:
            return ("no master's apiserver answers, so nobody can join; see `--plan` for init.",)
        strangers = joined - {h.name for h in site.masters}
        if strangers:
            return (
                f"the cluster has a master {min(strangers)} that [masters] does not name: is this "
                "another cluster, or was the inventory shortened? Nothing joins it.",
            )
        return ()

    def batches(self, site: ClusterContext, seen: Observations) -> Iterable[Batch]:
        """One master after the other, each only while all those before are well."""
        joined = _joined(site, seen)
        whole = [h for h in site.masters if h.name in joined]
        fresh = [h for h in site.current_masters if h.name not in joined]
        if ill := [
            h
            for h in whole
            if _unhealthy(site, seen, h) and not _leftover_of_cut_off_join(site, seen, h, joined)
        ]:
            yield Batch(wait_for=_well(whole, f"{ill[0].name} is well again", _unhealthy))
            return
        if not fresh:
            return
        if not whole:
            return
        by = whole[0]
        yield Batch((token(site, by), certificates(site, by)))
        pin = ca_pin(seen, by)
        for host in fresh:
            node = kubernetes.read(seen.of(host.name, kubernetes.SUBJECT))
            for step in () if node.untouched else clean(site, seen, host, whole):
                yield Batch((step,))
            secret = kubeadm.join(site, host, pin, master=True)
            others = _well(whole, "the other masters are well", _node_unhealthy, every=10.0)
            joins = RunScript(
                host.name,
                "kubeadm join",
                scripts.load("join_control_plane", readyz=kubernetes.READYZ),
                secret,
                600,
                is_kubeadm_work=True,
                watch_peers=others,
            )
            yield Batch((joins,))


def health_probes(site: ClusterContext, host: Host) -> Probes:
    """How this master is itself."""
    asked: dict[str, tuple[Probe, ...]] = {
        kubernetes.SUBJECT: (
            kubernetes.probe(stacked=site.etcd_is_stacked),
            kubernetes.readyz(),
            FileProbe(kubernetes.CA),
        ),
    }
    if site.etcd_is_stacked:
        asked["etcd"] = (CommandProbe("members", etcd.SCRIPT_SINGLE_SAMPLE, timeout=30, slow=True),)
    return asked


def _left(site: ClusterContext, seen: Observations, host: Host) -> str:
    joined = _joined(site, seen)
    if host.name not in joined:
        node = kubernetes.read(seen.of(host.name, kubernetes.SUBJECT))
        return "has not joined" if node.untouched else "its join was cut off"
    if _leftover_of_cut_off_join(site, seen, host, joined):
        return ""
    return str(_unhealthy(site, seen, host) or "")


class MemberState(Enum):
    """Why a control-plane node that has joined is not healthy."""

    NODE_UNHEALTHY = auto()  # its own kubelet, apiserver or etcd
    LEARNER = auto()  # etcd has a member, of this node or another, that does not vote yet
    NEVER_STARTED = auto()  # … or one that was added and never started


# What a join that was cut off leaves in etcd.
LEFTOVER_STATES = (MemberState.LEARNER, MemberState.NEVER_STARTED)


class MemberProblem(NamedTuple):
    """One control-plane node that is not healthy."""

    state: MemberState
    detail: str

    def __str__(self) -> str:
        return self.detail


def _unhealthy(site: ClusterContext, seen: Observations, host: Host) -> MemberProblem | None:
    """Why a control-plane node that has joined is not healthy; None where it is."""
    if (problem := _node_unhealthy(site, seen, host)) or not site.etcd_is_stacked:
        return problem
    said = etcd.parse_status(seen.of(host.name, "etcd"))
    members = said.members if isinstance(said, MemberStatus) else ()
    if learners := [m.name or f"{m.id:x}" for m in members if not m.voting]:
        detail = f"etcd's member {learners[0]} does not vote yet"
        return MemberProblem(MemberState.LEARNER, detail)
    if silent := [f"{m.id:x}" for m in members if not m.name]:
        detail = f"etcd's member {silent[0]} was added and never started"
        return MemberProblem(MemberState.NEVER_STARTED, detail)
    return None


def _node_unhealthy(site: ClusterContext, seen: Observations, host: Host) -> MemberProblem | None:
    """Why the node itself is not healthy, whatever the state of a join; None where it is."""
    detail = _node_detail(site, seen, host)
    return MemberProblem(MemberState.NODE_UNHEALTHY, detail) if detail else None


def _node_detail(site: ClusterContext, seen: Observations, host: Host) -> str:
    readings = seen.of(host.name, kubernetes.SUBJECT)
    if not kubernetes.read(readings).kubelet:
        return "its kubelet does not run"
    if not kubernetes.ready(readings):
        return "its apiserver is not ready"
    if not site.etcd_is_stacked:
        return ""
    try:
        said = etcd.parse_status(seen.of(host.name, "etcd"))
    except Unreadable as error:
        return str(error)
    if not isinstance(said, MemberStatus):
        return said
    return "" if said.healthy and said.leader else "its etcd is not healthy"


def _joined(site: ClusterContext, seen: Observations) -> frozenset[str]:
    """The masters that the cluster marks as such, as any of their apiservers tells."""
    for host in site.masters:
        told = nodes.read(seen.of(host.name, nodes.SUBJECT))
        if told.answers:
            return told.masters
    return frozenset()


def _leftover_of_cut_off_join(
    site: ClusterContext, seen: Observations, host: Host, joined: Collection[str]
) -> bool:
    """Whether this node is unhealthy only by what a join that was cut off left in etcd."""
    problem = _unhealthy(site, seen, host)
    return bool(problem and problem.state in LEFTOVER_STATES) and any(
        not kubernetes.read(seen.of(h.name, kubernetes.SUBJECT)).untouched
        for h in site.masters
        if h.name not in joined
    )


def _well(
    whole: Sequence[Host],
    title: str,
    unhealthy: Callable[[ClusterContext, Observations, Host], MemberProblem | None],
    every: float = 0.5,
) -> WaitFor:
    """Until nothing is wrong with these masters."""
    names = tuple(h.name for h in whole)

    def left(site: ClusterContext, seen: Observations) -> Problems:
        return tuple(
            PhaseProblem(str(what), h.name) for h in whole if (what := unhealthy(site, seen, h))
        )

    return WaitFor(title, names, health_probes, left, PATIENCE, every)


def ca_pin(seen: Observations, host: Host) -> str:
    """The CA's public key as kubeadm's discovery knows it: sha256:HEX, RFC 7469's pin."""
    file = seen.of(host.name, kubernetes.SUBJECT).file(kubernetes.CA)
    if file is None:
        raise UserError(f"{host.name} has no {kubernetes.CA}.")
    certificate = load_pem_x509_certificate("\n".join(file.lines).encode())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


def token(site: ClusterContext, by: Host) -> RunScript:
    """A token for this run. What an earlier run left in the cluster expires by itself."""
    # Made anew where this run has made it before: `kubeadm token create` wants it not to be there.
    script = f"""\
umask 077
kubeadm token delete {site.secrets.token.reveal().partition(".")[0]} >/dev/null 2>&1 </dev/null || :
kubeadm token create {kubeadm.CONFIG} >/dev/null
"""
    return RunScript(by.name, "token", script, kubeadm.token(site), 120, uploads=frozenset({TOKEN}))


def certificates(site: ClusterContext, by: Host) -> RunScript:
    """The control plane's certificates, encrypted with this run's key, which nobody else knows."""
    script = (
        "umask 077\nkubeadm init phase upload-certs --upload-certs --skip-certificate-key-print "
        f"{kubeadm.CONFIG}"
    )
    uploads = frozenset({CERTIFICATES})
    return RunScript(by.name, "certificates", script, kubeadm.token(site), 120, uploads=uploads)


def clean(
    site: ClusterContext, seen: Observations, host: Host, whole: Sequence[Host]
) -> list[RunScript]:
    """Take what a join that was cut off left out of the cluster, then off the host.

    Raises HaleError where etcd's other members are not all well: then nobody is removed.
    """
    by = whole[0]
    steps = []
    for other in whole if site.etcd_is_stacked else ():
        said = etcd.parse_status(seen.of(other.name, "etcd"))
        if not isinstance(said, MemberStatus) or not said.healthy or not said.leader:
            raise UserError(
                f"{host.name} has the remains of a join, and etcd on {other.name} is not well: "
                "removing a member now could cost the quorum. Mend etcd there first, then go on."
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
            "a join that was cut off is cleaned away",
            kubeadm.cleanup_script(site),
            timeout=180,
        )
    )
    return steps


def remove_etcd_member_script(host: Host) -> str:
    """Remove the etcd members of this host, by their peer URL."""
    address = f"[{host.address}]" if ":" in (host.address or "") else host.address
    url = f"https://{address}:2380"
    return scripts.load("remove_etcd_member", pki=etcd.PKI, port=str(etcd.PORT), url=url)
