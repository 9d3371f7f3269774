"""An audit's report files: where they are written, and the site's own checks in them.

The options --html and --junitxml are those of pytest-html and pytest. In an audit they are the
paths of Hale's own report.html and junit.xml, and the reporters of those plugins are off.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hale.files.atomic import BackgroundWriter
from hale.model.errors import UserError
from hale.model.results import FAILED_OUTCOMES, ROW, Result, Results, SiteCheck
from hale.redact import redact
from hale.report import html, junit
from hale.report.matrix import failure_block
from hale.report.text import encode


class SiteChecks:
    """Collects the outcomes of tests that judge no requirement: a site's own checks."""

    def __init__(self) -> None:
        self.checks: list[SiteCheck] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test's outcome; a passed setup or teardown is none."""
        if not hasattr(report, ROW) and (report.when == "call" or not report.passed):
            self.checks.append(_site_check(report, report.duration))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be loaded."""
        if report.failed:
            self.checks.append(_site_check(report, 0.0))


class ReportFiles(SiteChecks):
    """report.html and junit.xml of one run; a plugin, registered during pytest_configure.

    Raises UserError if a file that the operator named cannot be created.
    """

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        super().__init__()
        option = config.option
        self.html = _take_over(option, "htmlpath", folder / "report.html", "--html")
        self._junit = _take_over(option, "xmlpath", folder / "junit.xml", "--junitxml")
        self._junit_prefix = getattr(option, "junitprefix", None) or ""
        self._folder = folder
        self.metadata = {str(k): str(v) for k, v in getattr(option, "metadata", None) or ()}

    def complete(self, found: Results) -> None:
        """Add the site's checks to the results.

        What pytest reports about a case without judging it (a dead worker) goes to its result.
        """
        rows = {row.test: row for row in found.results}
        for check in self.checks:
            if (row := rows.get(check.test)) is not None:
                row.log = "\n".join(filter(None, (row.log, check.text)))
        found.site_checks = [check for check in self.checks if check.test not in rows]
        found.run.other_tests_failed = len(
            {check.test for check in found.site_checks if check.outcome in FAILED_OUTCOMES}
        )

    def write(self, found: Results, writer: BackgroundWriter) -> None:
        """Write the reports. Those outside of the run's folder may be pipes: no temporary file."""
        xml = partial(junit.render, prefix=self._junit_prefix)
        for path, render in (self.html, html.render), (self._junit, xml):
            if path is None:
                continue
            content = encode(render(found))
            if path.parent == self._folder:
                writer.write(path, content)
            else:
                writer.write_named(path, content)


def _take_over(option: Any, name: str, default: Path, typed_as: str) -> Path | None:
    """The path of the file; None if its plugin is off (`-p no:html`). Clears the option."""
    typed = getattr(option, name, "")
    if typed == "":
        return None
    setattr(option, name, None)
    if typed is None:
        return default
    path = Path.cwd() / Path(os.path.expandvars(typed)).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # An earlier run's file must not be taken for this one's, if this run is cut short.
        if path.is_file() and not path.is_symlink():
            path.unlink()
    except OSError as error:
        raise UserError(f"{typed_as}: {error.filename}: {error.strerror}.") from None
    return path


def log_of(report: pytest.TestReport, row: Result) -> str:
    """pytest's output for a result that the result lacks: a traceback, captured output."""
    parts = [f"{head}\n{text}" for head, text in report.sections]
    if row.verdict.failed and not isinstance(report.longrepr, tuple):  # a skip has nothing to add
        text = str(report.longrepr)  # without the name of xdist's worker
        if text != failure_block(row):
            parts.insert(0, text)
    return redact("\n".join(parts))


def _site_check(report: pytest.TestReport | pytest.CollectReport, duration: float) -> SiteCheck:
    text = report.longreprtext.strip()
    properties = getattr(report, "user_properties", [])
    return SiteCheck(
        test=report.nodeid,
        outcome=_outcome(report),
        message=redact(_message(report, text)),
        text=redact(text),
        output=redact("\n".join(f"{head}\n{part}" for head, part in report.sections)),
        duration=duration,
        properties={str(name): redact(str(value)) for name, value in properties},
    )


def _outcome(report: pytest.TestReport | pytest.CollectReport) -> str:
    """As pytest counts it: a failure outside of the test's own call is an error."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


def _message(report: pytest.TestReport | pytest.CollectReport, text: str) -> str:
    if getattr(report, "wasxfail", ""):
        return str(report.wasxfail)
    if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash is not None else text.rpartition("\n")[2]
