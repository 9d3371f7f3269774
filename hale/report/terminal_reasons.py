"""What the terminal's report has above its matrix: failures by reason, overrides and waivers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hale.model.requirement import Severity
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverState
from hale.report.matrix import FailureGroup, failure_groups
from hale.report.text import escape_controls, fold_hostnames, format_value
from hale.report.verdicts import PRESENTATION, sign_of

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Limits of what the terminal shows; results.json and report.html have everything.
MAX_REASONS = 40
MAX_NAMES = 4  # requirements that say the same
MAX_TEXT = 400  # characters of a reason
SEVERITY_STYLES = {Severity.CRITICAL.value: "red", Severity.MAJOR.value: "yellow"}


def hanging(sign: "Text", body: "Text") -> "Table":
    """A line whose continuations stand under its text, not under its sign."""
    from rich.table import Table

    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(sign, body)
    return table


def reason_lines(rows: Sequence[Result], names: Sequence[str], verbosity: int) -> "list[Any]":
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
        found.append(hanging(Text(f"{sign} ", style), body))
    remaining = len(grouped) - len(found)
    if remaining > 0:
        found.append(Text(f"… and {remaining} more reasons in the report (or with -v)"))
    if found:
        found.append(Text(""))
    return found


def waiver_lines(waivers: Sequence[WaiverState]) -> "list[Any]":
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
        found.append(hanging(Text(sign, style), Text(escape_controls(text))))
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


def override_lines(rows: Sequence[Result]) -> "list[Any]":
    """The values of the standard that the inventory replaces, each once."""
    from rich.text import Text

    lines: dict[str, None] = {}
    for row in rows:
        for o in row.overrides:
            place = Path(o.where).name
            values = f"{format_value(o.value)}, not {format_value(o.standard)}"
            lines[f"{row.requirement}: {o.parameter} = {values} ({place})"] = None
    found: list[Any] = [
        hanging(Text("override ", "cyan"), Text(escape_controls(line))) for line in lines
    ]
    return [*found, Text("")] if found else []
