"""report.html of an audit: one page, rendered from the run's results; it fetches nothing.

The template is templates/audit.jinja2, which escapes every value (jinja.py).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from msgspec import Struct

from hale.model.requirement import Aspect, Severity
from hale.model.results import (
    EvidenceExcerpt,
    OverrideRecord,
    Result,
    Results,
    unverified_hosts,
)
from hale.model.verdict import Verdict
from hale.report import matrix
from hale.report.jinja import inline_asset, render_page, templates
from hale.report.notices import sentence
from hale.report.text import escape_controls, fold_hostnames
from hale.report.verdicts import PRESENTATION

TEMPLATE = "audit.jinja2"
COLUMNS = {
    "result": "verdict",
    "host": "host",
    "chapter": "§",
    "requirement": "requirement",
    "aspect": "aspect",
    "expected": "expected",
    "actual": "actual",
    "severity": "severity",
    "proven": "reboot-proven",
    "overrides": "overrides",
}
# pytest's outcomes that no verdict has: only a site's own checks end so.
OTHER_OUTCOMES = {"xpassed": "XPASS", "rerun": "RERUN"}

_SEVERITIES = [severity.value for severity in Severity]


def render(found: Results) -> str:
    """The page."""
    names = matrix.columns(found)
    rows = found.results
    counts = [(v, sum(r.verdict is v for r in rows)) for v in Verdict]
    evidence: dict[EvidenceExcerpt, str] = {}
    return render_page(
        TEMPLATE,
        found,
        verdict(found),
        good=bool(rows)
        and not any(r.verdict.failed for r in rows)
        and not matrix.failures_beside(found.run),
        script=inline_asset("audit.js"),
        total=len(rows),
        counts=[(v, count) for v, count in counts if count],
        show=PRESENTATION,
        unverified=unverified_hosts(found.hosts),
        names=names,
        chapters=_chapters(found, names),
        beyond=matrix.BEYOND,
        tally=[_tally(rows, name) for name in names],
        link=lambda row: "#" + quote(row_id(row)),
        overrides=overrides(found),
        waivers=found.waivers,
        notices=[sentence(notice) for notice in found.notices],
        deselected=_deselected(found),
        possible=len(rows) + len(found.deselected),
        filters=_filters(found),
        columns=COLUMNS,
        rows=[_table_row(row, evidence) for row in failures_first(rows)],
        site_checks=found.site_checks,
        evidence=evidence,
    )


def preload() -> None:
    """Compile the template, or load it compiled: that takes as long as judging dozens of cases."""
    templates().get_template(TEMPLATE)


def row_id(row: Result) -> str:
    """The id of the row's element, the same in every report."""
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


class MatrixRow(Struct, frozen=True):
    """One requirement in the matrix: for each host its rows, aspect by aspect."""

    requirement: str
    title: str
    aspects: Sequence[str]
    overridden: bool
    cells: Sequence[Sequence[Result]]


class OverrideRow(Struct, frozen=True):
    """One value of the standard that the inventory replaces, and for which hosts."""

    requirement: str
    override: OverrideRecord
    hosts: str


def _chapters(found: Results, names: Sequence[str]) -> list[tuple[str, list[MatrixRow]]]:
    chapters: dict[str, list[MatrixRow]] = {}
    for requirement, cells in matrix.matrix(found.results).items():
        rows = [row for of_host in cells.values() for row in of_host]
        line = MatrixRow(
            requirement,
            rows[0].title,
            sorted({r.aspect for r in rows}, key=[a.value for a in Aspect].index),
            any(r.overrides for r in rows),
            [cells.get(name, []) for name in names],
        )
        chapters.setdefault(matrix.chapter_label(rows[0]), []).append(line)
    return list(chapters.items())


def _tally(rows: Iterable[Result], name: str) -> list[tuple[Verdict, int]]:
    mine = [r.verdict for r in rows if r.host == name]
    counts = [(v, mine.count(v)) for v in (Verdict.FAIL, Verdict.UNKNOWN)]
    return [(v, count) for v, count in counts if count]


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


def _deselected(found: Results) -> list[tuple[str, list[str]]]:
    by_host: dict[str, list[str]] = {}
    for row in found.deselected:
        by_host.setdefault(row.host, []).append(f"{row.requirement} {row.aspect}")
    return list(by_host.items())


def _filters(found: Results) -> list[tuple[str, str, int]]:
    """Outcome, label and count of each outcome that is in the table."""
    count = Counter(PRESENTATION[row.verdict].category for row in found.results)
    count.update(check.outcome for check in found.site_checks)
    labels = {shown.category: v.value for v, shown in PRESENTATION.items()} | OTHER_OUTCOMES
    return [(outcome, label, count[outcome]) for outcome, label in labels.items() if count[outcome]]


class TableRow(Struct, frozen=True):
    """One result in the table; the keys that the script sorts by where the text is none."""

    id: str
    result: Result
    chapter: str
    chapter_key: int
    verdict_key: int
    severity_key: int
    evidence: Sequence[str]  # ids of what the result rests on, each in the page once


def _table_row(row: Result, evidence: dict[EvidenceExcerpt, str]) -> TableRow:
    """`evidence` has the ids of the excerpts that the page shows; those of this row are added."""
    beyond, chapter = matrix.chapter_order(row)
    return TableRow(
        id=row_id(row),
        result=row,
        chapter=matrix.chapter_label(row),
        chapter_key=chapter + 100 * beyond,
        verdict_key=matrix.ORDER.index(row.verdict),
        severity_key=_SEVERITIES.index(row.severity) if row.severity in _SEVERITIES else 9,
        evidence=[evidence.setdefault(one, f"reading-{len(evidence)}") for one in row.evidence],
    )
