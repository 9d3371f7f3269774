"""`invoke drill`: from an operator's words to a report.

A drill's folder is reports/<time>-drill/: before/ and after/ are audits of chapters 1 and 2,
drill.jsonl is the journal, <part>/ has the raw records of client and watcher.
"""

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from hale import ssh
from hale.apply import lock
from hale.apply.gates import EVERY, PATIENCE, unhealthy
from hale.apply.journal import now
from hale.apply.runner import UNREACHABLE, locks_held, new_owner
from hale.audit import recorder
from hale.audit.audit import Audit, parse_fact
from hale.drill import actions, drill_page, journal, revert
from hale.drill.actions import ActionFailed
from hale.drill.experiment import DrillRun
from hale.drill.fault import PARTS, POWER, ClusterRoles, Fault, Power, select_client, select_fault
from hale.drill.http_client import Request
from hale.drill.journal import DrillEnd, DrillHeader, DrillHistory, DrillJournal, WorkloadEvent
from hale.drill.live_view import LiveView
from hale.drill.measurement import Measurement
from hale.drill.sampler import SamplerStopped
from hale.files import signals
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model import results
from hale.model.errors import UserError
from hale.model.evidence import NotApplicable, Unreadable
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import planner
from hale.report.text import confirm
from hale.ssh import preconnect
from hale.standard import loader


@dataclass(frozen=True)
class DrillOptions:
    """How a drill is to be made, as the operator typed it.

    power: who can switch this inventory's hosts off and on; None where nobody can.
    """

    part: str
    reports: Path
    inventory: Path
    host: str = ""
    allow_production: bool = False
    yes: bool = False
    force_unlock: bool = False
    power: Power | None = None
    command: Sequence[str] = ()


def run_drills(asked: DrillOptions) -> bool:
    """Drill; True where every row is green and the cluster is whole again. Raises HaleError."""
    typed = PARTS if asked.part == "all" else asked.part.split(",")
    if unknown := sorted(set(typed) - set(PARTS)):
        raise UserError(f"there is no drill {unknown[0]!r}: {', '.join(PARTS)}, or all.")
    parts = [part for part in PARTS if part in typed]
    if asked.host and len(parts) > 1:
        raise UserError("--host belongs to one drill; of several each chooses its own.")
    known = ini.load_inventory(asked.inventory)
    require_consent(known, allow_production=asked.allow_production)
    with _signals_raise(), LiveView() as screen:
        recover_interrupted(asked, known, screen)
        return DrillRunner(asked, known, tuple(parts), screen).carry_out()


def revert_only(asked: DrillOptions) -> bool:
    """`invoke drill --revert`: only give back what was left by drills that were cut off.

    Raises HaleError.
    """
    known = ini.load_inventory(asked.inventory)
    with _signals_raise(), LiveView() as screen:
        if not recover_interrupted(asked, known, screen):
            screen.told("", "no drill of this inventory left anything to give back")
            return True
        screen.told("", "waiting until the cluster is whole")
        rows, _ = wait_until_healthy(known)
        for said in rows:
            screen.told("", f"not whole: {said}")
        return not rows


def require_consent(known: Inventory, *, allow_production: bool) -> None:
    """Raises HaleError where these hosts are not a lab's and nobody said that they may suffer."""
    if known.site != "lab" and not allow_production:
        raise UserError(
            f"{known.path} is no lab (its hale_site is {known.site!r}), and a drill takes parts of "
            "its cluster away. --allow-production does it, as far as it can be undone from here: "
            "haproxy, an apiserver and an etcd member are stopped and started again; hosts are "
            "rebooted instead of losing their power. Read docs/drills.md before."
        )


def recover_interrupted(asked: DrillOptions, known: Inventory, screen: LiveView) -> bool:
    """Give back what drills that were cut off left; whether there was any. Raises HaleError."""
    found = journal.unfinished(asked.reports, str(known.path.resolve()))
    if not found:
        return False
    preconnect.register_targets(known)
    for story in found:
        screen.told("", f"{story.folder.name} was cut off; giving back what it left")
        book = DrillJournal(story.folder, None)
        try:
            _unlocked(known, story, screen)
            wrong = revert.revert_all(story, asked.power, book.write, screen.told)
            if wrong:
                raise UserError(
                    f"{story.folder.name} is not given back: {'; '.join(wrong)}. Mend that "
                    "(docs/drills.md says how), then `invoke drill --revert` again."
                )
            book.write(DrillEnd("restored", now()))
        finally:
            book.close()
            ssh.close_sessions()
    return True


def _unlocked(known: Inventory, story: DrillHistory, screen: LiveView) -> None:
    """Take away the locks of a drill whose process has ended."""
    for host in known.hosts:
        session = ssh.Session(ssh.TARGETS[host.name])
        try:
            lock.release(session, story.header.owner)
        except UNREACHABLE as error:
            screen.told(host.name, f"does not answer, so its lock stays: {error}")
        finally:
            session.close()


@dataclass
class DrillRunner:
    """One `invoke drill`, from the audit before to the report."""

    asked: DrillOptions
    known: Inventory
    parts: tuple[str, ...]
    screen: LiveView
    started: float = field(default_factory=time.time)
    _done: list[Measurement] = field(default_factory=list)

    def carry_out(self) -> bool:
        """Do it all; True where every row is green and the cluster whole again."""
        asked, known, told = self.asked, self.known, self.screen.told
        folder = recorder.create_run_dir(asked.reports, "drill")
        told("", f"auditing chapters 1 and 2 of {known.path}")
        before, judged = audit_cluster(known, folder, "before")
        if is_inconclusive(before):
            told("", "some hosts were too slow to tell; auditing once more")
            shutil.rmtree(folder / "before")
            before, judged = audit_cluster(known, folder, "before")
        require_healthy(before)
        roles = find_roles(judged)
        # Before anybody is asked: every part can be had here.
        planned = [self._outage(part, roles) for part in self.parts]
        self._agreed(planned)
        preconnect.register_targets(known)
        owner = new_owner(folder.name)
        header = DrillHeader(
            journal.SCHEMA, owner, str(known.path.resolve()), self.parts, asked.allow_production
        )
        every = [h.name for h in known.hosts]
        nothing = "nothing was taken away"
        reason = ""
        try:
            with (
                locks_held(
                    every, every, owner, stale=asked.force_unlock, report=told, nothing=nothing
                ),
                contextlib.closing(DrillJournal(folder, header)) as book,
            ):
                try:
                    self._drills(book, folder, planned)
                except (ActionFailed, SamplerStopped, UserError) as error:
                    reason = str(error)
                    told("", f"stopped: {reason}")
                except KeyboardInterrupt:
                    reason = "interrupted by the operator"
                    told("", "stopping; what is taken away is given back first")
                wrong = self._back(book, folder)
                told("", "auditing chapters 1 and 2 again")
                rows, _ = wait_until_healthy(known, folder)
                if not wrong:
                    book.write(DrillEnd("finished" if not reason else "interrupted", now()))
        finally:
            ssh.close_sessions()
        whole = not reason and not wrong
        found = drill_page.record(
            before, judged, self._done, self.parts, asked.command, self.started, whole=whole
        )
        drill_page.save(folder, found, self._done, ill=rows, wrong=wrong, reason=reason)
        self._show(folder, found, rows, wrong, reason)
        return whole and not rows and found.run.exit_status == 0

    def _outage(self, part: str, roles: ClusterRoles) -> Fault:
        power = self.asked.power if self.known.site == "lab" else None
        return select_fault(part, self.known, roles, self.asked.host, power)

    def _agreed(self, planned: Sequence[Fault]) -> None:
        """Say what will be lost, and ask once. Raises HaleError where nobody agrees."""
        for outage in planned:
            self.screen.told(outage.host, f"will lose {outage.title}: {outage.how}")
        if self.asked.yes:
            return
        if not sys.stdin.isatty():
            raise UserError("nobody is there to ask: say --yes to drill without asking.")
        with self.screen.silent():
            yes = confirm(f"\nTake this away from {self.known.path}? [y/N] ")
        if not yes:
            raise UserError("nothing was taken away.")

    def _drills(self, book: DrillJournal, folder: Path, planned: Sequence[Fault]) -> None:
        """Part after part; each from the cluster as the one before has left it."""
        replicas = 0
        for number, outage in enumerate(planned):
            if number:
                # The VIP has moved, and etcd's leader: who is what now?
                rows, judged = wait_until_healthy(self.known)
                if rows or judged is None:
                    raise ActionFailed(f"the cluster is not whole before {outage.part}: {rows[0]}")
                outage = self._outage(outage.part, find_roles(judged))
            watcher = self._watcher(outage)
            if outage.part in POWER and not replicas:
                replicas = len(self.known.hosts)
                self.screen.told(watcher, f"spreading out a Deployment with {replicas} replicas")
                book.write(WorkloadEvent(watcher, False, now()))
                actions.deploy_workload(watcher, replicas)
            drill = DrillRun(
                known=self.known,
                folder=folder / outage.part,
                outage=outage,
                client=select_client(self.known, {outage.host: outage.part}),
                watcher=watcher,
                replicas=replicas if outage.part in POWER else 0,
                power=self.asked.power,
                book=book,
                screen=self.screen,
            )
            self._done.append(drill.carry_out())

    def _watcher(self, outage: Fault) -> str:
        """A master that loses nothing."""
        return next(h.name for h in self.known.masters if h.name != outage.host)

    def _back(self, book: DrillJournal, folder: Path) -> list[str]:
        """Give back whatever is left, from the journal, as another process would."""
        story = journal.load_drill(folder)
        if story is None:
            return []
        wrong = revert.revert_all(story, self.asked.power, book.write, self.screen.told)
        for said in wrong:
            self.screen.told("", f"NOT GIVEN BACK: {said}")
        return wrong

    def _show(
        self,
        folder: Path,
        found: Results,
        rows: Sequence[str],
        wrong: Sequence[str],
        reason: str,
    ) -> None:
        console: Console = self.screen.console
        drills: list[tuple[Measurement, Sequence[Request]]] = [
            (d, drill_page.of(folder, d)) for d in self._done
        ]
        drill_page.show(console, found, drills)
        if reason:
            console.print(f"stopped: {reason}", style="bold red", markup=False)
        for said in (*wrong, *rows):
            console.print(f"not whole: {said}", style="bold red", markup=False)
        if wrong:
            console.print("`invoke drill --revert` tries again; docs/drills.md says what to do.")
        console.print(f"report: {folder}/report.html", markup=False)


# --- the cluster as an audit sees it ---


def audit_cluster(known: Inventory, folder: Path, name: str) -> tuple[Results, Audit]:
    """Audit the cluster's own rows, and who is what, into folder/name. Raises HaleError."""
    guards = loader.load_standard(ROOT / "standard").guarding("drill")
    marker = " or ".join(sorted({r.subject for r in guards} | {"address", "etcd", "drill"}))
    made = planner.run_audit(known.path, "all", "document", folder, marker, say=False)
    kept = made.rename(folder / name)
    return results.load_results(kept / "results.json"), planner.replay(kept)


def _guards() -> frozenset[str]:
    """Ids of the requirements that the cluster must meet before and after a drill."""
    return frozenset(r.id for r in loader.load_standard(ROOT / "standard").guarding("drill"))


def is_inconclusive(before: Results) -> bool:
    """Whether nothing is known to be wrong, and not everything is known to be right."""
    verdicts = {r.verdict for r in before.results if r.aspect == "runtime"}
    return Verdict.UNKNOWN in verdicts and Verdict.FAIL not in verdicts


def require_healthy(before: Results) -> None:
    """Raises HaleError where the cluster is not whole: nothing may be taken from it."""
    if red := unhealthy(before.results, _guards()):
        more = f" (and {len(red) - 5} more rows)" if len(red) > 5 else ""
        raise UserError(
            "nothing was taken away, because the cluster is not whole: "
            + "; ".join(red[:5])
            + f"{more}. `pytest --hosts=all -m 'chapter1 or chapter2'` shows it; mend it first."
        )


def find_roles(judged: Audit) -> ClusterRoles:
    """The VIP's owner and the host of etcd's leader. Raises HaleError where they are unknown."""
    owners, leaders = [], []
    for case in judged.cases:
        subject = case.requirement.subject
        if case.aspect != "runtime" or subject not in ("address", "etcd"):
            continue
        try:
            found: Any = parse_fact(case, judged.read(case)[0])
        except (NotApplicable, Unreadable):
            continue
        if subject == "address" and case.host is not None and found.vip_on:
            owners.append(case.host.name)
        if subject == "etcd":
            leaders += [v.host for v in found.voices if v.id == v.leader]
    masters = {h.name for h in judged.inventory.masters}
    owners = [h for h in owners if h in masters]
    if len(set(owners)) != 1 and judged.inventory.endpoint.kind != "external":
        raise UserError(
            f"who has the VIP? {' and '.join(owners) or 'no master'}: nothing is taken."
        )
    return ClusterRoles(owners[0] if owners else "", leaders[0] if leaders else "")


def wait_until_healthy(
    known: Inventory, folder: Path | None = None
) -> tuple[list[str], Audit | None]:
    """Audit until the cluster is whole, for up to PATIENCE; returns what is not, and the audit.

    folder: where the last audit stays, as `after`.
    """
    until = time.monotonic() + PATIENCE
    judged: Audit | None = None
    while True:
        with tempfile.TemporaryDirectory(prefix="hale-") as place:
            try:
                found, judged = audit_cluster(known, Path(place), "after")
                rows = unhealthy(found.results, _guards())
            except UserError as error:
                rows = [str(error)]
            if not rows or time.monotonic() > until:
                made = Path(place) / "after"
                if folder is not None and made.exists():
                    shutil.move(made, folder / "after")
                return rows, judged
        time.sleep(EVERY)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end a drill as Ctrl-C does: with everything given back."""

    def leave(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    with signals.signal_handler(leave, signal.SIGTERM, signal.SIGHUP):
        yield
