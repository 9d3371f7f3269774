"""The federation: Karmada's control plane on this cluster, its members, and what proves them alive.

Each master's own apiserver lists the workloads that Hale knows by image, the APIService of Cluster
objects, and the Secrets of Karmada's namespace by name. Of those that end in `-cert` the public
certificates leave the host, and nothing else. Cluster objects and Leases are in Karmada's own
apiserver: the master asks it with the kubeconfig of a Secret of Karmada's, which stays in the shell
and in pipes. Where the cluster's own apiserver serves Cluster objects, that one is asked. Every
request is a GET.

A member in mode Pull renews a Lease itself; of one in mode Push the controller manager sees whether
it is ready, which counts as long as the leader of the controllers renews its Lease. No workload is
placed on a member and none is called there, so that this proves no path between the clusters.

Where nothing is found, that costs a master two connections to its apiserver. KubeFed and others are
not known. Sources: facts/parsers/karmada.py; karmada.io, "Cluster Status Maintenance".
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from facts.parsers import api_objects, karmada
from facts.parsers.api_objects import KnownProgram, Workload
from facts.parsers.blanks import BLANKS, is_decimal
from facts.parsers.combined import agreed, read_addon
from facts.parsers.curl import EXIT_CODES
from facts.parsers.karmada import FederationCluster, KarmadaLease, KarmadaState, MemberCluster
from hale.inventory.cluster_spec import NO_FEDERATION
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import load_script

_SCRIPT = Path(__file__).with_suffix(".sh")
_DAY = 86400.0
_UNREAD = {
    KarmadaState.MEMBER: "only karmada-agent is here: this cluster is a member, and the federation "
    "is judged from the cluster with its control plane",
    KarmadaState.NO_KUBECONFIG: "no Secret of its namespace has a kubeconfig that Hale knows",
    KarmadaState.UNKNOWN_KUBECONFIG: "the kubeconfig has no server, authority, client certificate "
    "and key in it, in the Secret",
    KarmadaState.NO_ADDRESS: "the apiserver that the kubeconfig names has no Service with an "
    "address:",
    KarmadaState.REFUSED: "Karmada's apiserver does not accept (HTTP 401) the kubeconfig in the "
    "Secret",
}


class FederationParameters(Struct, frozen=True):
    """Whether the site requests one, as `federation` in its inventory does too; replicas, on
    different nodes; days for which certificates must remain valid; the seconds after which a Lease
    is stale."""

    requested: bool
    replicas: int
    days: int
    lease_seconds: int


class FederationRuntime(Struct, frozen=True):
    """The control plane's workloads, the members with their mode, and the faults."""

    control_plane: str
    members: tuple[str, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join([*self.faults, self.control_plane, *self.members, *self.unread])


def probes(host: Host, cases: Sequence[Case[FederationParameters]]) -> tuple[Probe, ...]:
    """A master's requests to its own apiserver, and to Karmada's if there is one."""
    if not host.is_master:
        return ()
    script = api_objects.shell(karmada.PROGRAMS) + load_script(_SCRIPT)
    return (CommandProbe("federation", script, timeout=30, slow=True),)


def read_runtime(readings: ClusterView, case: Case[FederationParameters]) -> FederationRuntime:
    """The masters' answers combined.

    Raises NotApplicable where nothing is found and nothing requested. Raises Unreadable where no
    apiserver answers, masters contradict each other, or something is not proven, and no fault is.
    """
    wanted = case.parameters
    requested = wanted.requested or case.inventory.cluster.federation != NO_FEDERATION
    clusters = read_addon(
        readings,
        case.inventory.masters,
        lambda its: karmada.read(its.output("federation").lines),
        lambda cluster: cluster.found,
        requested=requested,
    )
    spread = min(wanted.replicas, len(case.inventory.hosts))
    faults, unread = agreed({h: [*_faults(c, wanted, spread)] for h, c in clusters.items()})
    for host, cluster in clusters.items():
        unread += tuple(f"{host}: {text}" for text in _unproven(cluster, wanted))
    # What most is known of describes it best.
    first = max(clusters.values(), key=lambda c: (c.members is not None, c.found))
    described = _described(first)
    members = tuple(map(_of_member, first.members or ()))
    if unread and not faults:
        raise Unreadable("; ".join([described, *members, *unread]))
    return FederationRuntime(described, members, faults, unread)


def _faults(cluster: FederationCluster, wanted: FederationParameters, spread: int) -> Iterator[str]:
    """What is wrong, in words that all masters have in common."""
    if not cluster.found:
        yield "there is no Karmada: no workload of it, and no APIService of Cluster objects"
        return
    control_plane = cluster.control_plane
    for workload in (*control_plane, *cluster.agents):
        yield from _unready(workload, cluster.nodes[str(workload)], spread)
    for name in karmada.NEEDED:
        if control_plane and not any(KnownProgram((name,)).runs(w) for w in control_plane):
            yield f"no workload runs {name}"
    for certificate in cluster.certificates or ():
        if certificate.ends - certificate.now < wanted.days * _DAY:
            yield f"{certificate} expires on {_date(certificate.ends)}"
        if certificate.begins > certificate.now:
            yield f"{certificate} is not valid before {_date(certificate.begins)}"
    if cluster.state is KarmadaState.ANSWERED:
        yield from _answered_faults(cluster, wanted)


def _unready(workload: Workload, nodes: Sequence[str], spread: int) -> Iterator[str]:
    if workload.unready:
        yield workload.unready
    elif len(set(nodes)) < spread and not karmada.AGENT.runs(workload):
        yield (
            f"{workload}: its ready replicas are on {len(set(nodes))} node(s): "
            f"{' '.join(nodes) or 'none'}; the loss of one would stop it"
        )


def _answered_faults(cluster: FederationCluster, wanted: FederationParameters) -> Iterator[str]:
    """What is wrong with Karmada's own objects."""
    if cluster.available is None:
        yield "Karmada's apiserver has no APIService v1alpha1.cluster.karmada.io"
    elif cluster.available[0] != "True":
        why = _why(cluster.available[1])
        yield f"the APIService v1alpha1.cluster.karmada.io is not available{why}"
    if cluster.members is not None and not cluster.members:
        yield "no cluster has joined"
    for member in cluster.members or ():
        if member.ready != "True":
            yield f"member {member.name} is not Ready{_why(member.reason)}"
        if member.mode == "Pull" and member.lease is None:
            yield f"member {member.name} (Pull) has no Lease"
        if member.lease is not None and member.lease.age > wanted.lease_seconds:
            yield f"member {member.name}: {_stale(wanted)}"
    for name, lease in cluster.leaders.items():
        if name in karmada.LEADERS and lease.age > wanted.lease_seconds:
            yield f"the leader of {name}: {_stale(wanted)}"


def _unproven(cluster: FederationCluster, wanted: FederationParameters) -> Iterator[str]:
    """What cannot be proven, for this master alone."""
    if not cluster.found:
        return
    if cluster.state is not KarmadaState.ANSWERED:
        yield _unanswered(cluster)
    else:
        for name in karmada.LEADERS:
            if name not in cluster.leaders:
                yield f"no Lease shows whether a leader of {name} works"
        if cluster.members is None and cluster.available and cluster.available[0] == "True":
            yield f"Karmada's apiserver answers HTTP {cluster.clusters_http} for Cluster objects"
        for member in cluster.members or ():
            if member.mode not in ("Push", "Pull"):
                yield f"member {member.name} has the unknown mode {member.mode!r}"
        if any(_is_ahead(lease, wanted) for lease in _leases(cluster)):
            yield "a Lease was renewed in the future of this host's clock"
    if not cluster.control_plane and not cluster.agents:
        yield "its components are no workloads of this cluster: their replicas are not known"
    elif cluster.control_plane and cluster.certificates is None:
        yield "the Secrets of its namespace cannot be read"
    elif cluster.control_plane and not cluster.certificates:
        yield "no Secret of its namespace, by the names -cert and -certs, has a certificate"


def _unanswered(cluster: FederationCluster) -> str:
    if cluster.state is KarmadaState.NO_ANSWER:
        code, _, why = cluster.detail.partition(" ")
        known = EXIT_CODES.get(int(code), f"curl ended with {code}") if is_decimal(code) else code
        # The waiting time differs from run to run; without it, equal answers compare equal.
        why = re.sub(r" after \d+ (ms|milliseconds)", "", why, flags=re.ASCII)
        return f"Karmada's apiserver does not answer: {known} ({why})"
    return f"{_UNREAD[cluster.state]} {cluster.detail}".strip(BLANKS)


def _leases(cluster: FederationCluster) -> Iterator[KarmadaLease]:
    yield from cluster.leaders.values()
    yield from (m.lease for m in cluster.members or () if m.lease is not None)


def _is_ahead(lease: KarmadaLease, wanted: FederationParameters) -> bool:
    return lease.age < -wanted.lease_seconds


def _stale(wanted: FederationParameters) -> str:
    return f"its Lease was not renewed for more than {wanted.lease_seconds} s"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _of_member(member: MemberCluster) -> str:
    """In words that stay the same from one audit to the next."""
    return f"member {member.name} ({member.mode}, {member.version or 'version unknown'})"


def _described(cluster: FederationCluster) -> str:
    parts = [
        f"{w} ({' '.join(w.images)}), {w.ready} of {w.wanted} replicas ready on "
        f"{' '.join(cluster.nodes[str(w)]) or 'no node'}"
        for w in (*cluster.control_plane, *cluster.agents)
    ]
    if not parts and cluster.registered:
        return "Cluster objects of Karmada in this cluster's own apiserver"
    return ", ".join(parts) or "no Karmada"
