"""The cluster's health over time, as watched from a control-plane node that keeps running.

One loop queries etcd's members directly, so that its records stay true while apiservers are down;
each member is queried on its own, so that an unreachable one does not delay the others. The other
loop queries the node's own apiserver through a `kubectl proxy` on a socket that only root can
open; no key leaves the host.

Sources: etcd's "Health check", "gRPC gateway"; kubernetes.io, "Kubernetes API Concepts:
Receiving resources as Tables", "Leases"; kubectl-proxy(1).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import Struct

from hale.drill.sampler import BEGIN, FOLDER
from hale.drill.workload import ADMIN, NAME
from hale.inventory.ini import Inventory
from hale.model.address import url_host
from hale.model.drill import ComponentKind
from hale.shell import arguments, load_script, script_with, variables

HERE = Path(__file__).parent
PERIOD = 0.5  # seconds between two samples of etcd
API_PERIOD = 1.0  # and of the API
PROBE_TIMEOUT = 2  # seconds
# A leader renews its lease every 2 s (--leader-elect-retry-period) and loses it after 15 s.
# Without a renewal for longer than this, the component counts as idle.
MAX_RENEWAL_GAP = 5.0


#: The components with leader election; the value is also the name of the Lease.
LEADERS = (ComponentKind.CONTROLLER_MANAGER, ComponentKind.SCHEDULER)

_ETCD = "/etc/kubernetes/pki/etcd"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def etcd_script(inventory: Inventory) -> str:
    """The loop that queries etcd, in POSIX sh. With external etcd it queries nothing."""
    members = (
        f"{h.name}=https://{url_host(h.address or h.name)}:2379/health"
        for h in inventory.masters
        if inventory.etcd_kind == "stacked"
    )
    script = script_with(
        HERE / "health_etcd.sh", pki=_ETCD, timeout=str(PROBE_TIMEOUT), period=str(PERIOD)
    )
    return f"{BEGIN}{arguments(*members)}{script}"


def api_script(*, workload: bool) -> str:
    """The loop that queries the API, in POSIX sh. workload: the workload's Pods as well."""
    tables = {"nodes": "/api/v1/nodes"}
    if workload:
        tables["pods"] = f"/api/v1/namespaces/{NAME}/pods"
    return own_api_script({name: f"{_LEASES}/{name}" for name in LEADERS}, tables)


def own_api_script(objects: Mapping[str, str], tables: Mapping[str, str], name: str = "api") -> str:
    """The loop that requests these paths of the host's own apiserver, by the records' names."""
    proxy = script_with(HERE / "health_api.sh", kubeconfig=ADMIN)
    return BEGIN + poll_script(name, proxy, objects, tables)


def poll_script(
    name: str, proxy: str, objects: Mapping[str, str], tables: Mapping[str, str]
) -> str:
    """The loop that requests paths through a `kubectl proxy`. proxy: shell that starts it."""
    given = variables(
        socket=f"{FOLDER}/{name}.sock",
        errors=f"{FOLDER}/{name}-proxy.err",
        timeout=str(PROBE_TIMEOUT),
        period=str(API_PERIOD),
        leases=" ".join(f"http://localhost{path}" for path in objects.values()),
        lists=" ".join(f"http://localhost{path}?includeObject=None" for path in tables.values()),
        names=" ".join((*objects, *tables)),
    )
    return given + proxy + load_script(HERE / "health_poll.sh")


class Sample(Struct, frozen=True):
    """One response, or none (answer None). member: an etcd member's host, otherwise empty."""

    source: str
    member: str
    at: float  # seconds, by one clock
    answer: Any


_LINE = re.compile(
    r"(etcd|nodes|pods|kube-[a-z-]+|members|binding|copies) (\S+) (\d{1,12}) (\d{1,3}) ?(.*)"
)


def parse_samples(raw: bytes) -> tuple[Sample, ...]:
    """Parse a record, in order of time. Lines of another form are ignored."""
    samples = []
    for line in raw.decode(errors="backslashreplace").split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        if not match:
            continue
        source, member, at, exit_status, body = match.groups()
        try:
            answer = json.loads(body) if exit_status == "0" else None
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else None
        samples.append(Sample(source, member.removeprefix("."), int(at) / 100, answer))
    return tuple(sorted(samples, key=lambda s: s.at))


class HealthTimeline(Struct, frozen=True):
    """A component over time. points: when it was sampled, whether it was healthy, why not."""

    kind: ComponentKind
    points: tuple[tuple[float, bool, str], ...]

    @property
    def healthy(self) -> bool:
        """Whether it was healthy at the last sample; False if there is none."""
        return bool(self.points) and self.points[-1][1]

    @property
    def detail(self) -> str:
        """What was wrong at the last sample."""
        return self.points[-1][2] if self.points else "not observed yet"

    def unhealthy_intervals(self, after: float) -> tuple[tuple[float, float | None], ...]:
        """Start and end of each unhealthy interval from `after` on; end None: still unhealthy."""
        intervals: list[tuple[float, float | None]] = []
        since: float | None = None
        for at, healthy, _ in self.points:
            if at < after:
                continue
            if not healthy and since is None:
                since = at
            elif healthy and since is not None:
                intervals.append((since, at))
                since = None
        return (*intervals, (since, None)) if since is not None else tuple(intervals)


PoweredOff = Sequence[tuple[str, float, float]]  # host; from when to when it had no power


def timelines(
    samples: Sequence[Sample], inventory: Inventory, replicas: int, dead: PoweredOff, until: float
) -> tuple[HealthTimeline, ...]:
    """The timelines of etcd, leaders, nodes and, if replicas is not 0, the workload.

    A replica on a host without power counts as down, whatever the cluster still reports.
    """
    masters = [h.name for h in inventory.masters]
    found = []
    if inventory.etcd_kind == "stacked":
        of_etcd = [s for s in samples if s.source == "etcd"]
        found += [_quorum(of_etcd, masters), _members(of_etcd, masters)]
    found += [_leader(kind, samples, until) for kind in LEADERS]
    found.append(_nodes([s for s in samples if s.source == "nodes"], len(inventory.hosts)))
    if replicas:
        found.append(_replicas([s for s in samples if s.source == "pods"], replicas, dead))
    return tuple(found)


def _quorum(samples: Sequence[Sample], masters: Sequence[str]) -> HealthTimeline:
    """One healthy member proves a quorum: /health is a linearizable read."""
    return _etcd(ComponentKind.ETCD_QUORUM, samples, masters, lambda states: any(states.values()))


def _members(samples: Sequence[Sample], masters: Sequence[str]) -> HealthTimeline:
    return _etcd(ComponentKind.ETCD_MEMBERS, samples, masters, lambda states: all(states.values()))


def _etcd(
    kind: ComponentKind,
    samples: Sequence[Sample],
    masters: Sequence[str],
    is_healthy: Callable[[Mapping[str, bool]], bool],
) -> HealthTimeline:
    states: dict[str, bool] = {}
    points = []
    for sample in samples:
        states[sample.member] = (sample.answer or {}).get("health") in ("true", True)
        if len(states) < len(masters):
            continue
        unhealthy = [m for m in masters if not states.get(m)]
        detail = f"not healthy: {', '.join(unhealthy)}" if unhealthy else ""
        points.append((sample.at, is_healthy(states), detail))
    return HealthTimeline(kind, tuple(points))


class Renewal(Struct, frozen=True):
    """The first sample of a lease with one renewal time, and the lease's holder."""

    at: float
    holder: str


def renewals(name: str, samples: Sequence[Sample]) -> tuple[Renewal, ...]:
    """Every observed renewal of a leader's lease."""
    observed: list[Renewal] = []
    last = ""
    for sample in samples:
        spec = (sample.answer or {}).get("spec") if sample.source == name else None
        if not isinstance(spec, dict):
            continue
        renewed, holder = str(spec.get("renewTime")), str(spec.get("holderIdentity") or "")
        if renewed != last and holder:
            observed.append(Renewal(sample.at, holder.rpartition("_")[0] or holder))
            last = renewed
    return tuple(observed)


def _leader(kind: ComponentKind, samples: Sequence[Sample], until: float) -> HealthTimeline:
    observed = renewals(kind, samples)
    points: list[tuple[float, bool, str]] = []
    for renewal, following in pairwise([*observed, None]):
        assert renewal is not None
        points.append((renewal.at, True, f"leader: {renewal.holder}"))
        end = following.at if following else until
        if end - renewal.at > MAX_RENEWAL_GAP:
            detail = f"{renewal.holder} does not renew its lease"
            points.append((renewal.at + MAX_RENEWAL_GAP, False, detail))
    return HealthTimeline(kind, tuple(points))


def table_rows(table: Mapping[str, Any] | None) -> list[dict[str, str]] | None:
    """The rows of an API Table, each by the columns' names; None if it is not a Table."""
    try:
        assert table is not None
        names = [str(c["name"]) for c in table["columnDefinitions"]]
        listed = table.get("rows") or []
        return [dict(zip(names, map(str, row["cells"]), strict=True)) for row in listed]
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


NO_ANSWER = "the API does not answer"


def _nodes(samples: Sequence[Sample], hosts: int) -> HealthTimeline:
    points = []
    for sample in samples:
        table = table_rows(sample.answer)
        if table is None:
            points.append((sample.at, False, NO_ANSWER))
            continue
        not_ready = [r["Name"] for r in table if r.get("Status", "").split(",")[0] != "Ready"]
        detail = f"not Ready: {', '.join(not_ready)}" if not_ready else ""
        if len(table) < hosts:
            detail = detail or f"{len(table)} of {hosts} nodes"
        points.append((sample.at, not detail, detail))
    return HealthTimeline(ComponentKind.NODES, tuple(points))


def _replicas(samples: Sequence[Sample], replicas: int, dead: PoweredOff) -> HealthTimeline:
    points = []
    for sample in samples:
        table = table_rows(sample.answer)
        if table is None:
            points.append((sample.at, False, NO_ANSWER))
            continue
        powered_off = {host for host, since, until in dead if since <= sample.at < until}
        ready = [
            r
            for r in table
            if r.get("Status") == "Running"
            and r.get("Ready") == "1/1"
            and r.get("Node") not in powered_off
        ]
        detail = "" if len(ready) >= replicas else f"{len(ready)} of {replicas} replicas"
        points.append((sample.at, not detail, detail))
    return HealthTimeline(ComponentKind.REPLICAS, tuple(points))


def replica_nodes(samples: Sequence[Sample]) -> set[str]:
    """The nodes with a Ready replica at the last sample."""
    last = next((s for s in reversed(samples) if s.source == "pods" and s.answer), None)
    table = table_rows(last.answer if last else None) or []
    return {r.get("Node", "") for r in table if r.get("Ready") == "1/1"}
