"""pytest --drift: what has changed since the accepted run, in results.json and on the terminal."""

import msgspec
import pytest

from hale.audit.accepted import Accepted
from hale.audit.recorder import Recorder
from hale.model.comparison import ChangeReason, DriftRecord
from hale.report import compare
from hale.report.text import escape_controls


def since(accepted: Accepted, recorder: Recorder) -> DriftRecord:
    """The changes. Rows that --hosts, -k or -m left out are no drift."""
    found = msgspec.structs.replace(recorder.results, results=recorder.rows)
    comparison = compare.compare(accepted.rows, found)
    selected = comparison.without([ChangeReason.DESELECTED])
    return DriftRecord(accepted.run, str(accepted.path), selected)


def write(reporter: pytest.TerminalReporter, drift: DriftRecord) -> None:
    """Write the section after the audit's own summary."""
    run = drift.accepted
    reporter.section("drift")
    reporter.write_line(
        escape_controls(f"since the audit of {run.started}, accepted by {run.by} on {run.at}")
    )
    if not drift.comparison.changes:
        reporter.write_line(f"no drift: {drift.comparison.same} results are the same")
        return
    reporter.write(compare.text(drift.comparison, "accepted", "now"))
