"""Records a run's results on disk from its start, so that they survive any end of the run."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hale.audit import boots, history, results_file
from hale.files import atomic
from hale.model import results
from hale.model.errors import UserError
from hale.model.requirement import Case
from hale.model.results import HostRecord, Result, Results, RowKey, Run
from hale.model.verdict import Verdict

FLUSH_INTERVAL = 1.0  # seconds between two writes while tests run
WRITING_SHARE = 20  # or so many times what the last one took
NOT_RUN = "not judged: the run ended before"


def create_run_dir(reports: Path, kind: str) -> Path:
    """Create the run's folder, `<UTC time>-<kind>`; never reuses one. Raises UserError.

    It is closed to other users, whatever the umask is: it holds the hosts' configuration.
    """
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{kind}"
    try:
        reports.mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            path = reports / (f"{stamp}-{number}" if number else stamp)
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            path.chmod(0o700)
            return path
    except OSError as error:
        raise UserError(f"--reports: {error.filename}: {error.strerror}.") from None
    raise UserError(f"--reports: {reports}/{stamp}: no free name.")


class Recorder:
    """Collects results; the file always has every selected case."""

    def __init__(
        self, path: Path, run: Run, write_later: Callable[[Path, bytes], None] = atomic.write
    ) -> None:
        """write_later: writes the file after the first time, perhaps in the background."""
        self.path = path
        self._soon = write_later
        self.results = Results(results.SCHEMA, results_file.without_secrets(run), [], [], [])
        self._rows: dict[str, Result] = {}
        self._open: set[str] = set()
        self._written = 0.0
        self._interval = FLUSH_INTERVAL

    def begin(
        self, selected: Iterable[Case[Any]], possible: Iterable[Case[Any]], hosts: list[HostRecord]
    ) -> None:
        """Write the file with every selected case UNKNOWN, as it stays if the run is killed."""
        cases = list(selected)
        self.results.references = results.references_of(cases)
        for case in cases:
            self._rows[case.nodeid] = results.unjudged(case, Verdict.UNKNOWN, NOT_RUN)
        self._open = set(self._rows)
        self.results.results = list(self._rows.values())
        self.results.deselected = [
            RowKey(c.host_name, c.requirement.id, c.aspect)
            for c in possible
            if c.nodeid not in self._rows
        ]
        self.results.hosts = hosts
        results_file.save_results(self.results, self.path)
        self._written = -FLUSH_INTERVAL  # so the first result is written at once

    def record(self, result: Result, *, save: bool = True) -> None:
        """Record one judged case. save: write the file if it is due."""
        self._rows[result.test] = result
        self._open.discard(result.test)
        if save and time.monotonic() - self._written > self._interval:
            self.save()

    def save(self) -> None:
        """Write the file with the results so far."""
        began = time.monotonic()
        self.results.results = list(self._rows.values())
        results_file.save_results(self.results, self.path, self._soon)
        self._written = time.monotonic()
        # Of a fleet, writing takes longer than a second: it must not take most of the time.
        self._interval = max(FLUSH_INTERVAL, WRITING_SHARE * (self._written - began))

    @property
    def rows(self) -> list[Result]:
        """All rows; those without a verdict yet are UNKNOWN."""
        return list(self._rows.values())

    @property
    def judged(self) -> list[Result]:
        """The rows that have a verdict."""
        return [row for test, row in self._rows.items() if test not in self._open]

    @property
    def unjudged(self) -> int:
        """The number of selected cases without a verdict."""
        return len(self._open)

    def end(self, exit_status: int, incomplete: list[str]) -> None:
        """Write the final file; a run that was cut short stays `interrupted`."""
        run = self.results.run
        run.ended = results.utc(time.time())
        run.exit_status = exit_status
        run.incomplete = incomplete
        if exit_status in (0, 1, 5) and not self._open:
            run.state = "finished"
        self.results.results = list(self._rows.values())
        run.counts = dict(Counter(row.verdict.value for row in self._rows.values()))
        self.results.history = history.earlier_runs(self.path.parent, run)
        boots.mark_reboot_proven(self.results, self.path.parent)
        results_file.save_results(self.results, self.path, self._soon)
