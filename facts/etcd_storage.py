"""The size of etcd's database against its quota, and how long its disk takes.

Both are read from the member's own metrics, at the loopback address that its manifest names, or at
its port for clients with the certificate that kubeadm creates for health checks. The quota is the
one that the process runs with. An alarm, which counts for all members, is in the answer of /health.

The times of the log are those of all writes since the process started: a disk that became slow
since then shows late, after some hundredths of all its writes. The percentile is interpolated
between the limits of the histogram, as Prometheus does it.

Sources: etcd's "Metrics", "Monitoring etcd" (--listen-metrics-urls, /health), "Maintenance" (space
quota), configuration flags (quota-backend-bytes: 0 is the default of 2 GiB, less than 0 none), FAQ
and hardware guide (fsync); Prometheus, histogram_quantile().
"""

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from facts import etcd
from facts.parsers import static_pod
from facts.parsers.curl import EXIT_CODES
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import script_with

MANIFEST = static_pod.manifest_of("etcd")
DEFAULT_QUOTA = 2 << 30
MIB = 1 << 20
QUANTILE = 0.99
SIZE, USED = "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes"
QUOTA = "etcd_server_quota_backend_bytes"
BUCKET = re.compile(
    r"etcd_disk_wal_fsync_duration_seconds_bucket\{le=\"([^\"]{1,20})\"\} (\S{1,30})", re.ASCII
)
_VALUE = re.compile(r"(\w+) ([0-9.e+]{1,30})", re.ASCII)

SCRIPT = PRELUDE + script_with(
    Path(__file__).with_suffix(".sh"), manifest=MANIFEST, pki=etcd.PKI, port=str(etcd.PORT)
)


class EtcdStorageParameters(Struct, frozen=True):
    """what: `size`, of which `most` is in percent of the quota, or `fsync`, in milliseconds.

    least_writes: the number of writes below which their times prove nothing.
    """

    what: str
    most: int
    least_writes: int = 0


class EtcdStorageRuntime(Struct, frozen=True):
    """value: percent of the quota, or the 99th percentile in milliseconds; alarm: of etcd, if any.

    detail: the sizes, where the limit is exceeded. What is below is not stated more closely: it
    changes from one audit to the next.
    """

    what: str
    value: float
    most: int
    alarm: str = ""
    detail: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        unit = "ms" if self.what == "fsync" else "%"
        limit = "up to " if self.what == "fsync" else ""
        good = self.value <= self.most
        much = f"at most {self.most} {unit}" if good else f"{limit}{self.value:.1f} {unit}"
        return self._stated(much, self.detail)

    @property
    def settled(self) -> str:
        """Which side of the limit it is on, without the number."""
        unit = "ms" if self.what == "fsync" else "%"
        side = "at most" if self.value <= self.most else "more than"
        return self._stated(f"{side} {self.most} {unit}")

    def _stated(self, much: str, detail: str = "") -> str:
        if self.what == "fsync":
            return f"99 % of the writes of etcd's log since its start took {much}"
        found = f"etcd's database takes {much} of its quota{detail}"
        return f"etcd reports {self.alarm}; {found}" if self.alarm else found


def probes(host: Host, cases: Sequence[Case[EtcdStorageParameters]]) -> tuple[Probe, ...]:
    """The member's metrics and its health, in parallel with other probes."""
    if not host.is_master or all(case.inventory.etcd_kind != "stacked" for case in cases):
        return ()
    return FileProbe(MANIFEST), CommandProbe("metrics", SCRIPT, timeout=20, slow=True)


def read_runtime(readings: HostView, case: Case[EtcdStorageParameters]) -> EtcdStorageRuntime:
    """The member's size or times. Raises NotApplicable, Unreadable."""
    if case.inventory.etcd_kind != "stacked":
        raise NotApplicable("etcd is external: its hosts are not in this inventory")
    lines = readings.output("metrics").lines
    if lines == ["no manifest"]:
        raise NotApplicable(f"this host has no etcd yet (no {MANIFEST})")
    metrics = _part(lines, "metrics")
    if case.parameters.what == "fsync":
        return _times(metrics, case.parameters)
    return _size(readings, metrics, _alarm(_part(lines, "health")), case.parameters)


def _part(lines: Sequence[str], name: str) -> list[str]:
    """The rest of the line `NAME 0 …`, and the lines after it. Raises Unreadable."""
    for at, line in enumerate(lines):
        word, _, rest = line.partition(" ")
        if word != name:
            continue
        code, _, text = rest.partition(" ")
        if code != "0":
            number = int(code) if re.fullmatch(r"\d{1,3}", code, re.ASCII) else -1
            raise Unreadable(f"etcd's {name}: {EXIT_CODES.get(number, 'no answer')} ({text[:80]})")
        return [text, *lines[at + 1 :]]
    raise Unreadable(f"the answer of {name} is missing")


def _alarm(answer: Sequence[str]) -> str:
    """`ALARM NOSPACE`; empty without one. Raises Unreadable."""
    try:
        found = json.loads(answer[0])
        reason = str(found.get("reason", ""))
        healthy = found["health"] in ("true", True)
    except (ValueError, LookupError, AttributeError, TypeError):
        raise Unreadable(f"etcd's health: {answer[0][:80]!r} is not an answer of etcd") from None
    if healthy:
        return ""
    return reason if "ALARM" in reason else ""


def _size(
    readings: HostView, metrics: Sequence[str], alarm: str, wanted: EtcdStorageParameters
) -> EtcdStorageRuntime:
    values = {m[1]: _number(m[2]) for line in metrics if (m := _VALUE.fullmatch(line))}
    if SIZE not in values:
        raise Unreadable(f"etcd's metrics have no {SIZE}")
    quota = values.get(QUOTA) or _planned_quota(readings)
    percent = 100 * values[SIZE] / quota
    detail = ""
    if percent > wanted.most:
        sizes = f"{values[SIZE] / MIB:.0f} of {quota / MIB:.0f} MiB"
        used = f", {values[USED] / MIB:.0f} MiB of them in use" if USED in values else ""
        detail = f" ({sizes}{used})"
    return EtcdStorageRuntime("size", percent, wanted.most, alarm, detail)


def _planned_quota(readings: HostView) -> float:
    """The manifest's, where the process reports none. Raises NotApplicable, Unreadable."""
    manifest = static_pod.read(readings, "etcd")
    text = manifest.flag("quota-backend-bytes") if manifest else None
    if text is not None and not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise Unreadable(f"{MANIFEST}: --quota-backend-bytes={text} is not a number")
    quota = int(text or 0)
    if quota < 0:
        raise NotApplicable(f"etcd has no quota (--quota-backend-bytes={quota} in {MANIFEST})")
    return quota or DEFAULT_QUOTA


def _times(metrics: Sequence[str], wanted: EtcdStorageParameters) -> EtcdStorageRuntime:
    buckets = sorted(
        (_number(found[1]), _number(found[2]))
        for line in metrics
        if (found := BUCKET.fullmatch(line))
    )
    if not buckets or not math.isinf(buckets[-1][0]):
        raise Unreadable("etcd's metrics have no times of its log (etcd_disk_wal_fsync_duration)")
    if any(one[1] > other[1] for one, other in pairwise(buckets)):
        raise Unreadable("etcd's times of its log contradict each other")
    writes = buckets[-1][1]
    if writes < max(wanted.least_writes, 1):
        raise Unreadable(
            f"etcd has written its log fewer than {wanted.least_writes} times since its start: "
            "too few to judge its disk; look again later"
        )
    return EtcdStorageRuntime("fsync", 1000 * _quantile(buckets), wanted.most)


def _quantile(buckets: Sequence[tuple[float, float]]) -> float:
    """In seconds; the last limit where it is beyond. buckets: (limit, writes up to it)."""
    rank = QUANTILE * buckets[-1][1]
    below, before = 0.0, 0.0
    for limit, count in buckets:
        if count >= rank:
            if math.isinf(limit):
                break
            return below + (limit - below) * (rank - before) / (count - before)
        below, before = limit, count
    return below


def _number(text: str) -> float:
    """Raises Unreadable."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if math.isnan(found) or found < 0:
        raise Unreadable(f"etcd's metrics have {text!r} where a number is expected")
    return found
