"""When each phase of an install may start, and what is known about those that have not.

A phase with HOST_GROUPS is one task per group: the first control-plane node, each of the others,
the workers together. A task depends only on the same group of the phases it DEPENDS_ON. Groups
of one phase are staggered so that the hosts others depend on finish first (docs/design.md, "Install
scheduler").

Only the engine's main thread changes a scheduler; the phases' threads read it.
"""

import importlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cache
from graphlib import TopologicalSorter
from typing import NamedTuple

from hale.install.cluster_context import ALL_HOSTS, ClusterContext
from hale.install.phase import Observations, Phase

PACKAGE = "remediate.cluster"


class PhaseTask(NamedTuple):
    """A phase, or one host group of it; group: a key of ClusterContext.host_groups."""

    phase: str
    group: str = ALL_HOSTS


@cache
def phases() -> Mapping[str, Phase]:
    """The phases of an install by name, in their order."""
    found: tuple[Phase, ...] = importlib.import_module(PACKAGE).PHASES
    return {phase.name: phase for phase in found}


def load_phase(name: str) -> Phase:
    """The phase of that name. Raises KeyError."""
    return phases()[name]


def phase_names() -> tuple[str, ...]:
    """The names of all phases of an install, in their order."""
    return tuple(phases())


def required_phases(name: str) -> tuple[str, ...]:
    """The names of the phases that a phase depends on, for whichever host groups."""
    return tuple(dict.fromkeys(need.partition("/")[0] for need in load_phase(name).DEPENDS_ON))


def tasks_of(name: str, site: ClusterContext) -> tuple[PhaseTask, ...]:
    """One task per host group of the phase, in their order; one for a phase without groups."""
    kinds = load_phase(name).HOST_GROUPS
    if not kinds:
        return (PhaseTask(name),)
    return tuple(
        PhaseTask(name, group) for group, kind in site.host_groups.items() if kind in kinds
    )


def dependencies(task: PhaseTask, site: ClusterContext) -> frozenset[PhaseTask]:
    """The tasks that must be done before this one may start.

    `images/first` in DEPENDS_ON means that group of the phase, `images` the task's own group, or
    every group where either phase has none.
    """
    wanted: set[PhaseTask] = set()
    for need in load_phase(task.phase).DEPENDS_ON:
        name, _, kind = need.partition("/")
        for other in tasks_of(name, site):
            if kind:
                required = site.host_groups[other.group] == kind
            else:
                required = ALL_HOSTS in (other.group, task.group) or other.group == task.group
            if required:
                wanted.add(other)
    return frozenset(wanted)


class Scheduler:
    """The tasks of the selected phases; a dependency that is not selected counts as done.

    observations: of each phase, before any of them started. waiting: tasks not started yet, in
    the order in which they start where several may. Raises graphlib.CycleError.
    """

    def __init__(
        self,
        names: Sequence[str],
        site: ClusterContext,
        observations: Mapping[str, Observations],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = [task for name in names for task in tasks_of(name, site)]
        self._dependencies = {
            task: dependencies(task, site) & set(self.waiting) for task in self.waiting
        }
        self._sorter = TopologicalSorter(self._dependencies)
        self._sorter.prepare()
        self._startable: set[PhaseTask] = set()  # dependencies are done; may have to wait its turn
        self._previous_group = dict(itertools.pairwise(reversed(site.host_groups)))
        self._groups = site.host_groups
        self._observations = {task: observations[task.phase] for task in self.waiting}
        self._done: frozenset[PhaseTask] = frozenset()
        self._started_at: dict[PhaseTask, float] = {}
        self._clock = clock

    def ready(self) -> Iterator[PhaseTask]:
        """The tasks that may start now, in order. A task that ends during the iteration may add
        more."""
        for task in list(self.waiting):
            self._startable |= set(self._sorter.get_ready())
            if task in self._startable and self._stagger_remaining(task, self._done) <= 0:
                yield task

    def next_wakeup(self) -> float | None:
        """Seconds until another task may start by its turn alone; None if none will."""
        self._startable |= set(self._sorter.get_ready())
        waits = [
            self._stagger_remaining(t, self._done) for t in self.waiting if t in self._startable
        ]
        return min((seconds for seconds in waits if seconds < math.inf), default=None)

    def begin(self, task: PhaseTask) -> Observations | None:
        """Record its start. What is known of its hosts; None if something has run since."""
        self.waiting.remove(task)
        self._started_at[task] = self._clock()
        return self._observations.pop(task, None)

    def unblocked_by(self, task: PhaseTask) -> tuple[PhaseTask, ...]:
        """The tasks that may start as soon as this one is done: dependents and the next group."""
        done = self._done | {task}
        return tuple(
            other
            for other in list(self.waiting)
            if (task in self._dependencies[other] or other.phase == task.phase)
            and self._may_start(other, done)
            and not self._may_start(other, self._done)
        )

    def end(self, task: PhaseTask, observations: Mapping[PhaseTask, Observations] | None) -> None:
        """Record that it is done. observations: of the tasks it unblocked; None if it was skipped.

        What was observed earlier of the tasks that depend on it is out of date, and is dropped.
        """
        self._done |= {task}
        self._sorter.done(task)
        if observations is None:
            return
        outdated = {task}
        for waiting in self.waiting:
            if outdated & self._dependencies[waiting]:
                outdated.add(waiting)
                self._observations.pop(waiting, None)
        self._observations |= {t: o for t, o in observations.items() if t in self.waiting}

    def _may_start(self, task: PhaseTask, done: Set[PhaseTask]) -> bool:
        return self._dependencies[task] <= done and self._stagger_remaining(task, done) <= 0

    def _stagger_remaining(self, task: PhaseTask, done: Set[PhaseTask]) -> float:
        """Seconds until its turn, after the group before it; infinity if only that group's end
        brings it."""
        group = self._previous_group.get(task.group)
        before = PhaseTask(task.phase, group or ALL_HOSTS)
        if group is None or before not in self._dependencies or self._chain_end(before) in done:
            return 0.0
        stagger = load_phase(task.phase).STAGGER_SECONDS
        return max(0.0, self._started_at.get(before, math.inf) + stagger - self._clock())

    def _chain_end(self, before: PhaseTask) -> PhaseTask:
        """What must be done before the next group's turn: its CHAINS_INTO, or the task itself."""
        chains = load_phase(before.phase).CHAINS_INTO
        further = PhaseTask(chains.get(self._groups[before.group], ""), before.group)
        return further if further in self._dependencies else before
