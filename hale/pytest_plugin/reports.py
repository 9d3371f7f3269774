"""An audit's report files: where they go, and the site's own checks, which stand in them too.

The options --html and --junitxml are those of pytest-html and pytest. In an audit they say where
Hale's own report.html and junit.xml go, and the reporters of those plugins have nothing to do.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hale.model.errors import UserError
from hale.model.results import ROW, Result, Results, SiteCheck
from hale.redact import redact
from hale.report import formats, junit
from hale.report.matrix import failure_block


class SiteChecks:
    """pytest's hooks that see the end of every test; keeps those that judge no requirement."""

    def __init__(self) -> None:
        self.checks: list[SiteCheck] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A setup or teardown that went well is no outcome of its own."""
        if not hasattr(report, ROW) and (report.when == "call" or not report.passed):
            self.checks.append(_site_check(report, report.duration))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that could not be loaded."""
        if report.failed:
            self.checks.append(_site_check(report, 0.0))


class ReportFiles(SiteChecks):
    """report.html and junit.xml of one run. Registered as a plugin, before its configuration ends.

    Raises UserError where a file that the operator named cannot be made.
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

        What pytest reports of a row without judging it (a worker that died) goes to the row.
        """
        rows = {row.test: row for row in found.results}
        for check in self.checks:
            if (row := rows.get(check.test)) is not None:
                row.log = "\n".join(filter(None, (row.log, check.text)))
        found.site_checks = [check for check in self.checks if check.test not in rows]

    def write(self, found: Results, write: Callable[[Path, bytes], None]) -> None:
        """Make the reports. `write` takes those in the run's folder; others are overwritten."""
        xml = partial(junit.render, prefix=self._junit_prefix)
        for path, render in (self.html, formats.FORMATS["html"]), (self._junit, xml):
            if path is None:
                continue
            content = formats.encode(render(found))
            if path.parent == self._folder:
                write(path, content)
            else:
                path.write_bytes(content)  # it may be a pipe, or /dev/null


def _take_over(option: Any, name: str, default: Path, typed_as: str) -> Path | None:
    """Where the file goes; None where its plugin is off (`-p no:html`). Clears the option."""
    typed = getattr(option, name, "")
    if typed == "":
        return None
    setattr(option, name, None)
    if typed is None:
        return default
    path = Path.cwd() / Path(os.path.expandvars(typed)).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What an earlier run left must not be taken for this one's, if this one comes to no end.
        if path.is_file() and not path.is_symlink():
            path.unlink()
    except OSError as error:
        raise UserError(f"{typed_as}: {error.filename}: {error.strerror}.") from None
    return path


def log_of(report: pytest.TestReport, row: Result) -> str:
    """pytest's account of a row, beyond the row itself: a traceback, captured output."""
    parts = [f"{head}\n{text}" for head, text in report.sections]
    if row.verdict.failed and not isinstance(report.longrepr, tuple):  # a skip says no more
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
