"""The watchers: on a master that loses nothing, they look how whole the cluster is.

One asks etcd's members directly, so that they tell the truth while apiservers do not; members
that are gone must not delay the others, so each is asked beside the others. The other one asks
this master's own apiserver, one thing after the other, through a `kubectl proxy` that has a
socket of its own which only root can open; no key leaves the host.

Sources: etcd's "Health check", "gRPC gateway"; kubernetes.io, "Kubernetes API Concepts:
Receiving resources as Tables", "Leases"; kubectl-proxy(1).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from hale.drill.sampler import FOLDER, NOW
from hale.drill.workload import ADMIN, NAME
from hale.inventory.ini import Inventory

PERIOD = 0.5  # seconds between two looks at etcd
API_PERIOD = 1.0  # and at what the API tells
PROBE_TIMEOUT = 2  # seconds that a look waits
LEADERS = ("kube-controller-manager", "kube-scheduler")
# A leader renews every 2 s (--leader-elect-retry-period) and loses its lease after 15: longer
# than this without a renewal, nobody is at work.
RENEWED = 5.0

_ETCD = "/etc/kubernetes/pki/etcd"
_SOCKET = f"{FOLDER}/api.sock"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
_BEGIN = f"""
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -f
{NOW}
now; echo "begin $now"
"""


def etcd_script(known: Inventory) -> str:
    """The loop that asks etcd, in POSIX sh. With external etcd there is nobody to ask."""
    stacked = known.etcd_kind == "stacked"
    members = "".join(
        f"  etcd {h.name} https://{_host(h.address or h.name)}:2379/health &\n"
        for h in known.masters
        if stacked
    )
    return f"""{_BEGIN}
etcd() {{
  now; t=$now
  said=$(curl -q -sS --noproxy '*' --connect-timeout {PROBE_TIMEOUT} --max-time {PROBE_TIMEOUT} \\
    --capath /dev/null --cacert {_ETCD}/ca.crt --cert {_ETCD}/healthcheck-client.crt \\
    --key {_ETCD}/healthcheck-client.key "$2" 2>&1); r=$?
  set -- "$1" $said; name=$1; shift
  printf 'etcd %s %s %s %s\\n' "$name" "$t" "$r" "$*"
}}
while :; do
{members}  sleep {PERIOD}
done
"""


def api_script(*, spread: bool) -> str:
    """The loop that asks the API, in POSIX sh. spread: look at the Deployment's Pods too.

    Lines can be long, and only one process may write them. curl marks the end of each answer,
    so that one that does not come is not taken for the next.
    """
    tables = ["/api/v1/nodes?includeObject=None"]
    if spread:
        tables.append(f"/api/v1/namespaces/{NAME}/pods?includeObject=None")
    names = (*LEADERS, *(("nodes", "pods") if spread else ("nodes",)))
    ask = (
        f"curl -q -sS --max-time {PROBE_TIMEOUT} --unix-socket {_SOCKET} -A hale-drill -w '\\n@\\n'"
    )
    again = ask.removeprefix("curl -q ")
    leases = " ".join(f"'http://localhost{_LEASES}/{name}'" for name in LEADERS)
    lists = " ".join(f"'http://localhost{path}'" for path in tables)
    return f"""{_BEGIN}
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
flag() {{ sed -n "s/^ *- --$1=//p" $manifest | head -n 1; }}
server=$(flag advertise-address); port=$(flag secure-port)
case $server in *:*) server="[$server]";; esac
[ -n "$server" ] && [ -r {ADMIN} ] || {{ echo "this is no master of kubeadm's" >&2; exit 3; }}
rm -f {_SOCKET}
kubectl --kubeconfig={ADMIN} --server="https://$server:${{port:-6443}}" proxy \\
  --unix-socket={_SOCKET} >/dev/null 2>{FOLDER}/proxy.err &
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ ! -S {_SOCKET} ] || break; sleep 0.5
done
[ -S {_SOCKET} ] || {{ cat {FOLDER}/proxy.err >&2; exit 3; }}
table='Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
while :; do
  now
  {ask} {leases} --next {again} -H "$table" {lists} 2>/dev/null |
    awk -v t=$now 'BEGIN {{ split("{" ".join(names)}", name); n = 1 }}
      /^@$/ {{ if (!seen) print name[n] " . " t " 28 no answer"; n++; seen = 0; next }}
      length {{ print name[n] " . " t " 0 " $0; seen = 1 }}'
  sleep {API_PERIOD}
done
"""


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class Sample(Struct, frozen=True):
    """One answer. of: a master's name for etcd, else ""; told: None where there was no answer."""

    what: str
    of: str
    at: float  # seconds, by one clock
    told: Any


_LINE = re.compile(r"(etcd|nodes|pods|kube-[a-z-]+) (\S+) (\d{1,12}) (\d{1,3}) ?(.*)")


def parse_samples(raw: bytes) -> tuple[Sample, ...]:
    """Read a record, in order of time. Lines that are none of ours are no samples."""
    found = []
    for line in raw.decode(errors="backslashreplace").split("\n")[:-1]:
        cut = _LINE.fullmatch(line)
        if not cut:
            continue
        what, of, at, code, said = cut.groups()
        try:
            told = json.loads(said) if code == "0" else None
        except (ValueError, RecursionError):
            told = None
        told = told if isinstance(told, dict) else None
        found.append(Sample(what, of.removeprefix("."), int(at) / 100, told))
    return tuple(sorted(found, key=lambda s: s.at))


class HealthTimeline(Struct, frozen=True):
    """One thing over time: each stretch from a look to the next, whole or not, and why not."""

    name: str
    points: tuple[tuple[float, bool, str], ...]

    @property
    def whole(self) -> bool:
        """Whether it was at the last look; nothing seen is not whole."""
        return bool(self.points) and self.points[-1][1]

    @property
    def why(self) -> str:
        """What was wrong at the last look."""
        return self.points[-1][2] if self.points else "not seen yet"

    def broken(self, after: float) -> tuple[tuple[float, float | None], ...]:
        """The stretches in which it was not whole, from that moment on; None: it still is not."""
        found: list[tuple[float, float | None]] = []
        since: float | None = None
        for at, whole, _ in self.points:
            if at < after:
                continue
            if not whole and since is None:
                since = at
            elif whole and since is not None:
                found.append((since, at))
                since = None
        return (*found, (since, None)) if since is not None else tuple(found)


PoweredOff = Sequence[tuple[str, float, float]]  # host, and from when to when it has no power


def tracks(
    samples: Sequence[Sample], known: Inventory, replicas: int, dead: PoweredOff, until: float
) -> tuple[HealthTimeline, ...]:
    """What the samples say: etcd, leaders, nodes, and the Deployment's replicas if there are any.

    A replica on a host without power counts for nothing, whatever the cluster still thinks of it.
    """
    masters = [h.name for h in known.masters]
    found = []
    if known.etcd_kind == "stacked":
        of_etcd = [s for s in samples if s.what == "etcd"]
        found += [_quorum(of_etcd, masters), _members(of_etcd, masters)]
    found += [_leader(name, samples, until) for name in LEADERS]
    found.append(_nodes([s for s in samples if s.what == "nodes"], len(known.hosts)))
    if replicas:
        found.append(_replicas([s for s in samples if s.what == "pods"], replicas, dead))
    return tuple(found)


def _quorum(samples: Sequence[Sample], masters: Sequence[str]) -> HealthTimeline:
    """One healthy member is a quorum: its /health reads through the majority."""
    return _etcd("etcd quorum", samples, masters, lambda well: any(well.values()))


def _members(samples: Sequence[Sample], masters: Sequence[str]) -> HealthTimeline:
    return _etcd("etcd members", samples, masters, lambda well: all(well.values()))


def _etcd(
    name: str,
    samples: Sequence[Sample],
    masters: Sequence[str],
    whole: Callable[[Mapping[str, bool]], bool],
) -> HealthTimeline:
    well: dict[str, bool] = {}
    points = []
    for sample in samples:
        well[sample.of] = (sample.told or {}).get("health") in ("true", True)
        if len(well) < len(masters):
            continue
        ill = [m for m in masters if not well.get(m)]
        points.append((sample.at, whole(well), f"not healthy: {', '.join(ill)}" if ill else ""))
    return HealthTimeline(name, tuple(points))


class Renewal(Struct, frozen=True):
    """When a lease was first seen with that renewal, and whose it is."""

    at: float
    holder: str


def renewals(name: str, samples: Sequence[Sample]) -> tuple[Renewal, ...]:
    """Every renewal of a leader's lease that was seen."""
    found: list[Renewal] = []
    last = ""
    for sample in samples:
        spec = (sample.told or {}).get("spec") if sample.what == name else None
        if not isinstance(spec, dict):
            continue
        renewed, holder = str(spec.get("renewTime")), str(spec.get("holderIdentity") or "")
        if renewed != last and holder:
            found.append(Renewal(sample.at, holder.rpartition("_")[0] or holder))
            last = renewed
    return tuple(found)


def _leader(name: str, samples: Sequence[Sample], until: float) -> HealthTimeline:
    seen = renewals(name, samples)
    points: list[tuple[float, bool, str]] = []
    for renewal, after in pairwise([*seen, None]):
        assert renewal is not None
        points.append((renewal.at, True, f"leads: {renewal.holder}"))
        end = after.at if after else until
        if end - renewal.at > RENEWED:
            why = f"the lease of {renewal.holder} is not renewed"
            points.append((renewal.at + RENEWED, False, why))
    return HealthTimeline(name, tuple(points))


def rows(table: Mapping[str, Any] | None) -> list[dict[str, str]] | None:
    """A Table of the API as one dict a row, by the columns' names; None for what is no table."""
    try:
        assert table is not None
        names = [str(c["name"]) for c in table["columnDefinitions"]]
        listed = table.get("rows") or []
        return [dict(zip(names, map(str, row["cells"]), strict=True)) for row in listed]
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


def _nodes(samples: Sequence[Sample], hosts: int) -> HealthTimeline:
    points = []
    for sample in samples:
        table = rows(sample.told)
        if table is None:
            points.append((sample.at, False, "the API does not tell"))
            continue
        ill = [r["Name"] for r in table if r.get("Status", "").split(",")[0] != "Ready"]
        why = f"not Ready: {', '.join(ill)}" if ill else ""
        if len(table) < hosts:
            why = why or f"{len(table)} of {hosts} nodes"
        points.append((sample.at, not why, why))
    return HealthTimeline("nodes Ready", tuple(points))


def _replicas(samples: Sequence[Sample], replicas: int, dead: PoweredOff) -> HealthTimeline:
    points = []
    for sample in samples:
        table = rows(sample.told)
        if table is None:
            points.append((sample.at, False, "the API does not tell"))
            continue
        gone = {host for host, since, until in dead if since <= sample.at < until}
        ready = [
            r
            for r in table
            if r.get("Status") == "Running"
            and r.get("Ready") == "1/1"
            and r.get("Node") not in gone
        ]
        why = "" if len(ready) >= replicas else f"{len(ready)} of {replicas} replicas"
        points.append((sample.at, not why, why))
    return HealthTimeline("replicas", tuple(points))


def nodes_of(samples: Sequence[Sample]) -> set[str]:
    """The nodes on which replicas are Ready, at the last look."""
    last = next((s for s in reversed(samples) if s.what == "pods" and s.told), None)
    table = rows(last.told if last else None) or []
    return {r.get("Node", "") for r in table if r.get("Ready") == "1/1"}


def current_leader(name: str, samples: Sequence[Sample]) -> str:
    """Who leads, at the last look; "" where nobody was seen."""
    seen = renewals(name, samples)
    return seen[-1].holder if seen else ""
