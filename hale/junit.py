"""junit.xml says whose row each test case is, and of the whole run what it was and lacks."""

from typing import Any

import pytest
from _pytest.junitxml import xml_key

from hale.html import HasRecorder
from hale.results import ROW

NAMES = ("host", "requirement", "aspect", "verdict")


class Suite:
    """Gives the suite its name and properties, before pytest writes the file.

    Registered before the controller, so that the controller has completed the results.
    """

    def __init__(self, config: pytest.Config, controller: HasRecorder) -> None:
        self._config = config
        self._controller = controller
        self._rows: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Give each test case its row's name: pytest takes properties from the last phase only."""
        row = getattr(report, ROW, None)
        if row is not None:
            self._rows[report.nodeid] = row
        if report.when == "teardown":
            row = self._rows.pop(report.nodeid, None)
            given = dict(report.user_properties)
            given |= {name: row[name] for name in NAMES} if row else {}
            report.user_properties = list(given.items())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write the run's identity, and INCOMPLETE and INTERRUPTED where a CI shows them."""
        xml, recorder = self._config.stash.get(xml_key, None), self._controller.recorder
        if xml is None or recorder is None:
            return
        run = recorder.results.run
        names = [f"hale {run.kind}"]
        if run.state != "finished":
            names.append("INTERRUPTED")
            xml.add_global_property("INTERRUPTED", "rows that no test judged are not here")
        if run.incomplete:
            names.append("INCOMPLETE")
        for reason in run.incomplete:
            xml.add_global_property("INCOMPLETE", reason)
        xml.suite_name = " ".join(names)
        for name in ("version", "git_revision", "site", "inventory", "profile", "started"):
            xml.add_global_property(name, getattr(run, name))
