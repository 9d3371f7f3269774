"""A run in one line, with the states and exit statuses of monitoring plugins.

Source: Monitoring Plugins Development Guidelines, "Plugin Output for Nagios": the state, a text
without newlines, and after `|` the performance data.
"""

from collections import Counter
from enum import IntEnum

from hale.model.requirement import Severity
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import causes, matrix
from hale.report.text import escape_controls, fold_hostnames

MAX_LINE = 1000  # characters before the performance data
MAX_CAUSES = 3


class MonitoringState(IntEnum):
    """The state, which is the exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def state_of(found: Results) -> MonitoringState:
    """CRITICAL for a failed result of that severity, UNKNOWN for what could not be judged.

    WARNING for other failures. A run that lacks hosts or did not finish is never OK.
    """
    failed = [row for row in found.results if row.verdict is Verdict.FAIL]
    if any(row.severity == Severity.CRITICAL.value for row in failed):
        return MonitoringState.CRITICAL
    unknown = any(row.verdict is Verdict.UNKNOWN for row in found.results)
    complete = found.results and found.run.state == "finished" and not matrix.gaps(found)
    if unknown or not complete:
        return MonitoringState.UNKNOWN
    if failed or matrix.failures_beside(found.run):
        return MonitoringState.WARNING
    return MonitoringState.OK


def line(found: Results) -> str:
    """The run in one line, without a newline."""
    state = state_of(found)
    count = Counter(row.verdict for row in found.results)
    words = [f"{count[v]} {v}" for v in Verdict if count[v]] or ["nothing was judged"]
    parts = [f"{len(found.hosts)} hosts: {', '.join(words)}", *matrix.gaps(found)]
    if found.run.state != "finished":
        parts.append("interrupted")
    if not any(verdict.failed for verdict in count) and matrix.failures_beside(found.run):
        parts.append(matrix.failures_beside(found.run))
    known = causes.causes(found)
    for cause in known[:MAX_CAUSES]:
        row = cause.row
        name = f"{row.requirement} {row.aspect} {row.verdict}"
        parts.append(f"{name} ({fold_hostnames(cause.hosts)})")
    if len(known) > MAX_CAUSES:
        parts.append(f"{len(known) - MAX_CAUSES} more causes")
    # A bar would begin the performance data.
    text = escape_controls("; ".join(parts)).replace("|", "¦")
    cut = text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}…"
    data = " ".join(f"{v.name.lower()}={count[v]}" for v in Verdict)
    return f"HALE {state.name} - {cut} | {data}"
