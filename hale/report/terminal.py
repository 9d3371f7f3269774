"""The terminal's report: progress while hosts answer, then failures by reason, and the matrix."""

import io
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from hale.model.evidence import Evidence
from hale.model.requirement import Severity
from hale.model.results import Result, Results
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverState
from hale.report import commands
from hale.report.matrix import (
    BEYOND,
    FailureGroup,
    alike_hosts,
    chapter_label,
    columns,
    failure_groups,
    failures_beside,
    matrix,
)
from hale.report.notices import sentence
from hale.report.text import escape_controls, fold_hostnames, format_value
from hale.report.verdicts import PRESENTATION, sign_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

# Limits of what the terminal shows; results.json and report.html have everything.
MAX_REASONS = 40
SEVERITY_STYLES = {Severity.CRITICAL.value: "red", Severity.MAJOR.value: "yellow"}
MAX_NAMES = 4  # requirements that say the same
MAX_TEXT = 400  # characters of a reason
# The picture's black, red, green, yellow, blue, magenta, cyan and white, on white.
SVG_PALETTE = [
    (31, 35, 40),
    (192, 28, 40),
    (26, 127, 55),
    (154, 103, 0),
    (9, 105, 218),
    (138, 63, 252),
    (27, 124, 131),
    (110, 119, 129),
]


class GatherProgress:
    """The progress of the gathering: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, reporter: Any, hosts: int) -> None:
        self._reporter = reporter
        self._hosts = hosts
        self._answered = 0
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> "GatherProgress":
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._reporter.write("\r\x1b[K")

    def report(self, evidence: Evidence) -> None:
        """Count a host that has answered or is unreachable; name the unreachable."""
        self._answered += 1
        if evidence.unreachable:
            if self._live:
                self._reporter.write("\r\x1b[K")
            self._reporter.write_line(
                escape_controls(f"{evidence.host}: {evidence.unreachable}"), yellow=True
            )
        self._show()

    def _show(self) -> None:
        if self._live:
            self._reporter.write(f"\rgathering: {self._answered} of {self._hosts} hosts answered")


def wants_color() -> bool:
    """Whether standard output takes colours: a terminal, and no NO_COLOR (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


class Stdout:
    """Standard output, as far as GatherProgress uses pytest's reporter."""

    def write(self, text: str) -> None:
        """Print the text as it is."""
        print(text, end="", flush=True)

    def write_line(self, text: str, **_: bool) -> None:
        """Print the text as a line."""
        print(text, flush=True)


def preload() -> None:
    """Import what `summary` needs: rich takes as long as dozens of tests."""
    import rich.console
    import rich.padding
    import rich.table  # noqa: F401


def summary(reporter: Any, results: Results, report: Path) -> None:
    """The reasons, the matrix and the path of the report, at the end of a run."""
    width = shutil.get_terminal_size((100, 24)).columns
    run = results.run
    reporter.write_sep("=", f"hale: {escape_controls(run.site)} inventory, profile {run.profile}")
    reporter.write(text(results, width, reporter.verbosity, color=reporter.hasmarkup))
    reporter.write_line(f"report: {escape_controls(_short(report))}")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def text(results: Results, width: int, verbosity: int = 0, color: bool = False) -> str:
    """What `summary` prints: for a terminal of that many columns, for -q (-1) or -v (1)."""
    from rich.console import Console

    console = Console(
        width=width,
        file=io.StringIO(),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
    )
    with console.capture() as printed:
        for piece in renderables(results, width, verbosity):
            console.print(piece, overflow="fold")
        for what, command in _following(results) if verbosity >= 0 else ():
            console.print(what, overflow="fold")
            # The terminal itself breaks a long one, and copies it without the breaks.
            console.print(command, soft_wrap=True)
    # rich fills lines up with blanks, which every copy and every diff would show.
    return "".join(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def svg(results: Results, title: str = "pytest --hosts=all") -> str:
    """The matrix as a picture in SVG, for the README.

    rich's own frame fetches fonts from the network; this asks for whatever monospaced font
    there is. It names no path and no host but the inventory's.
    """
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme

    names = columns(results)
    width = 30 + 8 * len(names)
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    for piece in renderables(results, width, -1):
        console.print(piece)
    theme = TerminalTheme((255, 255, 255), (31, 35, 40), SVG_PALETTE)
    drawn = console.export_svg(title=title, theme=theme, unique_id="hale")
    drawn = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace(
        "Fira Code, monospace", "ui-monospace, Menlo, DejaVu Sans Mono, monospace"
    )
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


# --- parts ---


def renderables(results: Results, width: int, verbosity: int = 0) -> "list[RenderableType]":
    """Reasons, overrides, matrix, legend and warnings, for a terminal of that many columns."""
    from rich.text import Text

    rows = results.results
    found: list[RenderableType] = []
    if rows:
        names = columns(results)
        if verbosity >= 0:
            found.extend(_reasons(rows, names, verbosity))
            found.extend(_overrides(rows))
            found.extend(_waivers(results.waivers))
        found.extend(_matrices(rows, names, width))  # last: it is what stays on the screen
        found.append(_legend(rows))
    else:
        found.append(Text("nothing was judged"))
    run = results.run
    if run.evidence_from:
        found.append(
            Text(escape_controls(f"no host was contacted: {run.evidence_from} judged again"))
        )
    if run.state != "finished":
        warning = "INTERRUPTED: cases that no test judged are UNKNOWN"
        found.append(_hanging(Text("! ", "bold red"), Text(warning, "bold red")))
    if run.other_tests_failed:
        warning = f"{failures_beside(run)}: tests that judge no requirement; see above"
        found.append(_hanging(Text("! ", "bold red"), Text(warning, "bold red")))
    for notice in results.notices:
        text = Text(escape_controls(f"notice: {sentence(notice)}"), "cyan")
        found.append(_hanging(Text("! ", "bold cyan"), text))
    for reason in run.incomplete:
        warning = escape_controls(f"INCOMPLETE: {reason}")
        found.append(_hanging(Text("! ", "bold yellow"), Text(warning, "yellow")))
    return found


def _following(results: Results) -> "list[tuple[Text, Text]]":
    """The commands to type next, each with what it does."""
    from rich.text import Text

    return [
        (Text.assemble("" if number else "next:\n", (f"  # {what}", "dim")), Text(f"  {command}"))
        for number, (command, what) in enumerate(commands.following(results))
    ]


def _hanging(sign: "Text", body: "Text") -> "Table":
    """A line whose continuations stand under its text, not under its sign."""
    from rich.table import Table

    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(sign, body)
    return table


class _Column(Struct, frozen=True):
    """Hosts whose signs are the same, requirement by requirement."""

    heading: str
    hosts: tuple[str, ...]


def _matrices(rows: Sequence[Result], names: Sequence[str], width: int) -> "list[RenderableType]":
    """One table where the hosts fit; otherwise one column for all hosts that look the same."""
    found = matrix(rows)
    label = max(len(requirement) for requirement in found) + 4
    headings = _headings(names)
    each = [_Column(h, (n,)) for h, n in zip(headings, names, strict=True)]
    if label + sum(_wide(c, found) for c in each) <= width:
        return [_matrix(found, each)]
    alike = alike_hosts(found, names)
    if len(alike) < len(names):
        each = [
            _Column(f"{_letters(n)}\n×{len(hosts)}", tuple(hosts)) for n, hosts in enumerate(alike)
        ]
    blocks: list[list[_Column]] = [[]]
    for column in each:
        taken = label + sum(_wide(c, found) for c in blocks[-1])
        if blocks[-1] and taken + _wide(column, found) > width:
            blocks.append([])
        blocks[-1].append(column)
    tables: list[RenderableType] = []
    for block in blocks:
        tables += ["", _matrix(found, block)] if tables else [_matrix(found, block)]
    if len(alike) < len(names):
        tables.append(_group_legend(each))
    return tables


def _wide(column: _Column, found: Mapping[str, Mapping[str, Sequence[Result]]]) -> int:
    from rich.cells import cell_len

    signs = max(len(cells.get(column.hosts[0], ())) for cells in found.values())
    return max(signs, *map(cell_len, column.heading.split("\n"))) + 2


def _letters(number: int) -> str:
    """A … Z, AA … like the columns of a spreadsheet."""
    before = _letters(number // 26 - 1) if number >= 26 else ""
    return before + chr(ord("A") + number % 26)


def _group_legend(each: Sequence[_Column]) -> "RenderableType":
    """Which hosts each letter stands for."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for column in each:
        letter = column.heading.partition("\n")[0]
        table.add_row(Text(letter, "bold"), Text(escape_controls(fold_hostnames(column.hosts))))
    return Padding(table, (1, 0, 0, 0))


def _matrix(found: Mapping[str, Mapping[str, Sequence[Result]]], each: Sequence[_Column]) -> "Text":
    """Requirements down, hosts across; in a cell a sign for each aspect, in order.

    All of it is one text: rich's Table takes fifty times as long for as many cells.
    """
    from rich.cells import cell_len
    from rich.text import Text

    chapters = {q: chapter_label(next(iter(cells.values()))[0]) for q, cells in found.items()}
    first = max(map(len, chapters.values()))
    second = max(map(cell_len, ("requirement", *found)))
    wide = [_wide(column, found) - 2 for column in each]
    headings = [column.heading.split("\n") for column in each]
    parts: list[tuple[str, str]] = []

    def line(
        chapter: str, name: str, cells: Iterable[Sequence[tuple[str, str]]], style: str
    ) -> None:
        parts.append((f"{chapter:>{first}}  {name}{' ' * (second - cell_len(name))}", style))
        for width, cell in zip(wide, cells, strict=True):
            free = width - sum(cell_len(text) for text, _ in cell)
            parts.append(("  " + " " * (free // 2), ""))
            parts.extend(cell)
            parts.append((" " * (free - free // 2), ""))
        parts.append(("\n", ""))

    for below in range(max(map(len, headings)), 0, -1):
        titles = [[(h[-below], "bold")] if below <= len(h) else [] for h in headings]
        line(*(("", "") if below > 1 else ("§", "requirement")), titles, "bold")
    for requirement, cells in found.items():
        signs = [[sign_of(r.verdict) for r in cells.get(c.hosts[0], ())] for c in each]
        line(chapters[requirement], requirement, signs, "")
    return Text.assemble(*parts[:-1], no_wrap=True)


def _headings(names: Sequence[str]) -> list[str]:
    """Host names in two lines, without what all of them begin with: `k8s-master-01`."""
    hosts = [n for n in names if n != "cluster"]
    alike = os.path.commonprefix(hosts) if len(hosts) > 1 else ""  # noqa: RUF071 - characters
    prefix = alike[: alike.rfind("-") + 1]
    headings = []
    for name in names:
        stem, _, number = name.removeprefix(prefix).rpartition("-")
        headings.append("\n".join(escape_controls(part) for part in (stem, number) if part))
    return headings


def _legend(rows: Sequence[Result]) -> "RenderableType":
    from rich.text import Text

    parts: list[tuple[str, str]] = []
    for verdict in Verdict:
        count = sum(r.verdict is verdict for r in rows)
        if count:
            sign, style = sign_of(verdict)
            parts += [(sign, style), (f" {verdict} {count}   ", "")]
    parts.append(("two signs: runtime, persisted", "dim"))
    if any(chapter_label(r) == BEYOND for r in rows):
        parts.append((f"   § {BEYOND}: beyond the baseline", "dim"))
    return Text.assemble("\n", *parts, "\n")


def _reasons(rows: Sequence[Result], names: Sequence[str], verbosity: int) -> "list[Any]":
    """Failed rows by their reason: a text once, with the requirements and hosts it applies to."""
    from rich.text import Text

    grouped = failure_groups(rows)
    hosts = [n for n in names if n != "cluster"]
    most = None if verbosity > 0 else MAX_REASONS
    found: list[Any] = []
    for reason in grouped[:most]:
        sign, style = sign_of(reason.verdict)
        body = Text.assemble(*_affected(reason, hosts))
        if reason.severity:
            body.append(
                f"  {escape_controls(reason.severity)}", SEVERITY_STYLES.get(reason.severity, "dim")
            )
        body.append(f"\n{_cut(escape_controls(reason.actual), verbosity)}")
        if verbosity > 0 and len(reason.rows) == 1:
            body.append(f"\nexpected: {escape_controls(reason.expected)}", "dim")
        found.append(_hanging(Text(f"{sign} ", style), body))
    remaining = len(grouped) - len(found)
    if remaining > 0:
        found.append(Text(f"… and {remaining} more reasons in the report (or with -v)"))
    if found:
        found.append(Text(""))
    return found


def _waivers(waivers: Sequence[WaiverState]) -> "list[Any]":
    """The rows that waivers accept, and the waivers that need attention."""
    from rich.text import Text

    found: list[Any] = []
    for one in waivers:
        what = f"{one.requirement} {one.aspect} ({one.hosts})"
        if one.note:
            sign, style, text = "! ", "bold yellow", f"waiver {one.where}: {what}: {one.note}"
        else:
            sign, style = PRESENTATION[Verdict.WAIVED].sign + " ", "yellow"
            text = f"{what}: {one.rows} accepted until {one.expires} ({one.ticket})"
        found.append(_hanging(Text(sign, style), Text(escape_controls(text))))
    return [*found, Text("")] if found else []


def _affected(reason: FailureGroup, hosts: Sequence[str]) -> "list[tuple[str, str]]":
    """Requirements and aspects in bold, the hosts behind them."""
    by_hosts: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name, whose in reason.rows.items():
        requirement, aspect = name.split(" ", 1)
        by_hosts.setdefault(tuple(whose), {}).setdefault(requirement, []).append(aspect)
    parts: list[tuple[str, str]] = []
    for where, requirements in by_hosts.items():
        count = sum(map(len, requirements.values()))
        if len(requirements) > MAX_NAMES:
            what = f"{count} results of {len(requirements)} requirements"
        else:
            alike: dict[str, list[str]] = {}
            for requirement, aspects in requirements.items():
                alike.setdefault(", ".join(aspects), []).append(requirement)
            what = "; ".join(f"{', '.join(names)} {a}" for a, names in alike.items())
        everywhere = len(where) == len(hosts) > 1 and set(where) == set(hosts)
        at = f"all {len(hosts)} hosts" if everywhere else fold_hostnames(where)
        parts += [("\n" if parts else "", ""), (what, "bold"), (f" ({escape_controls(at)})", "")]
    return parts


def _cut(text: str, verbosity: int) -> str:
    if verbosity > 0 or len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… (all of it in the report, or with -v)"


def _overrides(rows: Sequence[Result]) -> "list[Any]":
    """The values of the standard that the inventory replaces, each once."""
    from rich.text import Text

    lines: dict[str, None] = {}
    for row in rows:
        for o in row.overrides:
            place = Path(o.where).name
            values = f"{format_value(o.value)}, not {format_value(o.standard)}"
            lines[f"{row.requirement}: {o.parameter} = {values} ({place})"] = None
    found: list[Any] = [
        _hanging(Text("override ", "cyan"), Text(escape_controls(line))) for line in lines
    ]
    return [*found, Text("")] if found else []
