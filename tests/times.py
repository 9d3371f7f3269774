"""How long a run of the suite took: each group, and what each worker did when."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import pytest

#: The property of a test that waited for its turn: seconds (conftest.py).
WAITED = "waited"


@dataclass(frozen=True)
class Stretch:
    """A worker's tests of one group, one after the other.

    began, ended: seconds since the run's first test began. waited: seconds of them in which other
    hosts had the machine.
    """

    worker: str
    group: str
    began: float
    ended: float
    waited: float

    def __str__(self) -> str:
        waited = f", {self.waited:.0f} s of it waiting" if self.waited else ""
        return f"{self.worker:5} {self.began:6.0f} - {self.ended:6.0f} s  {self.group}{waited}"


def tell_times(terminal: pytest.TerminalReporter) -> None:
    """Seconds of each folder's tests with their fixtures, added up over all workers and without
    those in which they waited; and with workers, what each of them did when.
    """
    reports = [r for found in terminal.stats.values() for r in found]
    reports = [r for r in reports if isinstance(r, pytest.TestReport)]
    _tell_groups(terminal, reports)
    stretches = stretches_of(reports)
    if stretches:
        terminal.section("time of each worker")
        for stretch in stretches:
            terminal.line(str(stretch))


def _tell_groups(terminal: pytest.TerminalReporter, reports: Iterable[pytest.TestReport]) -> None:
    seconds: dict[str, float] = {}
    tests: dict[str, set[str]] = {}
    for report in reports:
        group = _group(report)
        seconds[group] = seconds.get(group, 0.0) + report.duration - waited(report)
        tests.setdefault(group, set()).add(report.nodeid)
    if len(seconds) < 2:
        return
    terminal.section("time of each group")
    for group in sorted(seconds, key=lambda name: -seconds[name]):
        terminal.line(f"{seconds[group]:8.1f} s  {len(tests[group]):5} tests  {group}")
    terminal.line(f"{sum(seconds.values()):8.1f} s  {sum(map(len, tests.values())):5} tests")


def stretches_of(reports: Iterable[pytest.TestReport]) -> list[Stretch]:
    """Of all workers, in order; none where there are no workers.

    The report that pytest-xdist makes of a test whose worker died has no times.
    """
    timed = (r for r in reports if _worker(r) and r.start)
    of_workers = sorted(timed, key=lambda r: (_worker(r), r.start))
    first = min((report.start for report in of_workers), default=0.0)
    found = []
    for (worker, group), each in groupby(of_workers, lambda r: (_worker(r), _group(r))):
        stretch = list(each)
        began, ended = stretch[0].start - first, max(r.stop for r in stretch) - first
        found.append(Stretch(worker, group, began, ended, sum(map(waited, stretch))))
    return found


def waited(report: pytest.TestReport) -> float:
    """Seconds of a test's setup in which it waited for its turn; 0 for its call and teardown."""
    if report.when != "setup":
        return 0.0
    return sum(float(str(seconds)) for name, seconds in report.user_properties if name == WAITED)


def _group(report: pytest.TestReport) -> str:
    return report.nodeid.partition("/")[0]


def _worker(report: pytest.TestReport) -> str:
    """Its name; empty without pytest-xdist."""
    node = getattr(report, "node", None)
    return str(node.gateway.id) if node else ""
