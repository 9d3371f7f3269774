"""report.html: pytest-html's page, filled from the run's results and from nothing else.

pytest-html escapes neither the cells nor the environment that a plugin gives it. Everything
of ours is made by html.jinja2, as pages.py says.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, wraps
from html import escape
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pytest
import pytest_html.plugin
from jinja2 import (
    Environment,
    FileSystemLoader,
    select_autoescape,
)
from msgspec import Struct

from hale.model.requirement import ASPECTS, SEVERITIES
from hale.model.results import ROW, EvidenceExcerpt, OverrideRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report import matrix
from hale.report.jinja import bytecode_cache, escape_except_newlines, inline_asset, templates, utc
from hale.report.text import escape_controls, fold_hostnames
from hale.report.verdicts import PRESENTATION

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


class Recorded(Protocol):
    """Where the results are while a run lasts."""

    @property
    def results(self) -> Results:
        """All rows, as they are to be reported."""


class HasRecorder(Protocol):
    """The part of a run's controller that the page needs."""

    @property
    def recorder(self) -> Recorded | None:
        """None as long as nothing is collected."""


class HtmlReport:
    """pytest-html's hooks. The audit's rows are added at the end, when all is known of them."""

    def __init__(self, controller: HasRecorder) -> None:
        self._controller = controller
        self._report: Any = None
        self._logs: dict[str, str] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """Called first of all: keeps the report's data at hand, and empties its environment.

        What pytest-metadata collects (plugins, variables of a CI) is not the run's identity,
        and would be put into the page as markup. What the operator gave with --metadata stays.
        """
        self._report = report
        given = getattr(report.config.option, "metadata", [])
        report.set_data(
            "environment", {escape_controls(k): escape(escape_except_newlines(v)) for k, v in given}
        )
        for verdict, shown in PRESENTATION.items():
            report.outcomes[shown.category]["label"] = verdict.value

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Our columns; a click on a head sorts by it."""
        cells[:] = [
            f'<th class="sortable" data-column-type="{name}">{head}</th>'
            for name, head in COLUMNS.items()
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what pytest has to say of our rows, whose reports pytest-html does not get."""
        row: Result | None = getattr(report, ROW, None)
        if row is not None and (text := _log(report, row)):
            self._logs[row.test] = text

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Give a test that is none of the audit's our columns."""
        if report.when in ("call", "collect") or not report.passed:  # others are not shown
            cells[:] = foreign_cells(report, cells)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, data: list[str]) -> None:
        """What others printed: pytest-html has escaped it; its control characters are left."""
        data[:] = [escape_except_newlines(text) for text in data]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str], postfix: list[str]) -> None:
        """What stands above the table, and the table's rows with what they rest on."""
        recorder = self._controller.recorder
        if recorder is None:
            return
        found = recorder.results
        self._report.title = title(found)
        prefix.append(summary(found))
        ours = {}
        places: dict[EvidenceExcerpt, str] = {}
        for row in failures_first(found.results):
            outcome = PRESENTATION[row.verdict].category
            self._report.outcomes = outcome
            ours[row_id(row)] = [table_entry(row, places, self._logs.get(row.test, ""))]
        self._report.set_data("tests", ours | self._report.data["tests"])
        postfix.append(evidence_excerpts(places))


def _log(report: Any, row: Result) -> str:
    """What pytest has to say of a row beyond the row itself: a traceback, captured output."""
    said = [f"{head}\n{text}" for head, text in report.sections]
    if row.verdict.failed:
        text = str(report.longrepr)  # without the name of xdist's worker
        if text != matrix.failure_block(row):
            said.insert(0, text)
    return "\n".join(said)


def cache_pytest_html_template() -> None:
    """Let pytest-html load its page's template compiled, which else takes longer than 20 tests."""

    def read(search_paths: Sequence[Path], template_name: str = "index.jinja2") -> Any:
        # As pytest-html makes it, but for the cache.
        environment = Environment(
            loader=FileSystemLoader(search_paths),
            autoescape=select_autoescape(enabled_extensions=("jinja2",)),
            bytecode_cache=bytecode_cache(),
        )
        return environment.get_template(template_name)

    pytest_html.plugin._read_template = read


def hide_rows_from_pytest_html() -> None:
    """Keep the reports of our rows from pytest-html, which would make cells of each phase."""
    theirs = pytest_html.basereport.BaseReport.pytest_runtest_logreport
    if hasattr(theirs, "__wrapped__"):
        return

    @wraps(theirs)
    def others(self: Any, report: pytest.TestReport) -> None:
        if not hasattr(report, ROW):
            theirs(self, report)

    pytest_html.basereport.BaseReport.pytest_runtest_logreport = others


@cache
def _template() -> Any:
    return templates().get_template("audit.jinja2").module


def preload() -> None:
    """Compile the template, or load it compiled: that takes as long as dozens of tests."""
    _template()


def row_id(row: Result) -> str:
    """The row's place in the page, the same in every report."""
    return escape_controls(f"{row.host}/{row.requirement}/{row.aspect}")


def failures_first(rows: Iterable[Result]) -> list[Result]:
    """What is red first; the standard's order within a verdict."""
    order = list(PRESENTATION)
    return sorted(rows, key=lambda r: (order.index(r.verdict), matrix.chapter_order(r)))


def title(found: Results) -> str:
    """For the window's tab and the page's head; never without what must not be overlooked."""
    run = found.run
    words = [f"Hale {run.kind} {utc(run.started)}: {verdict(found)}"]
    words += ["INTERRUPTED"] if run.state != "finished" else []
    words += ["INCOMPLETE"] if run.incomplete else []
    return escape_controls(" · ".join(words))


def verdict(found: Results) -> str:
    """The run in one or two words."""
    have = {row.verdict for row in found.results}
    if not have:
        return "nothing was judged"
    if Verdict.FAIL in have:
        return "not compliant"
    if Verdict.UNKNOWN in have:
        return "not proven"
    whole = found.run.state == "finished" and not found.run.incomplete
    return "compliant" if whole else "compliant as far as it was asked"


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


def summary(found: Results) -> str:
    """Banner, matrix, overrides, hosts and the run itself."""
    names = matrix.columns(found)
    rows = found.results
    counts = [(v, sum(r.verdict is v for r in rows)) for v in Verdict]
    page = _template().summary(
        run=found.run,
        style=inline_asset("page.css"),
        command=shlex.join(found.run.command_line),
        verdict=verdict(found),
        good=bool(rows) and not any(r.verdict.failed for r in rows),
        total=len(rows),
        counts=[(v, count) for v, count in counts if count],
        reds=[(v, count) for v, count in counts if count and v.failed],
        sign={v: shown.sign for v, shown in PRESENTATION.items()},
        meaning={v: shown.meaning for v, shown in PRESENTATION.items()},
        names=names,
        chapters=_chapters(found, names),
        tally=[_tally(rows, name) for name in names],
        link=lambda row: "#" + quote(row_id(row)),
        overrides=overrides(found),
        hosts=found.hosts,
        deselected=_deselected(found),
        possible=len(rows) + len(found.deselected),
    )
    return str(page)


def _chapters(found: Results, names: Sequence[str]) -> list[tuple[str, list[MatrixRow]]]:
    chapters: dict[str, list[MatrixRow]] = {}
    for requirement, cells in matrix.matrix(found.results).items():
        rows = [row for of_host in cells.values() for row in of_host]
        line = MatrixRow(
            requirement,
            rows[0].title,
            sorted({r.aspect for r in rows}, key=ASPECTS.index),
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


def table_entry(row: Result, places: dict[EvidenceExcerpt, str], log: str = "") -> dict[str, Any]:
    """One row as pytest-html's script wants it; it sorts by the keys named like columns.

    `places` are the ids of what `readings` puts into the page; what the row rests on is added.
    """
    page = _template()
    sign = PRESENTATION[row.verdict].sign
    read = [places.setdefault(one, f"reading-{len(places)}") for one in row.evidence]
    return {
        "testId": row_id(row),
        "result": PRESENTATION[row.verdict].category.capitalize(),
        "extras": [],
        "log": "",
        # One string for all cells: the browser parses it in one go.
        "resultsTableRow": [str(page.cells(row=row, sign=sign, label=matrix.chapter_label(row)))],
        "tableHtml": [str(page.detail(row=row, read=read, log=log))],
        "host": row.host,
        "chapter": matrix.chapter_order(row),
        "requirement": row.requirement,
        "aspect": row.aspect,
        "expected": row.expected,
        "actual": row.actual,
        "severity": SEVERITIES.index(row.severity) if row.severity in SEVERITIES else 9,
        "proven": not row.reboot_proven,
        "overrides": -len(row.overrides),
    }


def evidence_excerpts(places: Mapping[EvidenceExcerpt, str]) -> str:
    """What the rows rest on, each once: many rest on the same file."""
    return str(_template().readings(places=places, script=inline_asset("audit.js")))


def foreign_cells(report: Any, cells: Sequence[str]) -> list[str]:
    """A test that is none of the audit's (a site's own, or a file that cannot be collected).

    pytest-html's first cell is its own word for the outcome, which its filters look at.
    """
    said = report.longreprtext.strip().splitlines()
    texts = {"requirement": report.nodeid, "actual": said[-1] if said else ""}
    cell = _template().cell
    ours = [str(cell(name=name, text=texts.get(name, ""))) for name in COLUMNS]
    return [cells[0], *ours[1:]]
