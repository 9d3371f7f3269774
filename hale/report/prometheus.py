"""Metrics of a run in Prometheus's text format, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format: names and labels
stay as they are, so that alerts can rely on them. Samples have no timestamps, which the collector
refuses; `hale_run_end_timestamp_seconds` tells how old they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hale.model.comparison import ChangeKind
from hale.model.requirement import Severity
from hale.model.results import Result, Results
from hale.model.verdict import Verdict
from hale.report.matrix import columns
from hale.report.text import shorten
from hale.report.times import parse_time

MOST_LABEL = 200  # characters of a label's value
Labels = tuple[tuple[str, str], ...]


class Metric(Struct, frozen=True):
    """A gauge: its name without `hale_`, its help text, and its samples by their labels."""

    name: str
    help: str
    samples: Mapping[Labels, float]


def render(found: Results) -> str:
    """The file. A metric without samples still has its HELP and TYPE."""
    return "".join(_text(metric) for metric in metrics(found))


def metrics(found: Results) -> list[Metric]:
    """All metrics of the run, in a fixed order."""
    others = [_of_waivers(found), _of_drift(found), _of_references(found)]
    return [*_of_run(found), *_of_results(found), *_of_hosts(found), *others]


def _of_run(found: Results) -> list[Metric]:
    run = found.run
    info = {
        "kind": run.kind,
        "version": run.version,
        "profile": run.profile,
        "environment": run.site,
        "inventory": run.inventory,
    }
    complete = run.state == "finished" and not run.incomplete
    status: dict[Labels, float] = {}
    if run.exit_status is not None:
        status[()] = run.exit_status
    return [
        Metric("run_info", "The run that these metrics are of; always 1.", {_labels(info): 1}),
        Metric("run_start_timestamp_seconds", "When the run started.", _time(run.started)),
        Metric(
            "run_end_timestamp_seconds",
            "When the run ended; no sample if it was interrupted.",
            _time(run.ended),
        ),
        Metric(
            "run_complete",
            "1 if the run ended and covered all hosts and requirements, 0 otherwise.",
            {(): complete},
        ),
        Metric(
            "run_exit_status", "The exit status of pytest; no sample if it was interrupted.", status
        ),
    ]


def _of_results(found: Results) -> list[Metric]:
    count = Counter((r.verdict.value, r.severity) for r in found.results)
    severities = dict.fromkeys([*Severity, *(r.severity for r in found.results)])
    totals = _sum(
        (_labels({"verdict": v.value, "severity": s}), count[v.value, s])
        for v in Verdict
        for s in severities
    )
    failed = _sum((_labels(_name(row)), 1) for row in found.results if row.verdict.failed)
    checks = Counter(check.outcome for check in found.site_checks)
    return [
        Metric("results", "Results by verdict and severity.", totals),
        Metric("result_failed", "A result that is FAIL or UNKNOWN; always 1.", failed),
        Metric(
            "site_checks",
            "The site's own checks by pytest's outcome.",
            _sum((_labels({"outcome": outcome}), n) for outcome, n in checks.items()),
        ),
    ]


def _of_hosts(found: Results) -> list[Metric]:
    count = Counter((row.host, row.verdict) for row in found.results)
    return [
        Metric(
            "host_results",
            "Results of a host by verdict; cluster: of what is read from several hosts.",
            _sum(
                (_labels({"host": host, "verdict": verdict.value}), count[host, verdict])
                for host in columns(found)
                for verdict in Verdict
            ),
        ),
        Metric(
            "host_up",
            "1 if the host could be read, 0 if it was unreachable.",
            {_labels({"host": host.name}): float(not host.down) for host in found.hosts},
        ),
    ]


def _of_waivers(found: Results) -> Metric:
    samples: dict[Labels, float] = {}
    for waiver in found.waivers:
        for end in _time(f"{waiver.expires}T23:59:59Z").values():
            labels = {
                "waiver": waiver.where,
                "requirement": waiver.requirement,
                "aspect": waiver.aspect,
                "hosts": waiver.hosts,
                "ticket": waiver.ticket,
                "state": waiver.state,
            }
            samples[_labels(labels)] = end
    return Metric(
        "waiver_expiry_timestamp_seconds", "The end of the last day of a waiver.", samples
    )


def _of_drift(found: Results) -> Metric:
    changed = found.drift.comparison if found.drift else None
    return Metric(
        "drift",
        "Results that changed since the accepted run, by kind; no sample without --drift.",
        {_labels({"kind": kind.value}): changed.count(kind) for kind in ChangeKind}
        if changed
        else {},
    )


def _of_references(found: Results) -> Metric:
    judged = {row.requirement for row in found.results}
    fields = ("requirement", "benchmark", "id", "relation")
    return Metric(
        "requirement_reference",
        "A rule of another benchmark about the same thing as a requirement; always 1.",
        {
            _labels({name: getattr(one, name) for name in fields}): 1
            for one in found.references
            if one.requirement in judged
        },
    )


def _name(row: Result) -> dict[str, str]:
    return {
        "host": row.host,
        "requirement": row.requirement,
        "aspect": row.aspect,
        "verdict": row.verdict.value,
        "severity": row.severity,
    }


def _sum(samples: Iterable[tuple[Labels, float]]) -> dict[Labels, float]:
    """By labels: two values may be the same once they are escaped and shortened."""
    found: dict[Labels, float] = {}
    for labels, value in samples:
        found[labels] = found.get(labels, 0) + value
    return found


def _labels(values: Mapping[str, str]) -> Labels:
    return tuple((name, shorten(value, MOST_LABEL)) for name, value in values.items())


def _time(text: str) -> dict[Labels, float]:
    """The sample of a time in ISO 8601, in seconds since the epoch; none if it is no time."""
    at = parse_time(text)
    return {(): at.timestamp()} if at else {}


def _text(metric: Metric) -> str:
    name = f"hale_{metric.name}"
    lines = [f"# HELP {name} {metric.help}", f"# TYPE {name} gauge"]
    for labels, value in metric.samples.items():
        shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        lines.append(f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')  # shorten has made newlines visible


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
