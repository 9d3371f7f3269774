"""Which phase of an install may begin, and what is known of those that have not.

A phase with PARTS goes host by host, as if each part were a phase: the first master, each of the
others, the workers together. A part needs only the same part of what its phase NEEDS, and lets
the part before it go ahead: by that hosts come in the order in which they are waited for, and
none waits for one that is slower before it has to.

One thread alone changes a course; the phases' own threads ask it.
"""

import importlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cache
from typing import NamedTuple

from hale.install.cluster_context import ALL_HOSTS, ClusterContext
from hale.install.phase import Observations, Phase

PACKAGE = "remediate.cluster"


class PhaseTask(NamedTuple):
    """A phase, or one part of it, by the part's name in Site.parts."""

    phase: str
    group: str = ALL_HOSTS


@cache
def phases() -> Mapping[str, Phase]:
    """The phases of an install by name, in their order."""
    found: tuple[Phase, ...] = importlib.import_module(PACKAGE).PHASES
    return {phase.name: phase for phase in found}


def load_phase(name: str) -> Phase:
    """The phase of that name."""
    return phases()[name]


def phase_names() -> tuple[str, ...]:
    """The names of all phases of an install, in their order."""
    return tuple(phases())


def required_phases(name: str) -> tuple[str, ...]:
    """The phases that a phase NEEDS, whichever parts of them."""
    return tuple(dict.fromkeys(need.partition("/")[0] for need in load_phase(name).DEPENDS_ON))


def tasks_of(name: str, site: ClusterContext) -> tuple[PhaseTask, ...]:
    """The parts of a phase, in their order; a phase that has none is one."""
    groups = load_phase(name).HOST_GROUPS
    if not groups:
        return (PhaseTask(name),)
    return tuple(
        PhaseTask(name, part) for part, group in site.host_groups.items() if group in groups
    )


def dependencies(unit: PhaseTask, site: ClusterContext) -> frozenset[PhaseTask]:
    """What must be through before it may begin: of NEEDS's `phase/group` that group's parts, of
    `phase` the same part, all parts where either has none."""
    wanted: set[PhaseTask] = set()
    for need in load_phase(unit.phase).DEPENDS_ON:
        name, _, group = need.partition("/")
        found = tasks_of(name, site)
        same = {u for u in found if ALL_HOSTS in (u.group, unit.group) or u.group == unit.group}
        wanted |= {u for u in found if site.host_groups[u.group] == group} if group else same
    return frozenset(wanted)


class Scheduler:
    """The phases that were asked for. seen: of each what its hosts answered, nothing done yet.

    What a phase needs that was not asked for counts as through.
    """

    def __init__(
        self,
        names: Sequence[str],
        site: ClusterContext,
        seen: Mapping[str, Observations],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = [unit for name in names for unit in tasks_of(name, site)]
        self._dependencies = {
            unit: dependencies(unit, site) & set(self.waiting) for unit in self.waiting
        }
        self._before = dict(itertools.pairwise(reversed(site.host_groups)))
        self._groups = site.host_groups
        self._observations = {unit: seen[unit.phase] for unit in self.waiting}
        self._done: frozenset[PhaseTask] = frozenset()
        self._started_at: dict[PhaseTask, float] = {}
        self._clock = clock

    def ready(self) -> Iterator[PhaseTask]:
        """Those that may begin, in their order; one that is through meanwhile makes more ready."""
        for unit in list(self.waiting):
            if self._waits(unit, self._done) <= 0:
                yield unit

    def next_wakeup(self) -> float | None:
        """Seconds until one more is ready though nothing else happens; None: none will be."""
        waits = [self._waits(u, self._done) for u in self.waiting]
        return min((w for w in waits if w < math.inf), default=None)

    def _waits(self, unit: PhaseTask, through: Set[PhaseTask]) -> float:
        """Seconds until it may begin where nothing else comes through: what is left of the head
        start of the part before, and for ever where it needs more."""
        if not self._dependencies[unit] <= through:
            return math.inf
        part = self._before.get(unit.group)
        before = PhaseTask(unit.phase, part or ALL_HOSTS)
        if part is None or before not in self._dependencies:
            return 0.0
        if self._ahead(before) in through:
            return 0.0
        head_start = load_phase(unit.phase).STAGGER_SECONDS
        return max(0.0, self._started_at.get(before, math.inf) + head_start - self._clock())

    def _ahead(self, before: PhaseTask) -> PhaseTask:
        """What ends that part's head start: its own phase, or that to which AHEAD lets it go on."""
        chains = load_phase(before.phase).CHAINS_INTO
        further = PhaseTask(chains.get(self._groups[before.group], ""), before.group)
        return further if further in self._dependencies else before

    def begin(self, unit: PhaseTask) -> Observations | None:
        """It begins. What is known of its hosts; None where something was done since."""
        self.waiting.remove(unit)
        self._started_at[unit] = self._clock()
        return self._observations.pop(unit, None)

    def unblocked_by(self, unit: PhaseTask) -> tuple[PhaseTask, ...]:
        """Those that may begin by what comes of this one: who needs it, and its own next part."""
        through = self._done | {unit}
        return tuple(
            u
            for u in list(self.waiting)
            if (unit in self._dependencies[u] or u.phase == unit.phase)
            and self._waits(u, through) <= 0 < self._waits(u, self._done)
        )

    def end(self, unit: PhaseTask, found: Mapping[PhaseTask, Observations] | None) -> None:
        """It is through. found: what was seen of the next; None where nothing was done."""
        self._done |= {unit}
        if found is None:
            return
        # What was seen of those that come after it is of before.
        late = {unit}
        for waiting in self.waiting:
            if late & self._dependencies[waiting]:
                late.add(waiting)
                self._observations.pop(waiting, None)
        self._observations |= {u: seen for u, seen in found.items() if u in self.waiting}
