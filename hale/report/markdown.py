"""Markdown, for a merge request or a job's summary: the verdict, the failures by cause, waivers.

GitHub's dialect (https://github.github.com/gfm/), which GitLab reads too. All text that comes from
a host or a file stands in code spans, where nothing is markup, a link or a mention.
"""

import re
from collections.abc import Iterable, Sequence

from hale.model.comparison import ChangeKind, DriftRecord
from hale.model.requirement import Severity
from hale.model.results import FAILED_OUTCOMES, Result, Results
from hale.model.verdict import Verdict
from hale.report.matrix import ORDER, FailureGroup, failure_groups, failures_beside
from hale.report.references import label, references_of
from hale.report.text import fold_hostnames, shorten
from hale.report.verdicts import PRESENTATION

MOST_TEXT = 400  # characters of a value or a list of hosts
# A comment on GitHub holds 65536 characters.
MOST_GROUPS = 50
SEVERITIES = tuple(s.value for s in Severity)


def render(found: Results) -> str:
    """The summary. Its counts are of all rows; of the failures it lists the first groups."""
    parts = [_title(found), *_doubts(found), _counts(found.results), _run(found)]
    groups = failure_groups(found.results)
    if groups:
        parts.append(_failures(groups))
        parts += _references(found, groups[:MOST_GROUPS])
    if failed := [c for c in found.site_checks if c.outcome in FAILED_OUTCOMES]:
        rows = [(code(c.test), code(c.message)) for c in failed]
        parts.append(f"### The site's own checks\n\n{table(('check', 'reason'), rows)}")
    if waived := [row for row in found.results if row.verdict is Verdict.WAIVED]:
        parts.append(_waived(waived))
    if found.drift:
        parts.append(_drift(found.drift))
    return "\n\n".join(parts) + "\n"


def code(text: str, most: int = MOST_TEXT) -> str:
    """The text as a code span of one line, also for the cell of a table; "" for no text."""
    text = shorten(text, most)
    if not text.strip():
        return ""
    text = re.sub(r"(\\*)\|", r"\1\1\\|", text)  # of \\| the bar would end the cell
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _title(found: Results) -> str:
    failed = sum(row.verdict.failed for row in found.results)
    beside = failures_beside(found.run)
    if failed or beside:
        why = f"{failed} of {len(found.results)} results failed" if failed else beside
        sign, outcome = PRESENTATION[Verdict.FAIL].sign, f"not compliant, {why}"
    elif found.run.incomplete or found.run.state != "finished":
        sign, outcome = PRESENTATION[Verdict.UNKNOWN].sign, "not complete"
    else:
        sign, outcome = PRESENTATION[Verdict.PASS].sign, "compliant"
    return f"## {sign} Hale {code(found.run.kind)}: {outcome}"


def _doubts(found: Results) -> list[str]:
    notes = [f"> **INCOMPLETE**: {code(reason)}" for reason in found.run.incomplete]
    if found.run.state != "finished":
        notes.insert(0, "> **INTERRUPTED**: results that no test judged are UNKNOWN")
    return ["\n>\n".join(notes)] if notes else []


def _counts(rows: Sequence[Result]) -> str:
    others = sorted({row.severity for row in rows} - set(SEVERITIES))
    severities = [*SEVERITIES, *others]
    lines = []
    for verdict in ORDER:
        mine = [row.severity for row in rows if row.verdict is verdict]
        lines.append(
            [f"{PRESENTATION[verdict].sign} {verdict}", str(len(mine))]
            + [str(mine.count(severity)) for severity in severities]
        )
    return table(["verdict", "results", *(code(s) for s in severities)], lines)


def _run(found: Results) -> str:
    run = found.run
    values = {
        "hosts": run.hosts_expression,
        "profile": run.profile,
        "inventory": run.inventory,
        "environment": run.site,
        "started": run.started,
        "by": run.operator,
        "Hale": run.version,
    }
    shown = [f"{name} {code(value)}" for name, value in values.items() if value]
    shown += [f"{code(name)} {code(value)}" for name, value in run.metadata.items()]
    return " · ".join(shown)


def _failures(groups: Sequence[FailureGroup]) -> str:
    lines = []
    for group in groups[:MOST_GROUPS]:
        what = "<br>".join(
            f"{code(name)} on {code(fold_hostnames(list(hosts)))}"
            for name, hosts in list(group.rows.items())[:10]
        )
        if len(group.rows) > 10:
            what += f"<br>and {len(group.rows) - 10} more"
        sign = PRESENTATION[group.verdict].sign
        expected = code(group.expected) if len(group.rows) == 1 else ""
        lines.append((f"{sign} {group.verdict}", what, code(group.actual), expected))
    text = f"### Failures\n\n{table(('verdict', 'requirement', 'actual', 'expected'), lines)}"
    if len(groups) > MOST_GROUPS:
        text += f"\n\nAnd {len(groups) - MOST_GROUPS} more causes; `report.html` has all."
    return text


def _references(found: Results, groups: Iterable[FailureGroup]) -> list[str]:
    """The rules of other benchmarks that the listed failures are about."""
    known = references_of(found)
    names = sorted({name.rpartition(" ")[0] for group in groups for name in group.rows})
    lines = [
        (code(name), "<br>".join(code(label(one)) for one in known[name]))
        for name in names
        if name in known
    ]
    return [f"### Other benchmarks\n\n{table(('requirement', 'rules'), lines)}"] if lines else []


def _drift(drift: DriftRecord) -> str:
    run, changed = drift.accepted, drift.comparison
    since = f"since {code(run.started)}, accepted by {code(run.by)} on {code(run.at)}"
    counts = ", ".join(f"{changed.count(kind)} {kind}" for kind in ChangeKind)
    return f"### Drift\n\n{counts}; {changed.same} the same, {since}"


def _waived(rows: Sequence[Result]) -> str:
    hosts: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        waiver = row.waiver
        terms = (waiver.owner, waiver.ticket, waiver.expires) if waiver else ("", "", "")
        hosts.setdefault((f"{row.requirement} {row.aspect}", *terms), []).append(row.host)
    lines = [
        (code(name), code(fold_hostnames(names)), *(code(term) for term in terms))
        for (name, *terms), names in hosts.items()
    ]
    return f"### Waived\n\n{table(('requirement', 'hosts', 'owner', 'ticket', 'expires'), lines)}"
