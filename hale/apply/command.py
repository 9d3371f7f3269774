"""`invoke fix --apply` and `invoke undo`: from an operator's words to a run.

A run's folder is reports/<time>-fix/ (or -undo): before/ and after/ are audits like any other,
plan.json what was approved, journal.jsonl what was done.
"""

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale import (
    connection,
    fix,
    inventory,
    logins,
    plan,
    provenance,
    recorder,
    results,
    selection,
    standard,
)
from hale.apply import journal, run, undo
from hale.apply.gates import OF_THE_CLUSTER, Standing
from hale.apply.journal import Journal, Story
from hale.apply.lock import Owner
from hale.apply.run import Run, Told
from hale.apply.writer import Failed
from hale.audit import Audit, fact
from hale.errors import HaleError
from hale.fact import NotApplicable, Unreadable
from hale.inventory import Inventory
from hale.plan import Plan
from hale.results import Result, Results
from hale.terminal import SIGN, agrees, folded, printable
from hale.verdicts import Verdict

RED = (Verdict.FAIL, Verdict.UNKNOWN)


@dataclass(frozen=True)
class Asked:
    """How a run is to be made, as the operator typed it. max_fail: failed hosts of one group
    that stop the rest of it."""

    reports: Path
    inventory: Path | None = None
    hosts: str = "all"
    profile: str = "document"
    yes: bool = False
    take_lock: bool = False
    max_fail: int = 1
    approved_by: str = ""
    ticket: str = ""
    force: bool = False

    def __post_init__(self) -> None:
        if self.max_fail < 1:
            raise HaleError("--max-fail is a number of hosts, 1 or more.")


def apply(asked: Asked, only: Sequence[str], approved: Path | None) -> bool:
    """Audit, plan (or take the approved plan), ask, apply, audit again, show before and after.

    True where every planned change was made and every row it was for is green. Raises HaleError.
    """
    made = plan.load(approved) if approved else None
    path, hosts, profile = asked.inventory, asked.hosts, asked.profile
    if made is not None:
        path, profile = Path(made.inventory), made.profile
        hosts = _of_the_plan(made, hosts, path)
    logins.begin(path, hosts)
    marker = fix.marker(only)
    with connection.kept():  # one login for audit, plan, and what is changed
        before = fix.audit(path, hosts, profile, asked.reports, marker, here=True)
    found = results.load(before / "results.json")
    made = fix.make(before, only) if made is None else _approved(made, found)
    print("\n".join(fix.lines(made)), flush=True)
    if not any(h.steps for h in made.hosts):
        unknown = sum(len(h.unknown) for h in made.hosts)
        print(f"\nNothing to change{f', and {unknown} rows are unknown' if unknown else ''}.")
        return not unknown
    _agreed(asked, made)
    folder = recorder.folder(asked.reports, "fix")
    before = before.rename(folder / "before")
    ok = _carry_out(made, folder, asked, before, "fix", "")
    after = _again(path, made, profile, folder, marker)
    wanted = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    green = _before_after(found, after, wanted)
    _say_how_to_go_on(folder, ok=ok, green=green)
    return ok and green


def take_back(asked: Asked, name: str) -> bool:
    """Undo a run, whole or on some hosts. True where everything is as it was before it."""
    story = _named(asked.reports, name)
    if story.header.kind in ("install", "reset"):
        raise HaleError(
            f"{name} is no fix. What an install has made is taken off by `invoke reset`, and a "
            "reset is followed by `invoke install`."
        )
    known = inventory.load(Path(story.header.inventory))
    logins.connect(known)
    touched = list(dict.fromkeys(host for host, _ in story.begun))
    chosen = [c.host.name for c in selection.choose(asked.hosts, known, lambda uri: ())]
    hosts = [h for h in touched if h in chosen]
    if not hosts:
        print(f"{name} changed nothing on {asked.hosts}.")
        return True
    if story.open or story.end is None:
        if journal.running(story.folder):
            raise HaleError(f"{name} is still going on; it cannot be taken back yet.")
        owner = run.owner_of(recorder.folder(asked.reports, "settle").name)
        _settled(asked, known, owner, [story])
        (asked.reports / owner.run).rmdir()
        story = journal.load(story.folder)
    made_of = plan.load(story.folder / "plan.json")
    machines = {h.host: h.machine_id for h in made_of.hosts}
    made = undo.make(story, hosts, made_of.profile, machines)
    try:
        made, moved = undo.shown(made, story, force=asked.force)
    except (Failed, *run.ANSWERS_NOT) as error:
        raise HaleError(f"the way back cannot be read: {error}") from None
    print("\n".join(fix.lines(made)), flush=True)
    if moved:
        print("\n" + "\n".join(moved))
        if not asked.force:
            raise HaleError(
                "what was changed since is not put back. See the differences above; with --force "
                "the old bytes come back all the same, and what is there now is kept."
            )
    if not any(h.steps for h in made.hosts):
        print(f"\n{name} left nothing to take back.")
        return True
    _agreed(asked, made)
    folder = recorder.folder(asked.reports, "undo")
    with connection.kept():
        names = ",".join(hosts)
        audited = fix.audit(known.path, names, made.profile, folder, say=False, here=True)
    before = audited.rename(folder / "before")
    _approved(made, results.load(before / "results.json"))
    ok = _carry_out(made, folder, asked, before, "undo", name)
    after = _again(known.path, made, made.profile, folder)
    _before_after(results.load(before / "results.json"), after, set())
    _say_how_to_go_on(folder, ok=ok, green=True)
    return ok


# --- the pieces ---


def _of_the_plan(made: Plan, hosts: str, path: Path) -> str:
    """The plan's hosts, as far as `--hosts` names them."""
    known = inventory.load(path)
    chosen = {c.host.name for c in selection.choose(hosts, known, lambda uri: ())}
    names = [h.host for h in made.hosts if h.host in chosen]
    if not names:
        raise HaleError(f"the plan says nothing of {hosts}.")
    return ",".join(names)


def _approved(made: Plan, found: Results) -> Plan:
    """The plan for those hosts that were audited now. Raises HaleError for another machine."""
    machines = {h.name: h for h in found.hosts}
    hosts = [h for h in made.hosts if h.host in machines]
    for host in hosts:
        now_there = machines[host.host]
        if host.steps and now_there.down:
            raise HaleError(f"{host.host} cannot be changed: {now_there.down}")
        if host.steps and host.machine_id != now_there.machine_id:
            raise HaleError(
                f"{host.host} is another machine than the plan was made for (machine-id "
                f"{now_there.machine_id or 'unknown'} instead of {host.machine_id}). Plan again."
            )
    return msgspec.structs.replace(made, hosts=tuple(hosts))


def _agreed(asked: Asked, made: Plan) -> None:
    """Ask once. Raises HaleError where nobody agrees, or nobody is there to ask."""
    if asked.yes:
        return
    steps, hosts = sum(len(h.steps) for h in made.hosts), sum(bool(h.steps) for h in made.hosts)
    if not sys.stdin.isatty():
        raise HaleError("nobody is there to ask: say --yes to apply without asking.")
    if not agrees(f"\nMake {steps} changes on {hosts} hosts? [y/N] "):
        raise HaleError("nothing was changed.")


def _carry_out(made: Plan, folder: Path, asked: Asked, before: Path, kind: str, of: str) -> bool:
    plan.save(made, folder / "plan.json")
    audit = fix.judged_again(before)
    known = audit.inventory
    logins.connect(known)
    owner = run.owner_of(folder.name)
    header = run.header(
        owner,
        kind,
        known.path,
        approved_by=asked.approved_by,
        ticket=asked.ticket,
        plan_sha256=made.sha256,
        of=of,
    )
    told = teller()
    needed = [h.host for h in made.hosts if h.steps]
    names = [h.name for h in known.hosts]
    try:
        with run.holding(names, needed, owner, stale=asked.take_lock, told=told):
            for story in run.stories(asked.reports):
                if story.state == "interrupted" and not story.end and _same(story, known):
                    run.settle(story, told)
            with closing(Journal(folder, header)) as book:
                return Run(
                    made,
                    folder,
                    book,
                    owner,
                    standing(audit),
                    {h.name: _group(h.groups) for h in known.hosts},
                    lambda: _look(known),
                    told,
                    asked.max_fail,
                ).carry_out()
    finally:
        connection.close_sessions()


def _settled(asked: Asked, known: Inventory, owner: Owner, stories: Iterable[Story]) -> None:
    """Settle under the locks, for an undo that comes before any other run."""
    told = teller()
    needed = [host for s in stories for host in dict.fromkeys(b.host for b in s.open)]
    names = [h.name for h in known.hosts]
    with run.holding(names, needed, owner, stale=asked.take_lock, told=told):
        for story in stories:
            run.settle(story, told)


def _same(story: Story, known: Inventory) -> bool:
    return Path(story.header.inventory) == known.path


def _group(groups: Iterable[str]) -> str:
    return "masters" if "masters" in groups else "workers"


def standing(audit: Audit) -> Mapping[str, Standing]:
    """What each host of the inventory is in its cluster, by what was read of it.

    A host of which that could not be read counts as joined.
    """
    joined: dict[str, str] = {}
    holds: dict[str, bool] = {}
    for case in audit.cases:
        subject = case.requirement.subject
        if case.aspect != "runtime" or subject not in fix.STANDING:
            continue
        try:
            found: Any = fact(case, audit.read(case)[0])
        except NotApplicable:
            continue
        except Unreadable as error:
            joined.setdefault(case.host_name, str(error))
            continue
        if subject == fix.ADDRESS:
            holds[case.host_name] = bool(found.vip_on)
        else:
            joined[case.host_name] = found.joined
    return {
        host.name: Standing(
            "masters" in host.groups, joined.get(host.name, ""), holds.get(host.name, False)
        )
        for host in audit.inventory.hosts
    }


def _look(known: Inventory) -> list[Result]:
    """The rows of the cluster, by an audit of its own of the masters."""
    stated = standard.load(provenance.ROOT / "standard").requirements
    chapters = sorted({r.chapter for r in stated} & set(OF_THE_CLUSTER))
    marker = " or ".join(f"chapter{n}" for n in chapters)
    with tempfile.TemporaryDirectory(prefix="hale-") as folder:
        made = fix.audit(known.path, "masters", "document", Path(folder), marker, say=False)
        return results.load(made / "results.json").results


def _again(path: Path | None, made: Plan, profile: str, folder: Path, marker: str = "") -> Results:
    """The same checks once more, on the hosts that were to be changed."""
    hosts = ",".join(h.host for h in made.hosts)
    made_anew = fix.audit(path, hosts, profile, folder, marker, say=False, here=True)
    after = made_anew.rename(folder / "after")
    return results.load(after / "results.json")


def _before_after(before: Results, after: Results, wanted: set[tuple[str, str]]) -> bool:
    """Show what turned; whether all rows are green that the plan was for."""
    was = {(r.host, r.requirement, r.aspect): r for r in before.results}
    order = {h.name: n for n, h in enumerate(before.hosts)}
    turned: dict[tuple[str, str, Verdict, Verdict, str], list[str]] = {}
    red = False
    for row in sorted(after.results, key=lambda r: (r.chapter or 99, order.get(r.host, -1))):
        old = was.get((row.host, row.requirement, row.aspect))
        bad = row.verdict in RED
        left = bad and (row.host, row.requirement) in wanted
        red = red or left
        if old is not None and (old.verdict is not row.verdict or left):
            said = printable(row.actual) if bad else ""
            key = (row.requirement, row.aspect, old.verdict, row.verdict, said)
            turned.setdefault(key, []).append(row.host)
    shown = Table("requirement", "aspect", "before", "after", "hosts", box=None)
    for (requirement, aspect, *verdicts, said), hosts in turned.items():
        signs = [Text(f"{SIGN[v][0]} {v.value}", SIGN[v][1]) for v in verdicts]
        names = Text(folded(hosts))
        shown.add_row(
            requirement, aspect, *signs, names + Text(f"\n{said}", "dim") if said else names
        )
    console = Console(highlight=False)
    console.print()
    console.print(shown)
    counts = [sum(r.verdict in RED for r in each.results) for each in (before, after)]
    console.print(f"\nred or unknown rows: {counts[0]} before, {counts[1]} after")
    return not red


def _say_how_to_go_on(folder: Path, *, ok: bool, green: bool) -> None:
    print(f"report: {folder}")
    if not ok:
        print("Not all changes were made; see above. What was done stays, and can be taken back:")
    elif not green:
        print("All changes were made, and some of their rows are not green; see above.")
    print(f"undo:   invoke undo {folder.name}")


def teller() -> Told:
    """Tells a host and what happens there, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    return lambda host, said: console.print(Text(f"  {host + ': ' if host else ''}{said}"))


def _named(reports: Path, name: str) -> Story:
    folder = reports / Path(name).name
    if not (folder / journal.NAME).is_file():
        known = ", ".join(s.header.run for s in run.stories(reports)) or "none"
        raise HaleError(f"no run {name!r} in {reports}; there are: {known}.")
    return journal.load(folder)
