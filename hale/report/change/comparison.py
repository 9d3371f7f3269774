"""The results before and after a change, in one table."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from hale.model.results import Result, Results
from hale.model.verdict import Verdict
from hale.report.matrix import chapter_order

ResultKey = tuple[str, str, str]  # host, requirement, aspect


class Movement(StrEnum):
    """What a change made of a result.

    PLANNED: it fails, and the plan has a step for it. BROKEN: it fails, and did not before.
    NEW: there was no result before, as of a cluster that is installed. NOT_JUDGED: before or
    afterwards there is no verdict that can be compared.
    """

    FIXED = "fixed"
    BROKEN = "broken"
    PLANNED = "planned"
    UNCHANGED = "unchanged"
    NEW = "new"
    WAIVED = "waived"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class ResultChange:
    """A result before and after. None: there was no such result, or no audit."""

    host: str
    requirement: str
    aspect: str
    title: str
    before: Verdict | None
    after: Verdict | None
    movement: Movement
    expected: str
    actual: str  # of the last audit that has the result

    @property
    def still_failed(self) -> bool:
        """Whether it failed or was unknown at the end, as far as that is known."""
        last = self.before if self.after is None else self.after
        return last is not None and last.failed


@dataclass(frozen=True)
class BeforeAndAfter:
    """All results, in the order of the chapters. audited_after: there was an audit afterwards."""

    rows: tuple[ResultChange, ...]
    audited_after: bool

    @property
    def counts(self) -> Mapping[Movement, int]:
        """How many results there are of each kind."""
        return Counter(row.movement for row in self.rows)

    @property
    def unchanged_failed(self) -> int:
        """How many of the unchanged results fail."""
        return sum(r.movement is Movement.UNCHANGED and r.still_failed for r in self.rows)


def compare(before: Results, after: Results | None) -> BeforeAndAfter:
    """The results of an audit before a change and of one after it; None: there is none."""
    then = {_key(row): row for row in after.results} if after else {}
    old = sorted(before.results, key=chapter_order)
    rows = [_pair(row, then.pop(_key(row), None)) for row in old]
    rows += [_pair(None, row) for row in then.values()]
    return BeforeAndAfter(tuple(rows), after is not None)


def forecast(before: Results, planned: Collection[tuple[str, str]]) -> BeforeAndAfter:
    """The results before a change. planned: (host, requirement) of the plan's steps."""
    found = compare(before, None)
    return BeforeAndAfter(tuple(_forecast(row, planned) for row in found.rows), audited_after=False)


def _forecast(row: ResultChange, planned: Collection[tuple[str, str]]) -> ResultChange:
    movement = Movement.UNCHANGED
    if row.before is Verdict.WAIVED:
        movement = Movement.WAIVED
    elif row.before is Verdict.UNKNOWN:
        movement = Movement.NOT_JUDGED
    elif row.before is Verdict.FAIL and (row.host, row.requirement) in planned:
        movement = Movement.PLANNED
    return replace(row, movement=movement)


def _key(row: Result) -> ResultKey:
    return row.host, row.requirement, row.aspect


def _pair(before: Result | None, after: Result | None) -> ResultChange:
    last = after or before
    assert last is not None
    old = before.verdict if before else None
    new = after.verdict if after else None
    return ResultChange(
        last.host,
        last.requirement,
        last.aspect,
        last.title,
        old,
        new,
        _movement(old, new),
        last.expected,
        last.actual,
    )


def _movement(before: Verdict | None, after: Verdict | None) -> Movement:
    if after is Verdict.WAIVED:
        return Movement.WAIVED
    if after in (None, Verdict.UNKNOWN):
        return Movement.NOT_JUDGED
    if before is None:
        return Movement.NEW
    if after is Verdict.FAIL:
        return Movement.UNCHANGED if before.failed else Movement.BROKEN
    if Verdict.NOT_APPLICABLE in (before, after):
        return Movement.UNCHANGED if before is after else Movement.NOT_JUDGED
    return Movement.FIXED if before.failed else Movement.UNCHANGED
