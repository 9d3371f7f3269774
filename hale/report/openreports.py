"""OpenReports: a ClusterReport for each node, in YAML, as `kubectl apply -f -` takes it.

https://github.com/openreports/reports-api, openreports.io/v1alpha1, which policy-reporter and its
sinks read. What is read from several hosts is a report of its own, without a scope. UNKNOWN is
`error`, never `pass`; WAIVED is `warn`, a requirement that is not met and not scored.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import yaml

from hale.audit.waivers import CLUSTER
from hale.model.requirement import Severity
from hale.model.results import ReferenceRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report.matrix import chapter_label, columns
from hale.report.references import References, label, references_of
from hale.report.text import shorten
from hale.report.times import parse_time

OUTCOMES = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WAIVED: "warn",
    Verdict.UNKNOWN: "error",
    Verdict.NOT_APPLICABLE: "skip",
}
SCORED = (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)
SEVERITIES = {
    Severity.CRITICAL.value: "critical",
    Severity.MAJOR.value: "high",
    Severity.MINOR.value: "low",
}
MOST = 1000  # characters of a text: etcd takes objects of 1.5 MiB
_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_MOST_NAME = 253

Json = dict[str, Any]


def render(found: Results) -> str:
    """One document a host; none where there are no rows."""
    rows: dict[str, list[Result]] = {}
    for row in found.results:
        rows.setdefault(row.host, []).append(row)
    known = references_of(found)
    documents = [_report(found, host, rows[host], known) for host in columns(found)]
    # The C library of PyYAML is twenty times as fast, and not everywhere.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump_all(
        documents, Dumper=dumper, sort_keys=False, allow_unicode=True, explicit_start=True
    )
    return f"# Hale: {len(documents)} reports\n{text}"


def object_name(host: str) -> str:
    """A name that Kubernetes takes (RFC 1123); a host of another spelling has a digest in it."""
    name = f"hale-{host}"
    if re.fullmatch(_NAME, name) and len(name) <= _MOST_NAME:
        return name
    digest = hashlib.sha256(host.encode(errors="backslashreplace")).hexdigest()[:10]
    plain = re.sub(r"[^a-z0-9]+", "-", host.lower())[:40].strip("-")
    return "-".join(part for part in ("hale", plain, digest) if part)


def _report(found: Results, host: str, rows: Sequence[Result], references: References) -> Json:
    count = Counter(OUTCOMES[row.verdict] for row in rows)
    at = parse_time(found.run.ended or found.run.started)
    scope = {"scope": {"apiVersion": "v1", "kind": "Node", "name": shorten(host, _MOST_NAME)}}
    return {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "ClusterReport",
        "metadata": {
            "name": object_name(host),
            "labels": {"app.kubernetes.io/managed-by": "hale"},
            "annotations": {
                "hale/started": shorten(found.run.started, MOST),
                "hale/profile": shorten(found.run.profile, MOST),
                "hale/version": shorten(found.run.version, MOST),
                "hale/state": shorten(found.run.state, MOST),
                "hale/incomplete": shorten("; ".join(found.run.incomplete), MOST),
            },
        },
        "source": "hale",
        **({} if host == CLUSTER else scope),
        "summary": {outcome: count[outcome] for outcome in OUTCOMES.values()},
        "results": [_result(row, at, references.get(row.requirement, ())) for row in rows],
    }


def _result(row: Result, at: datetime | None, references: Sequence[ReferenceRecord]) -> Json:
    seconds = {"timestamp": {"seconds": int(at.timestamp()), "nanos": 0}} if at else {}
    properties = {"verdict": row.verdict.value, "expected": shorten(row.expected, MOST)}
    if row.waiver is not None:
        for name in ("owner", "approver", "reason", "ticket", "expires"):
            properties[f"waiver-{name}"] = shorten(getattr(row.waiver, name), MOST)
    for number, reference in enumerate(references, 1):
        properties[f"reference-{number}"] = shorten(label(reference), MOST)
    return {
        "policy": shorten(row.requirement, MOST),
        "rule": shorten(row.aspect, MOST),
        "category": f"chapter {chapter_label(row)}",
        "severity": SEVERITIES.get(row.severity, "info"),
        "result": OUTCOMES[row.verdict],
        "scored": row.verdict in SCORED,
        **seconds,
        "message": shorten(f"{row.title}: {row.actual}", MOST),
        "properties": properties,
    }
