"""Karmada as a master's apiserver lists it, and what Karmada's own apiserver lists. Not a subject.

What facts/federation.sh prints. A control plane is known by its images; the objects of its members
are in its own apiserver, which that script asks with the kubeconfig of a Secret.

Sources: karmada.io, "Cluster Registration", "Key concepts"; Karmada 1.18.2, pkg/controllers/status
and pkg/controllers/cluster (conditions, leases), charts/karmada and artifacts/deploy (Secrets).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from typing import Any

from msgspec import Struct

from facts.parsers import api_objects
from facts.parsers.api_objects import KnownProgram, Listing, Workload
from facts.parsers.blanks import split_words
from hale.model.evidence import Unreadable

#: The components without which no workload reaches a member.
NEEDED = (
    "karmada-controller-manager",
    "karmada-scheduler",
    "karmada-aggregated-apiserver",
    "karmada-webhook",
)
AGENT = KnownProgram(("karmada-agent",))
CONTROL_PLANE = KnownProgram(
    (
        *NEEDED,
        "karmada-descheduler",
        "karmada-metrics-adapter",
        "karmada-scheduler-estimator",
        "karmada-search",
    )
)
#: What is Karmada's own in the namespace of its control plane, and somebody's elsewhere.
BESIDE = KnownProgram(("kube-apiserver", "kube-controller-manager", "etcd"))
PROGRAMS = (CONTROL_PLANE, AGENT, BESIDE)
#: The components of which one at a time works: its leader renews a Lease.
LEADERS = ("karmada-controller-manager", "karmada-scheduler")


class KarmadaState(Enum):
    """How far the script came on its way to Karmada's own apiserver."""

    NOT_REQUESTED = ""
    ANSWERED = "answered"
    MEMBER = "member"
    NO_KUBECONFIG = "no-kubeconfig"
    UNKNOWN_KUBECONFIG = "unknown-kubeconfig"
    NO_ADDRESS = "no-address"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"


class KarmadaLease(Struct, frozen=True):
    """When it was renewed, and the master's clock: seconds of the epoch."""

    renewed: float
    now: float

    @property
    def age(self) -> float:
        """Seconds since then; negative where one of two clocks is wrong."""
        return self.now - self.renewed


class MemberCluster(Struct, frozen=True):
    """A Cluster object. mode: Push or Pull; ready: the condition's status, empty without one."""

    name: str
    mode: str
    version: str
    ready: str
    reason: str
    lease: KarmadaLease | None


class HeldCertificate(Struct, frozen=True):
    """A certificate in a Secret, and the master's clock: seconds of the epoch."""

    secret: str
    key: str
    begins: float
    ends: float
    now: float

    def __str__(self) -> str:
        return f"{self.key} of the Secret {self.secret}"


class FederationCluster(Struct, frozen=True):
    """What one master found. nodes: of ready pods, by workload; certificates: None if not read.

    available: of the APIService of Cluster objects: the status and reason of its condition.
    members: None where they are not served (clusters_http says why).
    """

    workloads: tuple[Workload, ...]
    registered: bool
    state: KarmadaState = KarmadaState.NOT_REQUESTED
    detail: str = ""
    nodes: Mapping[str, tuple[str, ...]] = {}
    certificates: tuple[HeldCertificate, ...] | None = None
    available: tuple[str, str] | None = None
    clusters_http: int = 0
    members: tuple[MemberCluster, ...] | None = None
    leaders: Mapping[str, KarmadaLease] = {}

    @property
    def control_plane(self) -> tuple[Workload, ...]:
        """Karmada's own workloads and, in their namespace, its apiserver and etcd."""
        own = [w for w in self.workloads if CONTROL_PLANE.runs(w)]
        spaces = {w.namespace for w in own}
        beside = [w for w in self.workloads if BESIDE.runs(w) and w.namespace in spaces]
        return (*own, *beside) if own else ()

    @property
    def agents(self) -> tuple[Workload, ...]:
        """Of a member in mode Pull: it registers itself at a control plane elsewhere."""
        return tuple(w for w in self.workloads if AGENT.runs(w))

    @property
    def found(self) -> bool:
        """Whether there is any part of Karmada."""
        return bool(self.registered or self.control_plane or self.agents)


def read(lines: Sequence[str]) -> FederationCluster | None:
    """What a master's probe printed; None where it has no apiserver. Raises Unreadable."""
    return api_objects.parse_answer(lines, _parsed)


def _parsed(lines: Sequence[str], found: Mapping[str, tuple[Listing, ...]]) -> FederationCluster:
    workloads = api_objects.workloads(found["workloads"])
    (registration,) = found["registration"]
    if registration.http not in (200, 404):
        raise Unreadable(f"the apiserver answers HTTP {registration.http} for an APIService")
    cluster = FederationCluster(workloads, registration.http == 200)
    if not cluster.found:
        return cluster
    now = _now(lines)
    state, detail = _state(lines)
    members, clusters_http, available, leaders = None, 0, None, {}
    if state is KarmadaState.ANSWERED:
        clusters, registration, leases, elections = found["federation"]
        clusters_http, available = clusters.http, _available(registration)
        leaders = _leases(elections, now)
        if clusters_http == 200:
            renewed = _leases(leases, now)
            members = tuple(_member(c, renewed) for c in clusters.items)
    return FederationCluster(
        workloads,
        cluster.registered,
        state,
        detail,
        _nodes(workloads, found.get("pods", ())),
        _certificates(found, now),
        available,
        clusters_http,
        members,
        leaders,
    )


def _now(lines: Sequence[str]) -> float:
    for line in lines:
        if clock := re.fullmatch(r"now (\d{1,12})", line, re.ASCII):
            return float(clock[1])
    raise Unreadable("the host's `date` printed no time")


def _state(lines: Sequence[str]) -> tuple[KarmadaState, str]:
    """The last `karmada STATE DETAIL`. Raises Unreadable where the script did not come so far."""
    for line in reversed(lines):
        if line.startswith("karmada "):
            _, word, *detail = split_words(line, 2)
            return KarmadaState(word), "".join(detail)
    raise Unreadable("the answer is incomplete: nothing of Karmada's apiserver")


def _nodes(
    workloads: Sequence[Workload], listings: Sequence[Listing]
) -> Mapping[str, tuple[str, ...]]:
    """The nodes of ready pods, by workload: listings are in the workloads' order."""
    return {
        str(workload): tuple(sorted(row["Node"] for row in listing.rows if _is_ready(row)))
        for workload, listing in zip(workloads, listings, strict=True)
    }


def _is_ready(row: Mapping[str, Any]) -> bool:
    ready, _, containers = row["Ready"].partition("/")
    return bool(row["Status"] == "Running" and ready == containers)


def _available(listing: Listing) -> tuple[str, str] | None:
    """Status and reason of the APIService's condition; None where there is no such APIService."""
    if listing.http == 404:
        return None
    return _condition(listing.document, "Available")


def _condition(item: Mapping[str, Any], kind: str) -> tuple[str, str]:
    for condition in (item.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            return condition["status"], condition.get("reason", "")
    return "", ""


def _member(item: Mapping[str, Any], leases: Mapping[str, KarmadaLease]) -> MemberCluster:
    name = item["metadata"]["name"]
    return MemberCluster(
        name,
        item["spec"].get("syncMode", ""),
        (item.get("status") or {}).get("kubernetesVersion", ""),
        *_condition(item, "Ready"),
        leases.get(name),
    )


def _leases(listing: Listing, now: float) -> dict[str, KarmadaLease]:
    """By name. Raises Unreadable."""
    return {
        item["metadata"]["name"]: KarmadaLease(_seconds(item["spec"]["renewTime"]), now)
        for item in listing.items
        if item.get("spec", {}).get("renewTime")
    }


def _seconds(text: str) -> float:
    """Of a MicroTime, `2026-11-30T07:12:03.123456Z`. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


def _certificates(
    found: Mapping[str, tuple[Listing, ...]], now: float
) -> tuple[HeldCertificate, ...] | None:
    """Those of Secrets; None where the Secrets cannot be listed or read."""
    names = found.get("secrets")
    if names is None or any(listing.http != 200 for listing in names):
        return None
    listings = found.get("certificates", ())
    if any(listing.http != 200 for listing in listings):
        return None
    lines = [line for listing in listings for line in listing.lines]
    begins = [at for at, line in enumerate(lines) if line.startswith("certificate ")]
    certificates = []
    for at, end in pairwise([*begins, len(lines)]):
        _, secret, key = split_words(lines[at])
        certificates.append(_certificate(secret, key, lines[at + 1 : end], now))
    return tuple(certificates)


def _certificate(secret: str, key: str, lines: Sequence[str], now: float) -> HeldCertificate:
    """The first one of the key. Raises Unreadable."""
    from cryptography import x509  # slower to import than all of facts/, and not always needed

    try:
        first = x509.load_pem_x509_certificates("\n".join(lines).encode())[0]
    except (ValueError, IndexError) as error:
        raise Unreadable(f"{key} of the Secret {secret} cannot be read: {error}") from None
    begins, ends = first.not_valid_before_utc, first.not_valid_after_utc
    return HeldCertificate(secret, key, begins.timestamp(), ends.timestamp(), now)
