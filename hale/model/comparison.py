"""Two runs compared, as structs: what became of each row (`hale.report.compare` finds it)."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from hale.model.verdict import Verdict


class ChangeKind(StrEnum):
    """What became of a row, the worst first."""

    BROKEN = "broken"  # it fails, and did not
    NOT_JUDGED = "not judged"  # it became UNKNOWN, or its host was not reached
    FIXED = "fixed"  # it failed or was waived, and passes
    WAIVED = "waived"  # it is accepted by a waiver, and was not
    CHANGED = "changed"  # another value, verdict or expectation that neither breaks nor fixes it
    NEW = "new"  # only the run after has it
    GONE = "gone"  # only the run before has it


class ChangeReason(StrEnum):
    """Why a row changed, where the two rows do not show it; the text is for people."""

    NONE = ""
    NOT_REACHED = "the host was not reached"
    EXPECTATION = "the baseline expects something else"
    DESELECTED = "not selected in this run"
    REMOVED = "no longer in the inventory, the baseline or the profile"


class ComparedRow(Struct, frozen=True):
    """What a comparison takes of a result.

    value: what is compared, without what changes by itself (`Result.value`); "" where the row has
    none but `actual`.
    """

    host: str
    requirement: str
    aspect: str
    verdict: Verdict
    actual: str
    value: str
    expected: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The row's name."""
        return self.host, self.requirement, self.aspect


class RowChange(Struct, frozen=True):
    """A row that differs. before, after: None where that run does not have it."""

    kind: ChangeKind
    before: ComparedRow | None
    after: ComparedRow | None
    reason: ChangeReason = ChangeReason.NONE

    @property
    def row(self) -> ComparedRow:
        """The row as it is now; as it was, where it is gone."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def broke(self) -> bool:
        """Whether a result that was not failed can no longer be relied on."""
        if self.kind is ChangeKind.BROKEN:
            return True
        was_failed = self.before is None or self.before.verdict.failed
        return self.kind is ChangeKind.NOT_JUDGED and not was_failed


class Comparison(Struct, frozen=True):
    """All changes, in the order of ChangeKind, and the number of rows that are the same."""

    changes: list[RowChange]
    same: int

    @property
    def broke(self) -> bool:
        """Whether something broke, or is no longer known to be as required."""
        return any(change.broke for change in self.changes)

    def count(self, kind: ChangeKind) -> int:
        """The number of rows of that kind."""
        return sum(change.kind is kind for change in self.changes)

    def without(self, reasons: Iterable[ChangeReason]) -> "Comparison":
        """The same without the changes for these reasons."""
        left_out = set(reasons)
        return Comparison([c for c in self.changes if c.reason not in left_out], self.same)


class AcceptedRun(Struct, frozen=True):
    """The first line of accepted.jsonl: which run was accepted, by whom and when.

    at, started: ISO 8601, in UTC. results_sha256: of the run's results.json. rows: how many lines
    follow. rows_sha256: of those lines.
    """

    schema: str
    at: str
    by: str
    run: str
    started: str
    profile: str
    results_sha256: str
    inventory_sha256: str
    standard_sha256: str
    rows: int
    rows_sha256: str


class DriftRecord(Struct, frozen=True):
    """What a run with --drift found: the changes since the accepted run."""

    accepted: AcceptedRun
    file: str
    comparison: Comparison
