"""What was measured, and what follows from it. Pure."""

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
    """The times of one contender in seconds, round by round."""

    seconds: tuple[float, ...]

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
    """One contender's time over another's: of the medians, and the extremes of the rounds."""

    value: float
    low: float
    high: float


def ratio(one: Series, other: Series) -> Ratio:
    """`one` over `other`. A round is compared with itself: both had the same noise."""
    rounds = [a / b for a, b in zip(one.seconds, other.seconds, strict=False)]
    return Ratio(one.median / other.median, min(rounds), max(rounds))


def repeats(tests: int, least: int) -> int:
    """How often so many tests must be repeated to be at least `least`."""
    return -(-least // tests)


def merged(judged: Iterable[tuple[Test, str]], times: int) -> dict[Test, str]:
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
