"""Faults: how each is injected on a host, and exactly which results it changes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hale.model.results import RowKey


def slug(name: str) -> str:
    """A fault's name as part of a test ID and a file name: a-z, 0-9 and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-")


@dataclass(frozen=True)
class ExpectedResult:
    """The verdict of a result under the fault, and text that `actual` must contain.

    A failure for another reason proves nothing. `reason` may be empty if the result has no text of
    its own (cluster results name the host).
    """

    verdict: str
    reason: str


def fail(reason: str) -> ExpectedResult:
    """The result becomes FAIL with this text."""
    return ExpectedResult("FAIL", reason)


def unknown(reason: str) -> ExpectedResult:
    """The result becomes UNKNOWN with this text."""
    return ExpectedResult("UNKNOWN", reason)


@dataclass(frozen=True)
class HostFault:
    """One fault on one host.

    name: for people, unique. turns: rows by "REQUIREMENT aspect" (on `host`) or
    "REQUIREMENT aspect @other" (`@cluster` too); empty for what looks like a fault and is none.
    files: what `inject` changes on the disk; put back bytes, mode, owner and time, or removed
    again. undo: what files do not bring back. reboot: the power is cut between inject and audit,
    and after the undo, so that the row shows what a boot makes of it. alone: other hosts can feel
    it though none of their rows turns, so no other fault is proven beside it.
    """

    name: str
    host: str
    inject: str
    turns: Mapping[str, ExpectedResult] = field(default_factory=dict)
    files: Sequence[str] = ()
    undo: str = ""
    reboot: bool = False
    alone: bool = False

    @property
    def how(self) -> str:
        """What the fault was shown on."""
        return "real host"

    @property
    def rows(self) -> dict[RowKey, ExpectedResult]:
        """`turns` with the rows' full names."""
        return {row(key, self.host): turn for key, turn in self.turns.items()}


@dataclass(frozen=True)
class RecordedFault:
    """A fault that one kernel for all hosts cannot show: a host's evidence, changed.

    source: where the content was recorded, or what manual states its form. files: "path" or
    "path @host" -> text, None for a file that is not there. outputs: "subject.probe" -> what
    the command printed. etcd: a case of tests/facts/etcd, whose masters' answers take the place
    of the healthy ones. clock: seconds by which the host's clock is put forward.
    """

    name: str
    host: str
    source: str
    turns: Mapping[str, ExpectedResult]
    files: Mapping[str, str | None] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    etcd: str = ""
    clock: float = 0.0
    inventory: tuple[str, str] | None = None

    @property
    def how(self) -> str:
        """What the fault was shown on."""
        return "changed inventory" if self.inventory else "recorded evidence"

    @property
    def rows(self) -> dict[RowKey, ExpectedResult]:
        """`turns` with the rows' full names."""
        return {row(key, self.host): turn for key, turn in self.turns.items()}


def row(key: str, host: str) -> RowKey:
    """The row of "REQUIREMENT aspect" or "REQUIREMENT aspect @host"."""
    words, _, other = key.partition(" @")
    requirement, aspect = words.split()
    return RowKey(other or host, requirement, aspect)
