"""A waiver: a failed requirement that an owner answers for, until a day."""

from datetime import date

from msgspec import Struct

from hale.model.errors import Location

#: `accepts` of a waiver for rows that could not be read; it accepts no value.
UNKNOWN = "unknown"


class StatedWaiver(Struct, frozen=True, forbid_unknown_fields=True):
    """One table of waivers.toml, as it stands there.

    hosts: a pattern, as of `--hosts`, or `cluster`. accepts: a shell pattern of the row's actual
    value, or `unknown`. standard: the digest of what the baseline says, as it was accepted.
    expires: the last day on which it holds, in UTC.
    """

    hosts: str
    requirement: str
    aspect: str
    accepts: str
    owner: str
    approver: str
    reason: str
    compensation: str
    ticket: str
    approved: date
    expires: date
    standard: str


class Waiver(StatedWaiver, frozen=True):
    """A waiver that was checked. where: its line; names: the hosts that its pattern names."""

    where: Location
    names: frozenset[str]


class WaiverRecord(Struct, frozen=True):
    """The waiver of one row, as results.json has it. where: its file and line."""

    where: str
    owner: str
    approver: str
    reason: str
    compensation: str
    ticket: str
    accepts: str
    approved: str
    expires: str


class WaiverState(Struct, frozen=True):
    """What became of a waiver in a run. state: one of `WAIVER_STATES`. rows: how many it accepted.

    note: why it is not in force, or what to do about it; empty where there is nothing to do.
    """

    where: str
    hosts: str
    requirement: str
    aspect: str
    ticket: str
    expires: str
    state: str
    rows: int
    note: str = ""


IN_FORCE, EXPIRED, OUTDATED, OTHER_VALUE, NOT_NEEDED, NO_ROW = WAIVER_STATES = (
    "in force",
    "expired",
    "outdated",
    "other value",
    "not needed",
    "no such row",
)
