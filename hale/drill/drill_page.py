"""The reports of a drill: results.json, drill.json, report.html and the terminal summary."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale.audit import results_file
from hale.audit.audit import Audit
from hale.drill import chart, http_client, judge
from hale.drill.http_client import Request
from hale.files import atomic
from hale.model import results
from hale.model.drill import FaultKind, Measurement
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report.jinja import render_page
from hale.report.text import escape_controls
from hale.report.verdicts import sign_of

SCHEMA = "hale.drill/1"
BEFORE = 3.0  # seconds before the injection that a chart shows


class DrillsFile(msgspec.Struct, frozen=True, rename={"unhealthy": "ill"}):
    """drill.json: all measurements. unhealthy: what was unhealthy or not reverted at the end."""

    schema: str
    drills: tuple[Measurement, ...]
    unhealthy: tuple[str, ...]


def build_results(
    before: Results,
    audit: Audit,
    drills: Sequence[Measurement],
    kinds: Sequence[FaultKind],
    command: Sequence[str],
    started: float,
    *,
    completed: bool,
) -> Results:
    """The run's results: metadata and hosts of the audit before it, and the drills' own rows.

    The waivers that the audit before it rests on are among them: they let the drill begin.
    completed: nothing was interrupted and every fault reverted; only then is the run finished.
    """
    judged, others = judge.rows(audit, drills)
    left_out = [kind for kind in kinds if kind not in {d.kind for d in drills}]
    run = msgspec.structs.replace(
        before.run,
        kind="drill",
        state="finished" if completed else "interrupted",
        command_line=list(command),
        started=results.utc(started),
        ended=results.utc(time.time()),
        exit_status=0 if completed and not any(r.verdict.failed for r in judged) else 1,
        incomplete=[f"not drilled: {', '.join(left_out)}"] if left_out else [],
        counts=dict(Counter(row.verdict.value for row in judged)),
    )
    waivers = [one for one in before.waivers if one.rows]
    return Results(results.SCHEMA, run, before.hosts, judged, others, waivers=waivers)


def save(
    folder: Path,
    found: Results,
    drills: Sequence[Measurement],
    *,
    unhealthy: Sequence[str],
    not_reverted: Sequence[str],
    reason: str,
) -> None:
    """Write results.json, drill.json and report.html. reason: of an interruption, or empty."""
    results_file.save_results(found, folder / "results.json")
    saved = DrillsFile(SCHEMA, tuple(drills), (*not_reverted, *unhealthy))
    encoded = msgspec.json.format(msgspec.json.encode(saved), indent=1)
    atomic.write(folder / "drill.json", encoded + b"\n")
    requests = [(d, load_requests(folder, d)) for d in drills]
    page = html_page(found, requests, unhealthy, not_reverted, reason)
    atomic.write(folder / "report.html", page.encode(errors="backslashreplace"))


def load_requests(folder: Path, drill: Measurement) -> tuple[Request, ...]:
    """The requests of a drill from its raw log, with times relative to the injection."""
    log = http_client.parse_log((folder / drill.kind / "client.txt").read_bytes())
    return log.since(drill.injected_at).requests


def html_page(
    found: Results,
    drills: Sequence[tuple[Measurement, Sequence[Request]]],
    unhealthy: Sequence[str] = (),
    not_reverted: Sequence[str] = (),
    reason: str = "",
) -> str:
    """report.html: self-contained, it loads nothing from elsewhere."""
    charts = [
        (
            d,
            chart.svg(d, requests, -BEFORE, d.ended),
            chart.svg(d, requests, -1.0, chart.zoom_until(d.downtimes, d.ended)),
        )
        for d, requests in drills
    ]
    return render_page(
        "drill.jinja2",
        found,
        outcome(found, drills),
        good=found.run.exit_status == 0,
        rows=found.results,
        waivers=found.waivers,
        drills=charts,
        unhealthy=unhealthy,
        not_reverted=not_reverted,
        reason=reason,
    )


def outcome(found: Results, drills: Sequence[object]) -> str:
    """The result of the run in a few words."""
    if found.run.state != "finished":
        return "interrupted"
    if any(r.verdict is Verdict.FAIL for r in found.results):
        return "not compliant"
    if any(r.verdict is Verdict.UNKNOWN for r in found.results):
        return "not proven"
    return "survived" if drills else "no drill was run"


def print_summary(
    console: Console, found: Results, drills: Sequence[tuple[Measurement, Sequence[Request]]]
) -> None:
    """The terminal summary: a table, a sparkline for each drill, and the results."""
    table = Table("drill", "host", "downtime", "failed requests", "recovered", box=None)
    for drill, _ in drills:
        recovered_at = max((c.recovered_at or 0.0 for c in drill.components), default=0.0)
        unhealthy = [c.kind for c in drill.components if c.recovered_at is None]
        table.add_row(
            drill.kind,
            Text(drill.host),
            Text(
                drill.invalid_because
                or f"{drill.longest_downtime:.2f} s longest, {drill.total_downtime:.2f} s total"
            ),
            f"{drill.failed_requests} of {drill.requests}",
            f"not: {', '.join(unhealthy)}" if unhealthy else f"after {recovered_at:.1f} s",
        )
    console.print()
    console.print(table)
    for drill, requests in drills:
        line = chart.sparkline([r for r in requests if r.started > -BEFORE], drill.ended)
        console.print(Text(f"{drill.kind:>10} ") + line + Text(f" {drill.ended:.0f} s", "dim"))
    for row in found.results:
        sign, style = sign_of(row.verdict)
        console.print(
            Text(f"{sign} {row.verdict.value} ", style)
            + Text(f"{row.requirement}: {escape_controls(row.actual)}")
        )
