"""The terminal's report: failures by reason, the matrix, the commands to type next."""

import io
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hale.model.results import Results
from hale.report import commands
from hale.report.matrix import columns, failures_beside
from hale.report.notices import sentence
from hale.report.terminal_matrix import matrix_legend, matrix_tables
from hale.report.terminal_reasons import hanging, override_lines, reason_lines, waiver_lines
from hale.report.text import escape_controls

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

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
            found.extend(reason_lines(rows, names, verbosity))
            found.extend(override_lines(rows))
            found.extend(waiver_lines(results.waivers))
        found.extend(matrix_tables(rows, names, width))  # last: it is what stays on the screen
        found.append(matrix_legend(rows))
    else:
        found.append(Text("nothing was judged"))
    run = results.run
    if run.evidence_from:
        found.append(
            Text(escape_controls(f"no host was contacted: {run.evidence_from} judged again"))
        )
    if run.state != "finished":
        warning = "INTERRUPTED: cases that no test judged are UNKNOWN"
        found.append(hanging(Text("! ", "bold red"), Text(warning, "bold red")))
    if run.other_tests_failed:
        warning = f"{failures_beside(run)}: tests that judge no requirement; see above"
        found.append(hanging(Text("! ", "bold red"), Text(warning, "bold red")))
    for notice in results.notices:
        text = Text(escape_controls(f"notice: {sentence(notice)}"), "cyan")
        found.append(hanging(Text("! ", "bold cyan"), text))
    for reason in run.incomplete:
        warning = escape_controls(f"INCOMPLETE: {reason}")
        found.append(hanging(Text("! ", "bold yellow"), Text(warning, "yellow")))
    return found


def _following(results: Results) -> "list[tuple[Text, Text]]":
    """The commands to type next, each with what it does."""
    from rich.text import Text

    return [
        (Text.assemble("" if number else "next:\n", (f"  # {what}", "dim")), Text(f"  {command}"))
        for number, (command, what) in enumerate(commands.following(results))
    ]
