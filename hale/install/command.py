"""`invoke install`: the gate, the phases, the audit."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hale import fix, inventory, recorder, results
from hale.apply import command as apply
from hale.apply.journal import End, now
from hale.errors import HaleError
from hale.install import gate
from hale.install.course import names, needed
from hale.install.engine import Engine, PhaseFailed, Stopped
from hale.install.look import Down
from hale.install.running import (
    Asked,
    headline,
    indented,
    load_site,
    printable_lines,
    reachable,
    recorded,
    stoppable,
)
from hale.install.shown import Progress
from hale.install.site import Site
from hale.inventory import Inventory
from hale.terminal import agrees, printable

GATE, AUDIT = "gate", "audit"


def install(asked: Asked) -> bool:
    """Build the cluster, or go on with it. True where everything is done and the audit green.

    Raises HaleError for what is wrong with what was typed, or with the inventory.
    """
    known = inventory.load(asked.path)
    built = load_site(known)
    chosen = chosen_phases(asked)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{known.site} inventory {known.path}")
    reachable(known)
    folder = recorder.folder(asked.reports, "install")
    if GATE in chosen and not _gate(asked, known, folder, console):
        return False
    ok = _phases(asked, built, folder, console, [n for n in chosen if n not in (GATE, AUDIT)])
    if ok and AUDIT in chosen:
        ok = _audit(known, folder, asked.despite)
    console.print(f"report: {folder}")
    return ok


def chosen_phases(asked: Asked) -> list[str]:
    """Gate, phases and audit, as far as they were asked for. Raises HaleError."""
    every = [GATE, *names(), AUDIT]
    for given, option in ((asked.to, "--to"), (asked.only, "--only")):
        if given and given not in every:
            raise HaleError(f"{option}: no phase {given!r}; there are: {', '.join(every)}.")
    if asked.only and asked.to:
        raise HaleError("--only is one phase, --to all up to one: say one of them.")
    if asked.only:
        return [asked.only]
    return every[: every.index(asked.to) + 1] if asked.to else every


def _gate(asked: Asked, known: Inventory, folder: Path, console: Console) -> bool:
    begun = time.monotonic()
    console.print(headline("▶", GATE, "Host requirements", ""))
    found = gate.look(known.path, folder, asked.despite)
    if found.stuck:
        for text in gate.lines(found.stuck):
            console.print(Text(f"  ✗ {printable(text)}", "red"))
        ids = ",".join(sorted({r.requirement for r in found.stuck}))
        console.print(
            f"Nothing was changed: no remedy mends these. Mend them by hand, or go on without them:"
            f" --despite {ids}"
        )
        return False
    if found.fixable:
        for text in gate.lines(found.fixable):
            console.print(Text(f"  ✗ {printable(text)}"))
        if not (asked.fix or agrees("\n`invoke fix` mends them. Plan it now? [y/N] ")):
            console.print("Nothing was changed. `invoke install --fix` mends these first.")
            return False
        wanted = sorted({r.requirement for r in found.fixable})
        typed = apply.Asked(
            asked.reports,
            known.path,
            profile=gate.PROFILE,
            yes=asked.yes,
            take_lock=asked.take_lock,
            approved_by=asked.approved_by,
            ticket=asked.ticket,
        )
        if not apply.apply(typed, wanted, None):
            console.print("Not everything was mended; see above, and say it again.")
            return False
        found = gate.look(known.path, folder, asked.despite)
        if not found.open:
            for text in gate.lines([*found.fixable, *found.stuck]):
                console.print(Text(f"  ✗ {printable(text)}", "red"))
            console.print("These are red still: see above what became of them, and say it again.")
            return False
    for text in gate.lines(found.accepted):
        console.print(Text(f"  ! despite {printable(text)}", "yellow"))
    found.folder.rename(folder / GATE)
    seconds = time.monotonic() - begun
    console.print(headline("✓", GATE, "Host requirements", f"{seconds:.1f} s"), style="green")
    return True


def _phases(
    asked: Asked, built: Site, folder: Path, console: Console, chosen: Sequence[str]
) -> bool:
    if not chosen:
        return True
    with recorded(asked, built.inventory, folder, "install") as book, Progress(console) as shown:
        engine = Engine(built, shown, book)
        with stoppable(engine, shown):
            try:
                if asked.only:
                    _needs(engine, asked.only)
                engine.carry_out(chosen, again=bool(asked.only))
            except Stopped:
                book.write(End("interrupted", now()))
                console.print(f"Stopped. Go on with:\n    {asked.again}")
                raise KeyboardInterrupt from None
            except (PhaseFailed, Down) as error:
                book.write(End("failed", now()))
                _explain(console, engine, error, asked)
                return False
        book.write(End("finished", now()))
    return True


def _needs(engine: Engine, only: str) -> None:
    """What --only's phase needs must be done. Raises HaleError."""
    for one in engine.plan(needed(only)):
        if one.left or one.unknown:
            raise HaleError(
                f"--only {only} needs {one.name}, which is not done: "
                f"{(*one.left, one.unknown)[0]}. Say --to {only}."
            )


def _explain(console: Console, engine: Engine, error: PhaseFailed | Down, asked: Asked) -> None:
    name = error.phase if isinstance(error, PhaseFailed) else "reading the hosts"
    console.print(Text(f"\n{name} failed: {printable_lines(str(error))}", "bold red"))
    if isinstance(error, PhaseFailed) and error.said:
        console.print(Text(indented(printable_lines(error.said))))
    console.print(
        f"\nWhat is done stays, and a new run goes on from here:\n    {asked.again}\n"
        "docs/install.md says what to look at for each phase.",
        soft_wrap=True,
    )


def _audit(known: Inventory, folder: Path, despite: Sequence[str]) -> bool:
    """Whether every row is green, but for those that the operator accepts."""
    print(f"▶ {AUDIT}: Audit of everything", flush=True)
    made = fix.audit(known.path, "all", "document", folder, say=True, timeout=gate.LOGIN)
    found = results.load(made / "results.json").results
    red = [r for r in found if r.verdict in gate.RED and r.requirement not in despite]
    return not red
