"""report.html of an audit: one page, rendered from the run's results; it fetches nothing.

The template is templates/audit.jinja2, which escapes every value (jinja.py). It has in HTML what a
reader must know: causes, gaps, exceptions, the matrix, the hosts. The table of all results is drawn
by the page's script from a block of JSON (page_data.py).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode

from msgspec import Struct

from hale.model.results import (
    FAILED_OUTCOMES,
    OverrideRecord,
    Result,
    Results,
    SiteCheck,
    unverified_hosts,
)
from hale.model.verdict import Verdict
from hale.report import causes as failure_causes
from hale.report import commands, matrix, page_data
from hale.report.causes import Cause
from hale.report.jinja import inline_asset, render_page, templates
from hale.report.notices import sentence
from hale.report.references import label, references_of
from hale.report.text import escape_controls, fold_hostnames
from hale.report.trend import trend
from hale.report.verdicts import PRESENTATION

TEMPLATE = "audit.jinja2"
COLUMNS = {
    "verdict": "verdict",
    "severity": "severity",
    "host": "host",
    "chapter": "§",
    "requirement": "requirement",
    "aspect": "aspect",
    "expected": "expected",
    "actual": "actual",
}
# pytest's outcomes that no verdict has: only a site's own checks end so.
OTHER_OUTCOMES = {"xpassed": "XPASS", "rerun": "RERUN"}
MAX_COLUMNS = 24  # of the matrix, one a host; above, hosts with the same verdicts share one
# Names of `--metadata` that the page shows at its top, and in the block for signatures.
SIGN_OFF = ("ticket", "purpose", "author", "approver")


def render(found: Results) -> str:
    """The page."""
    names = matrix.columns(found)
    rows = failures_first(found.results)
    counts = Counter(row.verdict for row in rows)
    good = bool(rows) and not any(v.failed for v in counts)
    columns, remaining = _columns(found, names)
    return render_page(
        TEMPLATE,
        found,
        verdict(found),
        good=good and not matrix.failures_beside(found.run),
        script=inline_asset("audit.js"),
        data=page_data.render(found, rows),
        total=len(rows),
        counts=[(v, counts[v]) for v in Verdict if counts[v]],
        severities=_severities(rows),
        unknown=counts[Verdict.UNKNOWN],
        show=PRESENTATION,
        unverified=fold_hostnames(unverified_hosts(found.hosts)),
        unreached=failure_causes.unreached(found),
        causes=failure_causes.causes(found),
        fix=lambda cause: fix_command(found, cause),
        references=references_of(found),
        label=label,
        failed_checks=[c for c in found.site_checks if c.outcome in FAILED_OUTCOMES],
        outliers=failure_causes.outliers(found),
        fold=fold_hostnames,
        blocks=markdown_blocks,
        trend=trend(found),
        columns=columns,
        remaining=remaining,
        total_hosts=len(names),
        chapters=_chapters(found, columns),
        tally=_tally(rows),
        beyond=matrix.BEYOND,
        link=lambda row: "#" + quote(row_id(row)),
        rows_of=_rows_of,
        overrides=overrides(found),
        waivers=found.waivers,
        accepted=_accepted(rows),
        passed=_passed(rows),
        folded=sum(counts[v] for v in page_data.FOLDED),
        notices=[sentence(notice) for notice in found.notices],
        deselected=_deselected(found),
        possible=len(rows) + len(found.deselected),
        sign_off={name: found.run.metadata.get(name, "") for name in SIGN_OFF},
        filters=_filters(found.results, found.site_checks),
        heads=COLUMNS,
    )


def preload() -> None:
    """Compile the template, or load it compiled: that takes as long as judging dozens of cases."""
    templates().get_template(TEMPLATE)


def row_id(row: Result) -> str:
    """The row's address in the page, the same in every report."""
    return escape_controls(f"{row.host}/{row.requirement}/{row.aspect}")


def failures_first(rows: Iterable[Result]) -> list[Result]:
    """Failures first; within a verdict the order of the chapters."""
    return sorted(rows, key=lambda r: (matrix.ORDER.index(r.verdict), matrix.chapter_order(r)))


def verdict(found: Results) -> str:
    """The run in a few words; never compliant where pytest's exit status is that of a failure."""
    have = {row.verdict for row in found.results}
    if not have:
        return "nothing was judged"
    if Verdict.FAIL in have:
        return "not compliant"
    if Verdict.UNKNOWN in have:
        return "not proven"
    if beside := matrix.failures_beside(found.run):
        return beside
    waived = sum(row.verdict is Verdict.WAIVED for row in found.results)
    words = f"compliant but for {waived} waived" if waived else "compliant"
    complete = found.run.state == "finished" and not found.run.incomplete
    return words if complete else f"{words} (partial run)"


def fix_command(found: Results, cause: Cause) -> str:
    """`invoke fix` for this cause alone; empty where it has no change for it."""
    row, known = cause.row, cause.guidance
    if row.verdict is not Verdict.FAIL or not known or row.aspect not in known.fixed_aspects:
        return ""
    everywhere = {h.name for h in found.hosts} <= set(cause.hosts)
    return commands.fix(found, [row.requirement], () if everywhere else cause.hosts)


class Block(Struct, frozen=True):
    """A part of a text: lines of commands, or a paragraph, whose odd parts are code."""

    code: str
    parts: Sequence[str] = ()


def markdown_blocks(text: str) -> list[Block]:
    """Paragraphs and code of the Markdown that remediate/*.md uses."""
    blocks = []
    for number, part in enumerate(re.split(r"^```\w*\n", text + "\n", flags=re.MULTILINE)):
        if number % 2:
            blocks.append(Block(part.rstrip("\n")))
        else:
            paragraphs = (p.strip() for p in re.split(r"\n\s*\n", part))
            blocks += [Block("", p.split("`")) for p in paragraphs if p]
    return blocks


class MatrixRow(Struct, frozen=True):
    """One requirement in the matrix: for each column its rows, aspect by aspect."""

    requirement: str
    title: str
    severity: str
    aspects: Sequence[str]
    overridden: bool
    cells: Sequence[Sequence[Result]]


class OverrideRow(Struct, frozen=True):
    """One value of the standard that the inventory replaces, and for which hosts."""

    requirement: str
    override: OverrideRecord
    hosts: str


def _columns(found: Results, names: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """The hosts of each column of the matrix, and the hosts that have none."""
    if len(names) <= MAX_COLUMNS:
        return [[name] for name in names], []
    groups = matrix.alike_hosts(matrix.matrix(found.results), names)
    largest = sorted(groups, key=len, reverse=True)[:MAX_COLUMNS]
    shown = [group for group in groups if group in largest]
    present = {name for group in shown for name in group}
    return shown, [name for name in names if name not in present]


def _chapters(
    found: Results, columns: Sequence[Sequence[str]]
) -> list[tuple[str, list[MatrixRow]]]:
    chapters: dict[str, list[MatrixRow]] = {}
    for requirement, cells in matrix.matrix(found.results).items():
        rows = [row for of_host in cells.values() for row in of_host]
        line = MatrixRow(
            requirement,
            rows[0].title,
            rows[0].severity,
            sorted({r.aspect for r in rows}, key=matrix.aspect_order),
            any(r.overrides for r in rows),
            [cells.get(hosts[0], []) for hosts in columns],
        )
        chapters.setdefault(matrix.chapter_label(rows[0]), []).append(line)
    return list(chapters.items())


def _tally(rows: Iterable[Result]) -> Callable[[str], list[tuple[Verdict, int]]]:
    """How many results of a host failed, by verdict."""
    count = Counter((row.host, row.verdict) for row in rows if row.verdict.failed)
    failed = (Verdict.FAIL, Verdict.UNKNOWN)
    return lambda host: [(v, count[host, v]) for v in failed if count[host, v]]


def _rows_of(cause: Cause) -> str:
    """The page's address with the table filtered for the cause's requirement."""
    row = cause.row
    words = {"verdict": row.verdict.value, "q": escape_controls(f"{row.requirement} {row.aspect}")}
    return f"#?{urlencode(words)}"


def _severities(rows: Iterable[Result]) -> list[tuple[str, int]]:
    """How many results of each severity failed, the worst first."""
    failed = [row for row in rows if row.verdict.failed]
    order = {row.severity: matrix.severity_order(row.severity) for row in failed}
    count = Counter(row.severity for row in failed)
    return [(name, count[name]) for name in sorted(order, key=lambda n: (order[n], n))]


def overrides(found: Results) -> list[OverrideRow]:
    """Every override once, with the hosts that it applies to."""
    hosts: dict[str, tuple[str, OverrideRecord, dict[str, None]]] = {}
    for row in found.results:
        for one in row.overrides:
            # The value may be of any kind, also one that has no hash.
            key = f"{row.requirement} {one!r}"
            hosts.setdefault(key, (row.requirement, one, {}))[2][row.host] = None
    return [
        OverrideRow(requirement, one, fold_hostnames(list(names)))
        for requirement, one, names in hosts.values()
    ]


class AcceptedRow(Struct, frozen=True):
    """The results that one waiver accepts: the first of them, and all their hosts."""

    row: Result
    hosts: Sequence[str]


def _accepted(rows: Iterable[Result]) -> list[AcceptedRow]:
    waived: dict[tuple[str, str, str], list[Result]] = {}
    for row in rows:
        if row.waiver is not None:
            waived.setdefault((row.waiver.where, row.requirement, row.aspect), []).append(row)
    return [AcceptedRow(own[0], [r.host for r in own]) for own in waived.values()]


class PassedRow(Struct, frozen=True):
    """An aspect's results with a verdict that is folded on paper."""

    row: Result
    hosts: Sequence[str]


def _passed(rows: Iterable[Result]) -> list[PassedRow]:
    groups: dict[tuple[str, str, Verdict], list[Result]] = {}
    for row in rows:
        if row.verdict in page_data.FOLDED:
            groups.setdefault((row.requirement, row.aspect, row.verdict), []).append(row)
    found = [PassedRow(own[0], [r.host for r in own]) for own in groups.values()]
    return sorted(found, key=lambda p: (matrix.chapter_order(p.row), p.row.requirement))


def _deselected(found: Results) -> list[tuple[str, Sequence[str]]]:
    """Hosts, and the cases of each of them that were left out."""
    by_host: dict[str, list[str]] = {}
    for row in found.deselected:
        by_host.setdefault(row.host, []).append(f"{row.requirement} {row.aspect}")
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, cases in by_host.items():
        alike.setdefault(tuple(cases), []).append(host)
    return [(fold_hostnames(hosts), cases) for cases, hosts in alike.items()]


def _filters(rows: Iterable[Result], checks: Iterable[SiteCheck]) -> Mapping[str, object]:
    """What the controls of the table offer: verdicts with their counts, chapters, severities."""
    count = Counter(PRESENTATION[row.verdict].category for row in rows)
    count.update(check.outcome for check in checks)
    labels = {shown.category: v.value for v, shown in PRESENTATION.items()} | OTHER_OUTCOMES
    first = {matrix.chapter_label(r): r for r in rows}
    worst = {r.severity: r for r in first.values()} | {r.severity: r for r in rows}
    return {
        "outcomes": [(o, label, count[o]) for o, label in labels.items() if count[o]],
        "chapters": sorted(first, key=lambda c: matrix.chapter_order(first[c])),
        "severities": sorted(worst, key=lambda s: matrix.severity_order(s)),
    }
