"""The web dashboard: its replicas, its Service, its rights, and what it shows without a login.

Each master's own apiserver lists the dashboards that Hale knows by image or label (Headlamp, and
Kubernetes Dashboard, which was archived in January 2026 and is still judged), the bindings of their
ServiceAccounts, the rules of those roles, and their Services. Each master then requests the page
through the Service, and the API behind it without a login: 401 or 403 proves that there is one.
Any other answer that does not give the cluster away proves nothing, and is UNKNOWN.

A rule that names the Secrets it is for (`resourceNames`) is not one that reads Secrets. Where
nothing is found, that costs a master one connection to its apiserver. Logins are not tried.

Sources: headlamp.dev, "Installation", "In-cluster"; Kubernetes Dashboard's "Access control";
kubernetes.io, "Using RBAC Authorization"; facts/parsers/bindings.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers import api_objects, bindings
from facts.parsers.api_objects import KnownProgram, Listing, Workload
from facts.parsers.bindings import Binding
from facts.parsers.blanks import split_words
from facts.parsers.combined import agreed, read_addon
from facts.parsers.curl import NO_ACCESS
from hale.inventory.cluster_spec import NO_DASHBOARD
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import script_with

_SCRIPT = Path(__file__).with_suffix(".sh")


class DashboardParameters(Struct, frozen=True):
    """Whether the site requests one, as `dashboard` in its inventory does too."""

    requested: bool


class KnownDashboard(Struct, frozen=True):
    """api: a path behind which the cluster's API is; leak: an answer of it with objects (regex)."""

    program: KnownProgram
    api: str
    leak: str


KNOWN = (
    KnownDashboard(
        KnownProgram(("headlamp", "headlamp-k8s/headlamp"), ("headlamp",)),
        "/clusters/main/api/v1/namespaces",
        '"kind": *"NamespaceList"',
    ),
    KnownDashboard(
        KnownProgram(
            tuple(
                f"kubernetesui/{name}" for name in ("dashboard", "dashboard-web", "dashboard-api")
            ),
            ("kubernetes-dashboard",),
        ),
        "/api/v1/namespace",
        '"namespaces": *[[] *[{]',
    ),
)


class Requested(Struct, frozen=True):
    """One answer of a Service's port. what: `page` or `api`; shape: `page`, `leak` or `other`."""

    what: str
    service: str
    port: int
    scheme: str
    exit: int
    http: int
    shape: str
    path: str = "/"


class DashboardCluster(Struct, frozen=True):
    """What one master's apiserver lists, and what its Services answer from there."""

    workloads: tuple[Workload, ...]
    services: tuple[dict[str, Any], ...] = ()
    rights: tuple[str, ...] = ()
    answers: tuple[Requested, ...] = ()
    complete: bool = False


class DashboardRuntime(Struct, frozen=True):
    """The dashboards with their replicas, and the faults."""

    dashboards: str
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join([*self.faults, self.dashboards, *self.unread])


def probes(host: Host, cases: Sequence[Case[DashboardParameters]]) -> tuple[Probe, ...]:
    """A master's requests to its own apiserver, and to a dashboard if there is one."""
    if not host.is_master:
        return ()
    script = api_objects.shell([known.program for known in KNOWN]) + script_with(
        _SCRIPT, dashboards="\n".join(f"{known.api} {known.leak}" for known in KNOWN)
    )
    return (CommandProbe("dashboard", script, timeout=30, slow=True),)


def read_runtime(readings: ClusterView, case: Case[DashboardParameters]) -> DashboardRuntime:
    """The masters' answers combined. A fault of requests counts if one master has it.

    Raises NotApplicable where nothing is found and nothing requested. Raises Unreadable where no
    apiserver answers, masters contradict each other, or a login is not proven, and no fault is.
    """
    requested = case.parameters.requested or case.inventory.cluster.dashboard != NO_DASHBOARD
    clusters = read_addon(
        readings,
        case.inventory.masters,
        lambda its: _cluster(its.output("dashboard").lines),
        lambda cluster: bool(cluster.workloads),
        requested=requested,
    )
    faults, unread = agreed({host: _faults(c) for host, c in clusters.items()})
    open_to = {host: _open(c) for host, c in clusters.items() if c.workloads}
    faults += tuple(f"{host}: {text}" for host, (text, _) in open_to.items() if text)
    unread += tuple(f"{host}: {text}" for host, (_, text) in open_to.items() if text)
    described = _described(
        next((c for c in clusters.values() if c.workloads), DashboardCluster(()))
    )
    if unread and not faults:
        raise Unreadable("; ".join([described, *unread]))
    return DashboardRuntime(described, faults, unread)


def _cluster(lines: Sequence[str]) -> DashboardCluster | None:
    """What this master answers; None where it has no apiserver. Raises Unreadable."""
    return api_objects.parse_answer(lines, _parsed)


def _parsed(lines: Sequence[str], found: Mapping[str, tuple[Listing, ...]]) -> DashboardCluster:
    workloads = api_objects.workloads(found["workloads"])
    if not workloads:
        return DashboardCluster(())
    services = [s for listing in found["services"] for s in listing.items]
    return DashboardCluster(
        workloads,
        tuple(s for s in services if any(w.selected_by(s) for w in workloads)),
        tuple(_rights(workloads, bindings.read(found["bindings"]), found.get("roles", ()))),
        tuple(_requested(line) for line in lines if line.startswith(("page ", "api "))),
        "done" in lines,
    )


def _requested(line: str) -> Requested:
    what, service, port, scheme, exit_, http, shape, *path = split_words(line)
    return Requested(what, service, int(port), scheme, int(exit_), int(http), shape, *path)


def _rights(
    workloads: Sequence[Workload], found: Sequence[Binding], listings: Sequence[Listing]
) -> list[str]:
    """What its ServiceAccounts may do and must not. listings: the bindings' roles, in order."""
    roles: dict[tuple[str, str, str], Mapping[str, Any] | None] = {}
    for binding, listing in zip(found, listings, strict=True):
        where = binding.namespace if binding.role_kind == "Role" else ""
        gone = listing.http == 404
        roles[binding.role_kind, where, binding.role] = None if gone else listing.document
    return [
        f"{workload}'s ServiceAccount {workload.account}: {why}"
        for workload in workloads
        for binding in found
        if binding.has(workload.namespace, workload.account)
        and (why := bindings.too_much(binding, roles))
    ]


def _faults(cluster: DashboardCluster) -> list[str]:
    """What is wrong by the apiserver's lists."""
    if not cluster.workloads:
        return ["there is no dashboard that Hale knows"]
    faults = [workload.unready for workload in cluster.workloads if workload.unready]
    if not cluster.services:
        faults.append(f"no Service leads to {cluster.workloads[0]}")
    return [*faults, *cluster.rights]


def _open(cluster: DashboardCluster) -> tuple[str, str]:
    """What is wrong with its answers, and what they do not prove."""
    pages = [a for a in cluster.answers if a.what == "page" and a.http]
    paths = {k.api for k in KNOWN if any(k.program.runs(w) for w in cluster.workloads)}
    apis = [a for a in cluster.answers if a.what == "api" and a.http and a.path in paths]
    faults = []
    for service in cluster.services:
        name, kind = service["metadata"]["name"], service["spec"].get("type", "ClusterIP")
        plain = [a for a in pages if a.service == name and a.scheme == "http"]
        if kind in ("NodePort", "LoadBalancer") and plain:
            faults.append(f"Service {name} is a {kind} without TLS (port {plain[0].port})")
    leaks = [a for a in apis if a.shape == "leak" and a.http == 200]
    faults += [f"{a.service}:{a.port} shows the cluster's objects without a login" for a in leaks]
    if not cluster.complete:
        return "; ".join(faults), "not all was requested in time"
    unread = []
    if cluster.services and not any(a.http == 200 and a.shape == "page" for a in pages):
        answer = f"HTTP {pages[0].http}" if pages else "no answer"
        if all(a.http >= 500 for a in pages):
            faults.append(f"no page answers through its Services ({answer})")
        else:
            unread.append(f"what answers through its Services is no page ({answer})")
    if not any(a.http in NO_ACCESS for a in apis):
        unread.append("no answer proves that its API requires a login")
    return "; ".join(faults), "; ".join(unread)


def _described(cluster: DashboardCluster) -> str:
    parts = [
        f"{w} ({' '.join(w.images)}), {w.ready} of {w.wanted} replicas ready"
        for w in cluster.workloads
    ]
    return ", ".join(parts) or "no dashboard that Hale knows"
