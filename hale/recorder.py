"""Keeps a run's results on disk from its first moment, so that no end of it loses them."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hale import atomic, results
from hale.requirement import Case
from hale.results import HostRecord, Result, Results, Row, Run
from hale.verdicts import Verdict

EVERY = 1.0  # seconds between two writes while tests run
NOT_JUDGED = "not judged: the run ended before"


def folder(reports: Path, kind: str) -> Path:
    """Make the run's own folder, `<UTC time>-<kind>`; never an existing one."""
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{kind}"
    reports.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        path = reports / (f"{stamp}-{number}" if number else stamp)
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{reports}/{stamp}: no free name")


class Recorder:
    """Collects rows as tests end; the file always holds every selected row."""

    def __init__(
        self, path: Path, run: Run, soon: Callable[[Path, bytes], None] = atomic.write
    ) -> None:
        """`soon` writes what follows the first file, which stands when this does not come to it."""
        self.path = path
        self._soon = soon
        self.results = Results(results.SCHEMA, results.without_secrets(run), [], [], [])
        self._rows: dict[str, Result] = {}
        self._open: set[str] = set()
        self._written = 0.0

    def begin(
        self, selected: Iterable[Case[Any]], possible: Iterable[Case[Any]], hosts: list[HostRecord]
    ) -> None:
        """Write the file with every selected row UNKNOWN, as it stays if we are killed now."""
        for case in selected:
            self._rows[case.nodeid] = results.row(case, Verdict.UNKNOWN, NOT_JUDGED)
        self._open = set(self._rows)
        self.results.results = list(self._rows.values())
        self.results.deselected = [
            Row(c.host_name, c.requirement.id, c.aspect)
            for c in possible
            if c.nodeid not in self._rows
        ]
        self.results.hosts = hosts
        results.save(self.results, self.path)
        self._written = -EVERY  # with the first row it is time again: the hosts have answered

    def record(self, result: Result) -> None:
        """Take one judged row."""
        self._rows[result.test] = result
        self._open.discard(result.test)
        if time.monotonic() - self._written > EVERY:
            self.results.results = list(self._rows.values())
            results.save(self.results, self.path, self._soon)
            self._written = time.monotonic()

    @property
    def unjudged(self) -> int:
        """How many selected rows no test has judged."""
        return len(self._open)

    def end(self, exit_status: int, incomplete: list[str], booted: Mapping[str, float]) -> None:
        """Write the final file; a run that was cut short stays marked interrupted."""
        run = self.results.run
        run.ended = results.utc(time.time())
        run.exit_status = exit_status
        run.incomplete = incomplete
        if exit_status in (0, 1, 5) and not self._open:
            run.state = "finished"
        self.results.results = list(self._rows.values())
        results.finish(self.results, booted)
        results.save(self.results, self.path, self._soon)
