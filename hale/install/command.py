"""`invoke install`, `invoke reset` and `invoke kubeconfig`: from an operator's words to a run.

A run's folder is reports/<time>-install/ (or -reset): gate/ and the last <time>-audit/ are audits
like any other, journal.jsonl what was done, with the seconds of each step and of kubeadm itself.
"""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol, cast

from rich.console import Console
from rich.text import Text

from hale import (
    atomic,
    connection,
    fix,
    inventory,
    logins,
    provenance,
    recorder,
    results,
    selection,
    standard,
)
from hale.apply import command as apply
from hale.apply import run
from hale.apply.journal import SCHEMA, End, Header, Journal, now
from hale.apply.lock import Locked, Owner
from hale.cluster import ADMIN
from hale.errors import HaleError
from hale.fact import mask
from hale.install import gate, site
from hale.install.course import load, names, needed
from hale.install.doer import Failed
from hale.install.engine import Engine, PhaseFailed, Planned, Stopped
from hale.install.look import Down, Wish, look
from hale.install.shown import Progress
from hale.install.site import Site
from hale.install.step import Phase, Seen, Wave
from hale.inventory import Host, Inventory
from hale.terminal import printable

GATE, AUDIT = "gate", "audit"


@dataclass(frozen=True)
class Asked:
    """How a run is to be made, as the operator typed it."""

    reports: Path
    inventory: Path | None = None
    fix: bool = False
    despite: tuple[str, ...] = ()
    to: str = ""
    only: str = ""
    yes: bool = False
    take_lock: bool = False
    approved_by: str = ""
    ticket: str = ""

    @property
    def path(self) -> Path:
        """The inventory's file."""
        return self.inventory or provenance.ROOT / "inventory.ini"

    @property
    def again(self) -> str:
        """The command that goes on where this one ended."""
        words = [".venv/bin/invoke", "install"]
        if self.inventory:
            words += ["--inventory", str(self.inventory)]
        if self.despite:
            words += ["--despite", ",".join(self.despite)]
        if self.fix:
            words.append("--fix")
        if self.yes:
            words.append("--yes")
        return shlex.join(words)


# --- install ---


def install(asked: Asked) -> bool:
    """Build the cluster, or go on with it. True where everything is done and the audit green.

    Raises HaleError for what is wrong with what was typed, or with the inventory.
    """
    known = inventory.load(asked.path)
    built = _site(known)
    chosen = _chosen(asked)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{known.site} inventory {known.path}")
    _reachable(known)
    folder = recorder.folder(asked.reports, "install")
    if GATE in chosen and not _gate(asked, known, folder, console):
        return False
    ok = _phases(asked, built, folder, console, [n for n in chosen if n not in (GATE, AUDIT)])
    if ok and AUDIT in chosen:
        ok = _audit(known, folder, asked.despite)
    console.print(f"report: {folder}")
    return ok


def plan(asked: Asked) -> None:
    """Print each phase, done or not, and what it would do. Changes nothing."""
    known = inventory.load(asked.path)
    built = _site(known)
    console = Console(highlight=False, soft_wrap=True)
    chosen = _chosen(asked)
    _reachable(known)
    if GATE in chosen:
        folder = recorder.folder(asked.reports, "plan")
        found = gate.look(known.path, folder, asked.despite)
        red = [*found.fixable, *found.stuck]
        console.print(
            _line("-" if found.open else "▶", GATE, "Host requirements", "" if red else "done")
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
        console.print(_line("▶", AUDIT, "Audit of everything", ""))
    console.print("\nNothing is changed.")


def _print_planned(console: Console, one: Planned) -> None:
    if one.not_applicable:
        console.print(_line("-", one.name, one.title, f"not ours: {one.not_applicable}"))
        return
    if one.unknown and not one.left:
        console.print(_line("?", one.name, one.title, one.unknown))
        return
    console.print(_line("▶" if one.left else "-", one.name, one.title, "" if one.left else "done"))
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


def _line(sign: str, name: str, title: str, said: str) -> Text:
    return Text(f"{sign} {name}: {title}{f'  {printable(said)}' if said else ''}")


def _site(known: Inventory) -> Site:
    return site.load(known, standard.load(provenance.ROOT / "standard"))


def _chosen(asked: Asked) -> list[str]:
    every = [GATE, *names(), AUDIT]
    for given, option in ((asked.to, "--to"), (asked.only, "--only")):
        if given and given not in every:
            raise HaleError(f"{option}: no phase {given!r}; there are: {', '.join(every)}.")
    if asked.only and asked.to:
        raise HaleError("--only is one phase, --to all up to one: say one of them.")
    if asked.only:
        return [asked.only]
    return every[: every.index(asked.to) + 1] if asked.to else every


def _reachable(known: Inventory) -> None:
    """Every host, before anything is done to any. Raises HaleError naming those that are not.

    Asked twice: a host that is only busy lets people in the second time.
    """
    logins.connect(known, gate.LOGIN)
    for _ in range(2):
        if not (down := _down(known)):
            return
        connection.close_sessions()
    raise HaleError("nothing was changed: " + "\n".join(down))


def _down(known: Inventory) -> list[str]:
    """Who cannot be asked as root, and why."""
    sessions = [connection.session_for(h.name) for h in known.hosts]
    for session in sessions:
        session.start()
    down = []
    for session in sessions:
        name = session.target.name
        try:
            if session.run("id -u", 2 * gate.LOGIN).stdout.strip() != b"0":
                down.append(f"{name}: root is needed: put ansible_become=true into the inventory")
        except run.ANSWERS_NOT as error:
            down.append(str(error))
    return down


def _gate(asked: Asked, known: Inventory, folder: Path, console: Console) -> bool:
    begun = time.monotonic()
    console.print(_line("▶", GATE, "Host requirements", ""))
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
        if not (asked.fix or _agrees("\n`invoke fix` mends them. Plan it now? [y/N] ")):
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
    console.print(_line("✓", GATE, "Host requirements", f"{seconds:.1f} s"), style="green")
    return True


def _agrees(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _phases(
    asked: Asked, built: Site, folder: Path, console: Console, chosen: Sequence[str]
) -> bool:
    if not chosen:
        return True
    with _run(asked, built.inventory, folder, "install") as book, Progress(console) as shown:
        engine = Engine(built, shown, book)
        with _stoppable(engine, shown):
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
        console.print(Text(_indented(printable_lines(error.said))))
    console.print(
        f"\nWhat is done stays, and a new run goes on from here:\n    {asked.again}\n"
        "docs/install.md says what to look at for each phase.",
        soft_wrap=True,
    )


def printable_lines(text: str) -> str:
    """Several lines of a host's text, each without what drives a terminal."""
    lines = text.expandtabs(4).split("\n")
    return "\n".join(printable(mask(line)) for line in lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _audit(known: Inventory, folder: Path, despite: Sequence[str]) -> bool:
    """Whether every row is green, but for those that the operator accepts."""
    print(f"▶ {AUDIT}: Audit of everything", flush=True)
    made = fix.audit(known.path, "all", "document", folder, say=True, timeout=gate.LOGIN)
    found = results.load(made / "results.json").results
    red = [r for r in found if r.verdict in gate.RED and r.requirement not in despite]
    return not red


# --- what install and reset share ---


@contextmanager
def _run(asked: Asked, known: Inventory, folder: Path, kind: str) -> Iterator[Journal]:
    """The cluster-wide lock and the journal. Raises HaleError where somebody else has it."""
    logins.connect(known, gate.LOGIN)
    owner = Owner(provenance.operator(), provenance.source_host(), folder.name, now())
    every = [h.name for h in known.hosts]
    told = apply.teller()
    try:
        held = run.locked(every, every, owner, stale=asked.take_lock, told=told)
    except Locked as error:
        raise HaleError(f"nothing was changed: {error}") from None
    book: Journal | None = None
    try:
        header = Header(
            schema=SCHEMA,
            run=folder.name,
            kind=kind,
            operator=owner.operator,
            source_host=owner.source_host,
            inventory=str(known.path),
            plan_sha256="",
            at=now(),
            approved_by=asked.approved_by,
            ticket=asked.ticket,
        )
        book = Journal(folder, header)
        yield book
    finally:
        if book is not None:
            book.close()
        left = run.released(held, owner)
        connection.close_sessions()
        if left:
            told("", f"the lock is still on {', '.join(left)}, which did not answer: --take-lock")


@contextmanager
def _stoppable(engine: Engine, shown: Progress) -> Iterator[None]:
    """Ctrl-C lets the steps end that were begun; a second one cuts the connections, and with
    them what runs on the hosts."""

    def asked_to(number: int, frame: FrameType | None) -> None:
        if engine.stop.is_set():
            shown.says("cutting the connections: what runs on the hosts is killed")
            engine.cut()
            connection.close_sessions()
            return
        engine.stop.set()
        shown.says("stopping: steps that were begun are ended (once more: cut them off)")

    before = signal.signal(signal.SIGINT, asked_to)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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


# --- reset ---


@dataclass(frozen=True)
class Reset:
    """What `invoke reset` was told besides. accept: to lose the quorum of etcd."""

    cluster_name: str = ""
    hosts: str = "all"
    packages: bool = False
    accept: bool = False


class Off(Protocol):
    """remediate/cluster/reset.py, which is no phase: it asks for the hosts that go."""

    @property
    def quorum(self) -> Callable[[Site, Seen, Sequence[Host]], str]:
        """What is lost by it."""

    @property
    def waves(self) -> Callable[..., Iterable[Wave]]:
        """What does it."""

    @property
    def left(self) -> Callable[[Site, Seen, Sequence[Host]], tuple[str, ...]]:
        """What is there still."""


def reset(asked: Asked, wanted: Reset) -> bool:
    """Take the cluster off the hosts. True where nothing of it is left there.

    Raises HaleError where the name is not the cluster's, nobody agrees, or the quorum would go.
    """
    known = inventory.load(asked.path)
    built = _site(known)
    chosen = {c.host.name for c in selection.choose(wanted.hosts, known, lambda uri: ())}
    hosts = [h for h in built.hosts if h.name in chosen]
    taken_off = cast("Off", load("reset"))
    _named(built, wanted, hosts, yes=asked.yes)
    _reachable(known)
    console = Console(highlight=False)
    folder = recorder.folder(asked.reports, "reset")
    with _run(asked, known, folder, "reset") as book, Progress(console) as shown:
        engine = Engine(built, shown, book)
        with _stoppable(engine, shown):
            try:
                wish = Wish(cast("Phase", taken_off), built)
                (seen,) = look([wish])
                lost = taken_off.quorum(built, seen, hosts)
                if lost and not wanted.accept:
                    raise HaleError(
                        f"nothing was changed: {lost} Say --i-accept-losing-quorum to do it."
                    )
                waves = taken_off.waves(built, seen, hosts, with_packages=wanted.packages)
                left = engine.once("reset", waves, wish, lambda s: taken_off.left(built, s, hosts))
            except Stopped:
                book.write(End("interrupted", now()))
                raise KeyboardInterrupt from None
            except (PhaseFailed, Failed, Down) as error:
                book.write(End("failed", now()))
                said = getattr(error, "said", "")
                console.print(Text(f"\nreset failed: {printable_lines(str(error))}", "bold red"))
                if said:
                    console.print(Text(_indented(printable_lines(said))))
                console.print("Say it again to go on.")
                return False
        book.write(End("failed" if left else "finished", now()))
    for text in left:
        console.print(Text(f"  ✗ left: {printable(text)}", "red"))
    console.print(f"report: {folder}")
    return not left


def _named(built: Site, wanted: Reset, hosts: Sequence[Host], *, yes: bool) -> None:
    """The operator names the cluster that goes. Raises HaleError."""
    name = built.cluster.name
    given = wanted.cluster_name
    if not given and sys.stdin.isatty():
        print(f"This takes the cluster {name} off {', '.join(h.name for h in hosts)}.")
        given = input("Its name, to go on: ").strip()
    if not given:
        raise HaleError("say which cluster goes: --cluster-name NAME (inventory: cluster_name).")
    if given != name:
        raise HaleError(f"nothing was changed: the cluster's name is {name!r}, not {given!r}.")
    if not yes and not sys.stdin.isatty():
        raise HaleError("nobody is there to ask: say --yes to reset without asking.")
    if not yes and not _agrees(
        f"Reset {len(hosts)} hosts? All that is in the cluster is lost. [y/N] "
    ):
        raise HaleError("nothing was changed.")


# --- kubeconfig ---


def kubeconfig(path: Path, out: Path) -> None:
    """Fetch admin.conf from the first master that has one, to a file for the operator alone.

    Never printed. Raises HaleError where no master has one, or the file cannot be written.
    """
    known = inventory.load(path)
    logins.connect(known, gate.LOGIN)
    tried = []
    try:
        for host in known.masters:
            try:
                done = connection.session_for(host.name).run(f"cat {ADMIN}", 20)
            except run.ANSWERS_NOT as error:
                tried.append(str(error))
                continue
            if done.exit_status == 0 and done.stdout:
                try:
                    atomic.write(out, done.stdout, mode=0o600)
                except OSError as error:
                    raise HaleError(f"{out} cannot be written: {error.strerror}.") from None
                print(f"{out}: admin of {known.cluster.name}, from {host.name}; 0600.")
                print(
                    f"It reaches {known.endpoint.names[0]}:{known.endpoint.port}, a name that this "
                    f"machine has to know:\n    kubectl --kubeconfig {out} get nodes"
                )
                return
            tried.append(f"{host.name} has no {ADMIN} that this user may read")
    finally:
        connection.close_sessions()
    raise HaleError("no kubeconfig: " + "; ".join(tried) + ". `invoke install` makes it.")
