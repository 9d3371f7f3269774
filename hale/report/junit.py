"""junit.xml: the rows as the results have them, in pytest's own file beside other tests.

pytest's reporter looks at each test three times and again at the end; a row is complete when
the run ends, so it is put there once, and pytest reports only what is none of the audit's.
"""

from typing import Any
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, shorten_message, xml_key

from hale.model.results import ROW, Result
from hale.model.verdict import Verdict
from hale.report.html import HasRecorder
from hale.report.jinja import escape_except_newlines
from hale.report.verdicts import PRESENTATION

NAMES = ("host", "requirement", "aspect", "verdict")


class JUnitReport(LogXML):
    """Stands in for pytest's reporter of junit.xml: same file, same options.

    Registered before the controller, so that the controller has completed the results when
    the file is written.
    """

    def __init__(self, config: pytest.Config, controller: HasRecorder) -> None:
        option = config.option
        super().__init__(
            option.xmlpath,
            option.junitprefix,
            config.getini("junit_suite_name"),
            config.getini("junit_logging"),
            config.getini("junit_duration_report"),
            config.getini("junit_family"),
            config.getini("junit_log_passing_tests"),
        )
        self._controller = controller
        self._said: dict[str, str] = {}  # by the name of a red row's test, what pytest says of it
        config.stash[xml_key] = self  # for the fixtures that add to the file
        option.xmlpath = None  # else pytest would write one too

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave the audit's own tests, whole, to the end."""
        if not hasattr(report, ROW):
            super().pytest_runtest_logreport(report)
            return
        row: Result | None = getattr(report, ROW)
        if row is not None and row.verdict.failed:
            self._said[row.test] = str(report.longrepr)

    def pytest_sessionfinish(self) -> None:
        """Write it, with the run's identity; INCOMPLETE and INTERRUPTED where a CI shows them."""
        recorder = self._controller.recorder
        if recorder is not None:
            found = recorder.results
            run = found.run
            names = [f"hale {run.kind}"]
            if run.state != "finished":
                names.append("INTERRUPTED")
                self.add_global_property("INTERRUPTED", "rows that no test judged are errors here")
            if run.incomplete:
                names.append("INCOMPLETE")
            for reason in run.incomplete:
                self.add_global_property("INCOMPLETE", reason)
            self.suite_name = " ".join(names)
            for name in ("version", "git_revision", "site", "inventory", "profile", "started"):
                self.add_global_property(name, getattr(run, name))
            entries: list[Any] = self.node_reporters_ordered
            entries[:0] = [_Entry(self._case(row)) for row in found.results]
        super().pytest_sessionfinish()

    def _case(self, row: Result) -> ElementTree.Element:
        kind = PRESENTATION[row.verdict].junit or None
        self.add_stats(kind or "passed")
        path, _, name = row.test.partition("::")
        words = [self.prefix] if self.prefix else []
        words.append(path.removesuffix(".py").replace("/", "."))
        case = ElementTree.Element(
            "testcase",
            {
                "classname": ".".join(words),
                "name": escape_except_newlines(name),
                "time": f"{row.duration:.3f}",
            },
        )
        properties = ElementTree.SubElement(case, "properties")
        for word in NAMES:
            value = escape_except_newlines(str(getattr(row, word)))
            ElementTree.SubElement(properties, "property", {"name": word, "value": value})
        if kind is not None:
            said = escape_except_newlines(row.actual)
            why = ElementTree.SubElement(case, kind, {"message": shorten_message(said)})
            why.text = escape_except_newlines(self._said.get(row.test, row.actual))
            if kind == "skipped":
                waived = row.verdict is Verdict.WAIVED
                why.set("type", "pytest.xfail" if waived else "pytest.skip")
        return case


def preload() -> None:
    """Let pytest compile what it looks for in every value: it takes as long as a dozen tests."""
    bin_xml_escape("")


class _Entry:
    """What pytest asks for its `testcase` when it writes the file."""

    def __init__(self, case: ElementTree.Element) -> None:
        self._case = case

    def to_xml(self) -> ElementTree.Element:
        return self._case
