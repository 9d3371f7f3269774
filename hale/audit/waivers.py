"""waivers.toml: the failed requirements that a site accepts, and what they do to a verdict.

The file stands beside the inventory:

    max_days = 180                     # the longest term; 365 where it is not given

    [[waiver]]
    hosts = "k8s-node-*"               # as of --hosts; or "cluster"
    requirement = "LIM-NOFILE"
    aspect = "runtime"
    accepts = "60000*"                 # the actual value, a shell pattern; or "unknown"
    owner = "storage team"
    approver = "B. Ito"                # not the owner
    reason = "the database of that vendor needs it"
    compensation = "its own monitor restarts it"
    ticket = "CHG-1234"
    approved = 2026-11-29
    expires = 2027-03-01               # the last day on which it holds
    standard = "1f0c9b2e5d7a4c38"      # the baseline's words and values, by `invoke waive`

A waiver turns FAIL into WAIVED where the value is the accepted one, and UNKNOWN where it says so.
It turns nothing else, and it never hides another value: such a row stays as it is, and says why.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from hale.files import regular
from hale.files.toml import parse_toml
from hale.inventory.ini import Inventory
from hale.inventory.selection import select_hosts
from hale.model.errors import Location, UserError
from hale.model.requirement import Aspect, Case, Requirement
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.model.waiver import (
    EXPIRED,
    IN_FORCE,
    NO_ROW,
    NOT_NEEDED,
    OTHER_VALUE,
    OUTDATED,
    UNKNOWN,
    StatedWaiver,
    Waiver,
    WaiverRecord,
    WaiverState,
)
from hale.standard.loader import Standard

NAME = "waivers.toml"
MAX_DAYS = 365
MOST = regular.MIB
CLUSTER = "cluster"  # `hosts` of a waiver for what is read from several hosts
DIGITS = 16  # of a digest
_HEADER = re.compile(r"\s*\[\[\s*waiver\s*\]\]")
#: Aspects that can be waived: a drill is judged by what it measured.
ASPECTS = tuple(a for a in Aspect if a is not Aspect.DRILL)


class Waivers(msgspec.Struct, frozen=True):
    """The waivers of a site."""

    path: Path
    waivers: tuple[Waiver, ...] = ()
    today: date = date.min

    def judged(self, case: Case[Any], row: Result) -> Result:
        """The row as its waiver leaves it: WAIVED, or with the reason why it is not."""
        if not row.verdict.failed:
            return row
        reasons = []
        for waiver in self._of(case):
            if reason := self.refusal(waiver, case, row):
                reasons.append(f"; {reason}")
                continue
            return msgspec.structs.replace(row, verdict=Verdict.WAIVED, waiver=_record(waiver))
        if not reasons:
            return row
        return msgspec.structs.replace(row, actual=row.actual + "".join(reasons))

    def refusal(self, waiver: Waiver, case: Case[Any], row: Result) -> str:
        """Why the waiver does not accept the failed row; empty where it does."""
        return self.lapsed(waiver, case.requirement) or _other_value(waiver, row)

    def states(self, cases: Iterable[Case[Any]], rows: Iterable[Result]) -> list[WaiverState]:
        """What became of each waiver. cases: of the inventory; rows: judged in this run."""
        if not self.waivers:
            return []
        known = list(cases)
        found = {(r.host, r.requirement, r.aspect): r for r in rows}
        return [self._state(waiver, known, found) for waiver in self.waivers]

    def _state(
        self,
        waiver: Waiver,
        cases: Sequence[Case[Any]],
        rows: Mapping[tuple[str, str, str], Result],
    ) -> WaiverState:
        mine = [c for c in cases if _names(waiver, c)]
        judged = [
            row
            for c in mine
            if (row := rows.get((c.host_name, c.requirement.id, c.aspect.value))) is not None
        ]
        accepted = [r for r in judged if r.waiver and r.waiver.where == str(waiver.where)]
        failed = [r for r in judged if r.verdict.failed]
        state, note = IN_FORCE, ""
        if not mine:
            state, note = (
                NO_ROW,
                "it names no row of this inventory and profile: correct or delete it",
            )
        elif lapsed := self.lapsed(waiver, mine[0].requirement):
            state = EXPIRED if waiver.expires < self.today else OUTDATED
            note = lapsed
        elif not accepted and failed:
            state, note = OTHER_VALUE, _other_value(waiver, failed[0])
        elif not accepted and len(judged) == len(mine):
            state, note = NOT_NEEDED, "all its rows pass without it: delete it"
        return WaiverState(
            str(waiver.where),
            waiver.hosts,
            waiver.requirement,
            waiver.aspect,
            waiver.ticket,
            waiver.expires.isoformat(),
            state,
            len(accepted),
            note,
        )

    def _of(self, case: Case[Any]) -> Iterable[Waiver]:
        return (w for w in self.waivers if _names(w, case))

    def lapsed(self, waiver: Waiver, requirement: Requirement) -> str:
        """Why the waiver is not in force, whatever the row is; empty where it is."""
        by = f"the waiver {waiver.where} ({waiver.ticket})"
        if waiver.expires < self.today:
            return f"{by} expired on {waiver.expires}"
        if waiver.approved > self.today:
            return f"{by} begins on {waiver.approved}"
        if waiver.standard != digest(requirement, Aspect(waiver.aspect)):
            return f"{by} was approved for other words or values of the baseline: approve it again"
        return ""


NO_WAIVERS = Waivers(Path(NAME))


def load_waivers(inventory: Inventory, standard: Standard, today: date | None = None) -> Waivers:
    """The waivers beside the inventory; none where there is no such file.

    today: in UTC. Raises UserError with file and line where one is malformed.
    """
    path = inventory.path.with_name(NAME)
    return parse_waivers(path, read_file(path), inventory, standard, today)


def read_file(path: Path) -> bytes:
    """The file's content, nothing where there is none. Raises UserError."""
    try:
        return regular.read_file(path, MOST)
    except FileNotFoundError:
        return b""
    except regular.UnfitFile as error:
        raise UserError(f"no waivers: it is {error}.", Location(path)) from None
    except OSError as error:
        raise UserError(f"cannot read the waivers: {error.strerror}.", Location(path)) from None


def parse_waivers(
    path: Path, raw: bytes, inventory: Inventory, standard: Standard, today: date | None = None
) -> Waivers:
    """The waivers of a file with this content. Raises UserError as `load_waivers` does."""
    now = today or datetime.now(UTC).date()
    _, document = parse_toml(path, raw)
    longest = _max_days(path, raw, document)
    tables = document.pop("waiver", [])
    if document:
        name = min(document)
        raise UserError(
            f"there is no {name!r} here: a waiver is a table [[waiver]].",
            _line_of(path, raw, -1, name),
        )
    if not isinstance(tables, list):
        raise UserError("a waiver is a table [[waiver]].", _line_of(path, raw, -1, "waiver"))
    headers = dict(enumerate(_headers(raw)))
    found = tuple(
        _waiver(path, raw, number, headers.get(number, 0), table, inventory, standard, longest)
        for number, table in enumerate(tables)
    )
    _require_apart(path, found)
    return Waivers(path, found, now)


def digest(requirement: Requirement, aspect: Aspect) -> str:
    """What a waiver is bound to, hashed: the title, the aspect's words, the standard's values."""
    stated = [
        requirement.id,
        requirement.title,
        aspect.value,
        requirement.aspects[aspect],
        msgspec.to_builtins(requirement.parameters),
    ]
    return hashlib.sha256(msgspec.json.encode(stated, order="sorted")).hexdigest()[:DIGITS]


def _max_days(path: Path, raw: bytes, document: dict[str, Any]) -> int:
    given = document.pop("max_days", MAX_DAYS)
    if type(given) is not int or given < 1:
        raise UserError(
            f"max_days = {given!r}: a number of days, 1 or more.",
            _line_of(path, raw, -1, "max_days"),
        )
    return int(given)


def _waiver(
    path: Path,
    raw: bytes,
    number: int,
    header: int,
    table: Any,
    inventory: Inventory,
    standard: Standard,
    longest: int,
) -> Waiver:
    """The waiver of one table, the number of whose header's line is given. Raises UserError."""

    def wrong(key: str, why: str) -> UserError:
        return UserError(f"{key}: {why}", _line_of(path, raw, number, key))

    try:
        stated = msgspec.convert(table, StatedWaiver)
    except msgspec.ValidationError as error:
        named = re.search(r"(?:`\$\.|field `)(\w+)`", str(error))
        where = _line_of(path, raw, number, named[1] if named else "")
        raise UserError(f"{error}. `invoke waive` writes all keys.", where) from None
    for key in ("owner", "approver", "reason", "compensation", "ticket", "hosts", "accepts"):
        if not getattr(stated, key).strip():
            raise wrong(key, "it is empty.")
    known = {r.id: r for r in standard.requirements}
    requirement = known.get(stated.requirement)
    if requirement is None:
        raise wrong("requirement", f"the baseline has no {stated.requirement!r}.")
    if stated.aspect not in ASPECTS or Aspect(stated.aspect) not in requirement.aspects:
        able = [a.value for a in requirement.aspects if a in ASPECTS]
        raise wrong("aspect", f"{stated.requirement} has {' and '.join(able) or 'none to waive'}.")
    if not re.sub(r"\[!?\]?[^\]]*\]", "", stated.accepts).strip("*? "):
        raise wrong("accepts", f"{stated.accepts!r} accepts any value: name the one that is meant.")
    if _person(stated.owner) == _person(stated.approver):
        raise wrong("approver", f"{stated.approver} is the owner: another person must approve it.")
    term = (stated.expires - stated.approved).days
    if term < 0:
        raise wrong("expires", f"{stated.expires} is before its approval, {stated.approved}.")
    if term > longest:
        raise wrong(
            "expires",
            f"{stated.expires} is {term} days after its approval, and {longest} are the most "
            "(max_days).",
        )
    return Waiver(
        **{name: getattr(stated, name) for name in stated.__struct_fields__},
        where=Location(path.name, header),
        names=_hosts(stated.hosts, inventory),
    )


def _require_apart(path: Path, waivers: Sequence[Waiver]) -> None:
    """Raises UserError where two waivers are the same."""
    first: dict[tuple[str, ...], Waiver] = {}
    for waiver in waivers:
        key = waiver.hosts, waiver.requirement, waiver.aspect, waiver.accepts
        other = first.setdefault(key, waiver)
        if other is not waiver:
            where = Location(path, waiver.where.line)
            raise UserError(f"the same rows and value as {other.where}.", where)


def _hosts(pattern: str, inventory: Inventory) -> frozenset[str]:
    """The hosts that the pattern names; none where it names none."""
    if pattern == CLUSTER:
        return frozenset({CLUSTER})
    try:
        return frozenset(s.host.name for s in select_hosts(pattern, inventory, lambda uri: ()))
    except UserError:
        return frozenset()  # the run's states report it


def _names(waiver: Waiver, case: Case[Any]) -> bool:
    return (
        waiver.requirement == case.requirement.id
        and waiver.aspect == case.aspect.value
        and case.host_name in waiver.names
    )


def _other_value(waiver: Waiver, row: Result) -> str:
    if row.verdict is Verdict.UNKNOWN:
        accepted = waiver.accepts == UNKNOWN
    else:
        accepted = waiver.accepts != UNKNOWN and fnmatchcase(row.actual, waiver.accepts)
    if accepted:
        return ""
    return f"the waiver {waiver.where} ({waiver.ticket}) accepts only {waiver.accepts!r}"


def _person(name: str) -> str:
    """The name as it is read: characters without a width or of another width make no other one."""
    shown = [c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf"]
    return " ".join("".join(shown).split()).casefold()


def _record(waiver: Waiver) -> WaiverRecord:
    return WaiverRecord(
        str(waiver.where),
        waiver.owner,
        waiver.approver,
        waiver.reason,
        waiver.compensation,
        waiver.ticket,
        waiver.accepts,
        waiver.approved.isoformat(),
        waiver.expires.isoformat(),
    )


def _headers(raw: bytes) -> Iterator[int]:
    """The lines on which the waivers begin."""
    for line, text in enumerate(raw.decode(errors="replace").split("\n"), 1):
        if _HEADER.match(text):
            yield line


def _line_of(path: Path, raw: bytes, number: int, key: str) -> Location:
    """The line of a key of the waiver of that number, or of its header; -1: of what stands before.

    The header's where the table has no such key.
    """
    table, header = -1, 0
    for line, text in enumerate(raw.decode(errors="replace").split("\n"), 1):
        if _HEADER.match(text):
            table += 1
            header = line if table == number else header
        elif table == number and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", text):
            return Location(path, line)
    return Location(path, header)
