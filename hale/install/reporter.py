"""What is reported of an install: to the listener that shows it, and to the journal."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hale.apply.journal import InstallStepState, Journal, PhaseEvent, PhaseState, now
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Step
from hale.install.scheduler import PhaseTask, load_phase, tasks_of


class ProgressListener(Protocol):
    """Receives the progress of an install. Called from several threads."""

    def phase(
        self, name: str, title: str, state: PhaseState, seconds: float, why: str = ""
    ) -> None:
        """A phase starts or has ended. seconds: since it started."""

    def step(self, step: Step, state: InstallStepState, seconds: float) -> None:
        """A step starts or has ended. seconds: how long it took."""

    def output_line(self, step: Step, text: str) -> None:
        """The latest line that a running step printed."""

    def waiting(self, title: str, remaining: Sequence[str], seconds: float) -> None:
        """What the run waits for and what remains of it; empty when the wait is over."""

    def notice(self, text: str) -> None:
        """A message about the run."""


@dataclass
class PhaseReporter:
    """Reports phases when their first host group starts and when their last one ends."""

    site: ClusterContext
    listener: ProgressListener
    journal: Journal | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _started: dict[str, float] = field(default_factory=dict)  # time.monotonic() by phase
    _group_states: dict[str, dict[PhaseTask, PhaseState]] = field(
        default_factory=dict
    )  # of its groups that ended

    def started(self, task: PhaseTask) -> None:
        """Report the start of a phase when its first group starts."""
        with self._lock:
            if task.phase in self._started:
                return
            self._started[task.phase] = time.monotonic()
            started = self._started[task.phase]
            self.record(task.phase, load_phase(task.phase).title, PhaseState.STARTED, started)

    def ended(self, task: PhaseTask, state: PhaseState, why: str = "") -> None:
        """Report the end of a phase when its last group ends; skipped if all groups were."""
        with self._lock:
            states = self._group_states.setdefault(task.phase, {})
            states[task] = state
            parts = len(tasks_of(task.phase, self.site))
            if state is not PhaseState.FAILED and (
                len(states) < parts or PhaseState.FAILED in states.values()
            ):
                return
            if state is PhaseState.SKIPPED and set(states.values()) != {PhaseState.SKIPPED}:
                state, why = PhaseState.DONE, ""
            since = self._started.get(task.phase, time.monotonic())
            self.record(task.phase, load_phase(task.phase).title, state, since, why)

    def record(
        self, name: str, title: str, state: PhaseState, started: float, why: str = ""
    ) -> None:
        """Report a phase, or what is none. started: time.monotonic() of its start."""
        seconds = time.monotonic() - started
        self.write(PhaseEvent(name, state, why, seconds, now()))
        self.listener.phase(name, title, state, seconds, why)

    def write(self, entry: Any) -> None:
        """Write an entry to the journal, if there is one."""
        if self.journal is not None:
            self.journal.write(entry)
