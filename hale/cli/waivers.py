"""`invoke waive` accepts a failed requirement until a day; `invoke waivers` lists them."""

import glob
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale.audit import results_file, waivers
from hale.files import atomic, exclusive
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.inventory.selection import select_hosts
from hale.model.errors import UserError
from hale.model.requirement import Aspect
from hale.model.verdict import Verdict
from hale.model.waiver import UNKNOWN
from hale.paths import ROOT
from hale.report.text import escape_controls
from hale.standard import loader
from hale.standard.loader import Standard


class WaiveOptions(Struct, frozen=True):
    """The options of `invoke waive`.

    accepts: a shell pattern of the value; empty to take the one of the audit in the folder `run`.
    expires: a day, as YYYY-MM-DD.
    """

    requirement: str
    inventory: Path
    hosts: str
    aspect: str
    owner: str
    approver: str
    reason: str
    compensation: str
    ticket: str
    expires: str
    accepts: str = ""
    run: Path | None = None


_NEEDED = ("hosts", "aspect", "owner", "approver", "reason", "compensation", "ticket", "expires")


def waive(options: WaiveOptions) -> str:
    """Write one more waiver; returns its text. Raises UserError, and then nothing is written."""
    missing = [n for n in _NEEDED if not getattr(options, n).strip()]
    if missing:
        raise UserError(f"missing: {', '.join(f'--{name}' for name in missing)}.")
    inventory = ini.load_inventory(options.inventory)
    standard = loader.load_standard(ROOT / "standard")
    requirement = next((r for r in standard.requirements if r.id == options.requirement), None)
    if requirement is None:
        raise UserError(f"the baseline has no {options.requirement!r}.")
    if options.aspect not in tuple(requirement.aspects):
        raise UserError(f"--aspect: {options.requirement} has {' and '.join(requirement.aspects)}.")
    if options.hosts != waivers.CLUSTER:
        select_hosts(options.hosts, inventory, lambda uri: ())
    values: dict[str, str | date] = {
        "hosts": options.hosts,
        "requirement": options.requirement,
        "aspect": options.aspect,
        "accepts": options.accepts or _found(options, inventory),
        "owner": options.owner,
        "approver": options.approver,
        "reason": options.reason,
        "compensation": options.compensation,
        "ticket": options.ticket,
        "approved": datetime.now(UTC).date(),
        "expires": _day(options.expires),
        "standard": waivers.digest(requirement, Aspect(options.aspect)),
    }
    path = inventory.path.with_name(waivers.NAME)
    block = _table(values)
    with exclusive.changing(path):
        before = waivers.read_file(path)
        gap = b"\n" if before else b""
        end = b"" if before.endswith(b"\n") or not before else b"\n"
        after = before + end + gap + block.encode()
        waivers.parse_waivers(path, after, inventory, standard)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        atomic.write(path, after, mode)
    return block


def print_waivers(console: Console, path: Path) -> None:
    """Print the waivers of an inventory, the first to expire first. Raises UserError."""
    inventory = ini.load_inventory(path)
    standard = loader.load_standard(ROOT / "standard")
    found = waivers.load_waivers(inventory, standard)
    if not found.waivers:
        console.print(f"no waivers: there is no {found.path}, or it has none")
        return
    console.print(_listed(found, standard))


def _listed(found: waivers.Waivers, standard: Standard) -> Table:
    known = {r.id: r for r in standard.requirements}
    shown = Table(box=None)
    for title in ("expires", "days", "requirement", "hosts", "accepts", "owner", "approver"):
        shown.add_column(title, overflow="fold")
    shown.add_column("ticket", overflow="fold")
    shown.add_column("state", overflow="fold")
    for one in sorted(found.waivers, key=lambda w: w.expires):
        state = found.lapsed(one, known[one.requirement]) or "in force"
        cells = (
            one.expires.isoformat(),
            str((one.expires - found.today).days),
            f"{one.requirement} {one.aspect}",
            one.hosts,
            one.accepts,
            one.owner,
            one.approver,
            one.ticket,
            state,
        )
        style = "" if state == "in force" else "bold red"
        shown.add_row(*(Text(escape_controls(cell), style) for cell in cells))
    return shown


def _found(options: WaiveOptions, inventory: Inventory) -> str:
    """The only value of the failed rows in the run, as a pattern. Raises UserError."""
    if options.run is None:
        raise UserError("name the value that is accepted: --accepts VALUE, or --run AUDIT.")
    named = {waivers.CLUSTER}
    if options.hosts != waivers.CLUSTER:
        named = {s.host.name for s in select_hosts(options.hosts, inventory, lambda uri: ())}
    rows = [
        row
        for row in results_file.load_results(options.run / "results.json").results
        if (row.requirement, row.aspect) == (options.requirement, options.aspect)
        and row.host in named
        and row.verdict.failed
    ]
    if any(row.verdict is Verdict.UNKNOWN for row in rows):
        raise UserError(
            f"{rows[0].host}: UNKNOWN: {rows[0].actual}. What could not be read is waived only by "
            f"name: --accepts {UNKNOWN}."
        )
    values = sorted({row.actual for row in rows})
    if len(values) == 1:
        return glob.escape(values[0])
    if not values:
        raise UserError(
            f"{options.run}: {options.requirement} {options.aspect} fails on none of them."
        )
    raise UserError("the hosts have several values; waive each by itself: " + "; ".join(values))


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise UserError(f"--expires: {typed!r} is no day like 2027-03-01.") from None


def _table(values: Mapping[str, str | date]) -> str:
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    return "\n".join(["[[waiver]]", *lines, ""])


def _toml(value: str | date) -> str:
    """A basic string of TOML, which JSON's is but for one character; or a date."""
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
