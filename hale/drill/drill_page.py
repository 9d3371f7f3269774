"""What a drill leaves: results.json, drill.json, report.html, and the words in the terminal."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale.audit.audit import Audit
from hale.drill import chart, http_client, judge
from hale.drill.http_client import Request
from hale.drill.measurement import Measurement
from hale.files import atomic
from hale.model import results
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report.jinja import inline_asset, templates, utc
from hale.report.text import escape_controls
from hale.report.verdicts import sign_of

SCHEMA = "hale.drill/1"
BEFORE = 3.0  # seconds before the taking away that a picture shows


class DrillsFile(msgspec.Struct, frozen=True):
    """drill.json: all that was measured. ill: what was not whole at the end."""

    schema: str
    drills: tuple[Measurement, ...]
    ill: tuple[str, ...]


def record(
    before: Results,
    audit: Audit,
    drills: Sequence[Measurement],
    parts: Sequence[str],
    command: Sequence[str],
    started: float,
    *,
    whole: bool,
) -> Results:
    """The run's results: who, when and with what as the audit before it says, its rows its own.

    whole: nothing was cut short and all came back; only then the run is finished.
    """
    judged, others = judge.rows(audit, drills)
    left_out = [p for p in parts if p not in {d.part for d in drills}]
    run = msgspec.structs.replace(
        before.run,
        kind="drill",
        state="finished" if whole else "interrupted",
        command_line=list(command),
        started=results.utc(started),
        ended=results.utc(time.time()),
        exit_status=0 if whole and not any(r.verdict.failed for r in judged) else 1,
        incomplete=[f"not drilled: {', '.join(left_out)}"] if left_out else [],
    )
    return Results(results.SCHEMA, run, before.hosts, judged, others)


def save(
    folder: Path,
    found: Results,
    drills: Sequence[Measurement],
    *,
    ill: Sequence[str],
    wrong: Sequence[str],
    reason: str,
) -> None:
    """Write results.json, drill.json and report.html."""
    results.save_results(found, folder / "results.json")
    saved = DrillsFile(SCHEMA, tuple(drills), (*wrong, *ill))
    encoded = msgspec.json.format(msgspec.json.encode(saved), indent=1)
    atomic.write(folder / "drill.json", encoded + b"\n")
    page = html_page(found, [(d, of(folder, d)) for d in drills], ill, wrong, reason)
    atomic.write(folder / "report.html", page.encode(errors="backslashreplace"))


def of(folder: Path, drill: Measurement) -> tuple[Request, ...]:
    """The asks of a drill, from the raw record, in seconds since the taking away."""
    asked = http_client.parse_log((folder / drill.part / "client.txt").read_bytes())
    return asked.since(drill.zero).asks


def html_page(
    found: Results,
    drills: Sequence[tuple[Measurement, Sequence[Request]]],
    ill: Sequence[str] = (),
    wrong: Sequence[str] = (),
    reason: str = "",
) -> str:
    """report.html: one page, nothing in it is fetched from elsewhere."""
    template = templates().get_template("drill.jinja2")
    pages = [
        (
            d,
            chart.svg(d, asked, -BEFORE, d.ended),
            chart.svg(d, asked, -1.0, chart.zoom_until(d.gaps, d.ended)),
        )
        for d, asked in drills
    ]
    return template.render(
        title=escape_controls(
            f"Hale drill {utc(found.run.started)}: {summary_lines(found, drills)}"
        ),
        verdict=summary_lines(found, drills),
        good=found.run.exit_status == 0,
        style=inline_asset("page.css"),
        run=found.run,
        rows=found.results,
        hosts=found.hosts,
        drills=pages,
        ill=ill,
        wrong=wrong,
        reason=reason,
        command=shlex.join(found.run.command_line),
    )


def summary_lines(found: Results, drills: Sequence[object]) -> str:
    """The run in a few words."""
    if found.run.state != "finished":
        return "interrupted"
    if any(r.verdict is Verdict.FAIL for r in found.results):
        return "not compliant"
    if any(r.verdict is Verdict.UNKNOWN for r in found.results):
        return "not proven"
    return "survived" if drills else "nothing was drilled"


def show(
    console: Console, found: Results, drills: Sequence[tuple[Measurement, Sequence[Request]]]
) -> None:
    """The same in the terminal: a table, a line for each drill, and the rows."""
    shown = Table("drill", "of", "nobody answered", "asks failed", "whole again", box=None)
    for drill, _ in drills:
        late = max((t.whole_after or 0.0 for t in drill.things), default=0.0)
        never = [t.name for t in drill.things if t.whole_after is None]
        shown.add_row(
            drill.part,
            drill.host,
            drill.doubt or f"{drill.longest:.2f} s at most, {drill.total:.2f} s in all",
            f"{drill.failed} of {drill.asks}",
            f"not: {', '.join(never)}" if never else f"after {late:.1f} s",
        )
    console.print()
    console.print(shown)
    for drill, asked in drills:
        line = chart.sparkline([a for a in asked if a.began > -BEFORE], drill.ended)
        console.print(Text(f"{drill.part:>10} ") + line + Text(f" {drill.ended:.0f} s", "dim"))
    for row in found.results:
        sign, style = sign_of(row.verdict)
        console.print(
            Text(f"{sign} {row.verdict.value} ", style)
            + Text(f"{row.requirement}: {escape_controls(row.actual)}")
        )
