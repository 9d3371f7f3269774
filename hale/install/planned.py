"""`invoke install --plan`: how each phase stands, and what it would do."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from hale import connection, inventory, recorder
from hale.errors import HaleError
from hale.install import gate
from hale.install.command import AUDIT, GATE, chosen_phases
from hale.install.engine import Engine, Planned
from hale.install.look import Down
from hale.install.running import Asked, headline, load_site, reachable
from hale.terminal import printable


def plan(asked: Asked) -> None:
    """Print each phase, done or not, and what it would do. Changes nothing."""
    known = inventory.load(asked.path)
    built = load_site(known)
    console = Console(highlight=False, soft_wrap=True)
    chosen = chosen_phases(asked)
    reachable(known)
    if GATE in chosen:
        folder = recorder.folder(asked.reports, "plan")
        found = gate.look(known.path, folder, asked.despite)
        red = [*found.fixable, *found.stuck]
        console.print(
            headline("-" if found.open else "▶", GATE, "Host requirements", "" if red else "done")
        )
        for text in gate.lines(red):
            console.print(Text(f"    {printable(text)}"))
    try:
        planned = Engine(built, _Quiet()).plan([n for n in chosen if n not in (GATE, AUDIT)])
    except Down as error:
        raise HaleError(str(error)) from None
    finally:
        connection.close_sessions()
    for one in planned:
        _print_planned(console, one)
    if AUDIT in chosen:
        console.print(headline("▶", AUDIT, "Audit of everything", ""))
    console.print("\nNothing is changed.")


def _print_planned(console: Console, one: Planned) -> None:
    if one.not_applicable:
        console.print(headline("-", one.name, one.title, f"not ours: {one.not_applicable}"))
        return
    if one.unknown and not one.left:
        console.print(headline("?", one.name, one.title, one.unknown))
        return
    console.print(
        headline("▶" if one.left else "-", one.name, one.title, "" if one.left else "done")
    )
    for text in _together(one.left):
        console.print(Text(f"    left: {printable(text)}"))
    for text in one.refusals:
        console.print(Text(f"    in the way: {printable(text)}", "red"))
    for text in one.steps:
        console.print(Text(f"    would: {printable(text)}", "dim"))
    if one.unknown:
        console.print(Text(f"    cannot be told yet: {printable(one.unknown)}", "dim"))


def _together(said: Sequence[str]) -> list[str]:
    """`host: what` of hosts that say the same in one line."""
    told: dict[str, list[str]] = {}
    for text in said:
        host, colon, what = text.partition(": ")
        told.setdefault(what if colon else text, []).extend([host] if colon else [])
    return [f"{', '.join(hosts)}: {what}" if hosts else what for what, hosts in told.items()]


class _Quiet:
    """Tells nothing: for a plan, which does nothing."""

    def phase(self, *_: object) -> None:
        pass

    def step(self, *_: object) -> None:
        pass

    def line(self, *_: object) -> None:
        pass

    def waits(self, *_: object) -> None:
        pass

    def says(self, *_: object) -> None:
        pass
