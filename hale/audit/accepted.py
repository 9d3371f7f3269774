"""accepted.jsonl beside the inventory: the results of a run that a person has accepted.

The first line is an AcceptedRun, each other line a ComparedRow. `pytest --drift` reports what has
changed since. A line a row, so that what is malformed is named by its line.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from hale.files import atomic, provenance, regular, versioned
from hale.inventory.ini import Inventory
from hale.model.comparison import AcceptedRun, ComparedRow
from hale.model.errors import Location, UserError
from hale.model.results import Results

NAME = "accepted.jsonl"
SCHEMA = "hale.accepted/1"
MOST = 256 * regular.MIB
CLUSTER = "cluster"
_AGAIN = "Accept a run again: invoke accept RUN."


class Accepted(Struct, frozen=True):
    """What was accepted for an inventory."""

    path: Path
    run: AcceptedRun
    rows: tuple[ComparedRow, ...]


def path_of(inventory: Path) -> Path:
    """The file beside an inventory."""
    return inventory.with_name(NAME)


def accept(found: Results, rows: Sequence[ComparedRow], raw: bytes, inventory: Inventory) -> Path:
    """Write the rows of a run as the accepted ones; replaces those of an earlier run.

    raw: the run's results.json. Raises UserError for a run that no audit of this inventory made, or
    that did not reach its end.
    """
    _require_fit(found, inventory)
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    header = AcceptedRun(
        schema=SCHEMA,
        at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        by=provenance.operator(),
        run=found.run.kind,
        started=found.run.started,
        profile=found.run.profile,
        results_sha256=hashlib.sha256(raw).hexdigest(),
        inventory_sha256=found.run.inventory_sha256,
        standard_sha256=found.run.standard_sha256,
        rows=len(rows),
        rows_sha256=hashlib.sha256(lines).hexdigest(),
    )
    path = path_of(inventory.path)
    atomic.write(path, msgspec.json.encode(header) + b"\n" + lines)
    return path


def load_accepted(inventory: Path) -> Accepted:
    """The accepted run of an inventory. Raises UserError with file and line."""
    path = path_of(inventory)
    if not path.exists():
        raise UserError(f"nothing is accepted yet. {_AGAIN}", Location(path))
    raw = versioned.read(path, "accepted results", MOST)
    first, _, rest = raw.partition(b"\n")
    where = Location(path, 1)
    wrong = "not the first line of accepted results"
    header = _decode(first, msgspec.json.Decoder(_Header), wrong, where)
    versioned.check_schema(header.schema, SCHEMA, where)
    run = _decode(first, msgspec.json.Decoder(AcceptedRun), wrong, where)
    lines = rest.split(b"\n")
    if lines.pop():
        raise UserError(f"the line is truncated. {_AGAIN}", Location(path, len(lines) + 2))
    decoder = msgspec.json.Decoder(ComparedRow)
    known: dict[tuple[str, str, str], int] = {}
    rows = []
    for number, line in enumerate(lines, 2):
        row = _decode(line, decoder, "not a row of accepted results", Location(path, number))
        if (other := known.setdefault(row.key, number)) != number:
            raise UserError(f"the row of line {other} again. {_AGAIN}", Location(path, number))
        rows.append(row)
    if len(rows) != run.rows or hashlib.sha256(rest).hexdigest() != run.rows_sha256:
        raise UserError(f"the rows are not those that were accepted (digest). {_AGAIN}", where)
    return Accepted(path, run, tuple(rows))


class _Header(Struct):
    schema: str = "none"


def _decode(
    line: bytes, decoder: "msgspec.json.Decoder[versioned.T]", wrong: str, where: Location
) -> versioned.T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{wrong}: {error}. {_AGAIN}", where) from None


def _require_fit(found: Results, inventory: Inventory) -> None:
    run = found.run
    if run.kind != "audit":
        raise UserError(f"this run is no audit but of the kind {run.kind!r}.")
    if run.state != "finished":
        raise UserError("the run was interrupted: not every row is judged. Audit again.")
    if not found.results:
        raise UserError("the run has no rows.")
    known = {host.name for host in inventory.hosts} | {CLUSTER}
    if others := sorted({row.host for row in found.results} - known):
        raise UserError(
            f"{inventory.path} has no {others[0]!r}: the run is of another inventory. Name its "
            "own: --inventory FILE."
        )
