"""Measured times and the ratios computed from them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: A test's name in every contender: host, requirement, aspect.
Test = tuple[str, str, str]
Verdicts = Mapping[Test, str]


class Disagreement(Exception):
    """Two contenders did not judge the same: their times cannot be compared."""


@dataclass(frozen=True)
class Series:
    """The times of one contender in seconds: of each round its runs, one or more."""

    rounds: tuple[tuple[float, ...], ...]

    @property
    def seconds(self) -> tuple[float, ...]:
        """The times of all runs."""
        return tuple(time for runs in self.rounds for time in runs)

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def low(self) -> float:
        return min(self.seconds)

    @property
    def high(self) -> float:
        return max(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """One contender's time over another's: the median of what was run side by side, extremes."""

    value: float
    low: float
    high: float


def ratio(one: Series, other: Series) -> Ratio:
    """`one` over `other`, each run with its neighbour in time: both had the same noise.

    A ratio of two medians would take one from a quiet minute and the other from a busy one.
    Where a round has not as many runs of both, the medians of that round are compared.
    """
    pairs: list[tuple[float, float]] = []
    for ours, theirs in zip(one.rounds, other.rounds, strict=False):
        if len(ours) == len(theirs):
            pairs += zip(ours, theirs, strict=True)
        else:
            pairs.append((median(ours), median(theirs)))
    found = [ours / theirs for ours, theirs in pairs]
    return Ratio(median(found), min(found), max(found))


def repeats(tests: int, least: int) -> int:
    """How often so many tests must be repeated to be at least `least`."""
    return -(-least // tests)


def merge_verdicts(judged: Iterable[tuple[Test, str]], times: int) -> dict[Test, str]:
    """The verdict of each test, that was judged `times` times. Raises Disagreement."""
    found: dict[Test, list[str]] = {}
    for test, verdict in judged:
        found.setdefault(test, []).append(verdict)
    for test, verdicts in found.items():
        if len(verdicts) != times or len(set(verdicts)) != 1:
            raise Disagreement(f"{_name(test)}: {times} equal verdicts expected, got {verdicts}")
    return {test: verdicts[0] for test, verdicts in found.items()}


def compare(title: str, verdicts: Verdicts, audit: Verdicts) -> None:
    """Raise Disagreement, naming each test on which this contender differs from the audit."""
    lines = [
        f"  {_name(test)}: {verdicts.get(test, 'not judged')}, "
        f"the audit says {audit.get(test, 'nothing')}"
        for test in sorted(verdicts.keys() | audit.keys())
        if verdicts.get(test) != audit.get(test)
    ]
    if lines:
        raise Disagreement("\n".join([f"{title} disagrees with the audit:", *lines]))


def _name(test: Sequence[str]) -> str:
    return " ".join(test)
