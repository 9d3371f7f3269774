"""What a person sees in the terminal: progress, the matrix, and why what is red is red."""

import io
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hale.fact import Evidence
from hale.results import Result, Results
from hale.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SIGN = {
    Verdict.PASS: ("✓", "green"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.WAIVED: ("w", "yellow"),
    Verdict.NOT_APPLICABLE: ("-", "dim"),
    Verdict.UNKNOWN: ("?", "bold magenta"),
}
ASPECTS = ("inventory", "runtime", "persisted", "drill")
MOST_REASONS = 60  # lines; results.json and report.html have them all


def printable(text: str) -> str:
    """A host's text with every control character made visible: it must not drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def block(row: Result) -> str:
    """One red row in four lines, for pytest's own failure section and the HTML report."""
    lines = [
        f"{row.verdict}: {row.requirement} {row.aspect} on {row.host}: {row.title}",
        f"  expected  {row.expected}",
        f"  actual    {row.actual}",
    ]
    lines += [
        f"  {'wins' if s.wins else 'loses'}      {s.path}:{s.line}: {s.text}" for s in row.settings
    ]
    lines += [f"  override  {o.parameter} = {o.value} ({o.where})" for o in row.overrides]
    return "\n".join(printable(line) for line in lines)


class Progress:
    """Which hosts have answered: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, reporter: Any, hosts: int) -> None:
        self._reporter = reporter
        self._hosts = hosts
        self._told = 0
        self._live = sys.stdout.isatty()

    def __enter__(self) -> "Progress":
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._reporter.write("\r\x1b[K")

    def told(self, evidence: Evidence) -> None:
        """One host has answered, or will not."""
        self._told += 1
        if evidence.down:
            if self._live:
                self._reporter.write("\r\x1b[K")
            self._reporter.write_line(printable(f"{evidence.host}: {evidence.down}"), yellow=True)
        self._show()

    def _show(self) -> None:
        if self._live:
            self._reporter.write(f"\rgathering: {self._told} of {self._hosts} hosts answered")


def summary(reporter: Any, results: Results, folder: Path) -> None:
    """The matrix, the reasons and the path of the report, at the end of a run."""
    from rich.console import Console

    width = shutil.get_terminal_size((100, 24)).columns
    console = Console(
        width=width,
        file=io.StringIO(),
        force_terminal=reporter.hasmarkup,
        color_system="standard" if reporter.hasmarkup else None,
        legacy_windows=False,
        highlight=False,
    )
    reporter.write_sep("=", f"hale: {results.run.site} inventory, profile {results.run.profile}")
    with console.capture() as printed:
        for piece in pieces(results, width):
            console.print(piece)
    reporter.write(printed.get())
    if results.run.state != "finished":
        reporter.write_line("INTERRUPTED: rows that no test judged are UNKNOWN.", red=True)
    for reason in results.run.incomplete:
        reporter.write_line(f"INCOMPLETE: {printable(reason)}", yellow=True)
    reporter.write_line(f"report: {_short(folder)}/report.html")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def pieces(results: Results, width: int) -> "list[RenderableType]":
    """Matrix, legend and reasons, for a terminal of that many columns."""
    from rich.text import Text

    rows = results.results
    if not rows:
        return [Text("nothing was judged")]
    found: list[RenderableType] = []
    names = [h.name for h in results.hosts]
    names += [n for n in dict.fromkeys(r.host for r in rows) if n not in names]
    present = {r.host for r in rows}
    names = [n for n in names if n in present]
    each = max(2, (width - 28) // 8)
    for start in range(0, len(names), each):
        found.append(_matrix(rows, names[start : start + each]))
    found.append(_legend(rows))
    found.extend(_reasons(rows, len([n for n in names if n != "cluster"])))
    return found


def _matrix(rows: Sequence[Result], names: Sequence[str]) -> "Table":
    """Requirements down, hosts across; in a cell a sign for each aspect, in order."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("§", justify="right")
    table.add_column("requirement", no_wrap=True)
    for heading in _headings(names):
        table.add_column(heading, justify="center")
    cells: dict[tuple[str, str], list[Result]] = {}
    for row in rows:
        cells.setdefault((row.requirement, row.host), []).append(row)
    for requirement in dict.fromkeys(
        r.requirement for r in sorted(rows, key=lambda r: r.chapter or 99)
    ):
        chapter = next(r.chapter for r in rows if r.requirement == requirement)
        line: list[Text] = []
        for name in names:
            cell = sorted(cells.get((requirement, name), []), key=lambda r: ASPECTS.index(r.aspect))
            signs = [SIGN[r.verdict] for r in cell]
            line.append(Text.assemble(*signs) if signs else Text(" "))
        table.add_row(str(chapter) if chapter else "+", requirement, *line)
    return table


def _headings(names: Sequence[str]) -> list[str]:
    """Host names in two lines, without what all of them begin with: `k8s-master-01`."""
    hosts = [n for n in names if n != "cluster"]
    alike = os.path.commonprefix(hosts) if len(hosts) > 1 else ""  # noqa: RUF071 - characters
    prefix = alike[: alike.rfind("-") + 1]
    headings = []
    for name in names:
        stem, _, number = name.removeprefix(prefix).rpartition("-")
        headings.append("\n".join(printable(part) for part in (stem, number) if part))
    return headings


def _legend(rows: Sequence[Result]) -> "RenderableType":
    from rich.text import Text

    counts = [(v, sum(r.verdict is v for r in rows)) for v in Verdict]
    parts: list[tuple[str, str]] = []
    for verdict, count in counts:
        if count:
            sign, style = SIGN[verdict]
            parts += [(sign, style), (f" {verdict} {count}   ", "")]
    parts.append(("two signs: runtime, persisted", "dim"))
    return Text.assemble("\n", *parts, "\n")


def _reasons(rows: Sequence[Result], hosts: int) -> "list[RenderableType]":
    """Red rows with the same reason in one line, the hosts behind it."""
    from rich.text import Text

    grouped: dict[tuple[str, str, Verdict, str], list[str]] = {}
    for row in rows:
        if row.verdict.red:
            key = (row.requirement, row.aspect, row.verdict, row.actual)
            grouped.setdefault(key, []).append(row.host)
    lines: list[RenderableType] = []
    for (requirement, aspect, verdict, actual), names in list(grouped.items())[:MOST_REASONS]:
        sign, style = SIGN[verdict]
        where = f"all {hosts} hosts" if len(names) == hosts > 1 else ", ".join(names)
        lines.append(
            Text.assemble(
                (f"{sign} ", style),
                (f"{requirement} {aspect}", "bold"),
                f" ({printable(where)}): {printable(actual)}",
            )
        )
    left = len(grouped) - len(lines)
    if left > 0:
        lines.append(Text(f"… and {left} more reasons in the report"))
    return lines
