"""`invoke drill`: from the command line to the report.

A drill's folder is reports/<time>-drill/: before/ and after/ are audits of the cluster's own
requirements, drill.jsonl is the journal, change.html the page of all that, <fault>/ has the raw
records of client and watcher.
"""

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.text import Text

from hale.apply import lock, sealing
from hale.apply.gates import HEALTH_TIMEOUT, POLL_INTERVAL, unhealthy
from hale.apply.journal import now
from hale.apply.runner import locks_held, new_owner
from hale.audit import recorder
from hale.audit.audit import Audit
from hale.audit.run import AuditResult
from hale.drill import actions, change_page, components, drill_page, http_client, journal, revert
from hale.drill.actions import ActionFailed
from hale.drill.experiment import DrillRun
from hale.drill.fault import (
    WORKLOAD_FAULTS,
    ClusterRoles,
    Fault,
    PowerSwitch,
    select_client,
    select_fault,
)
from hale.drill.http_client import ClientTarget, Request
from hale.drill.journal import (
    DrillEnd,
    DrillHeader,
    DrillHistory,
    DrillJournal,
    DrillState,
    WorkloadEvent,
)
from hale.drill.live_view import LiveView
from hale.drill.sampler import SamplerStopped
from hale.files import signals
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import CLUSTER_FAULTS, COMPONENT_FAULTS, FaultKind, Measurement
from hale.model.errors import UserError
from hale.model.requirement import Aspect, Guard, Profile
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.polling import wait_until
from hale.report.audits import audit
from hale.report.change import page
from hale.report.text import confirm
from hale.ssh import RemoteError, SessionPool, Target
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.standard import loader
from hale.standard.loader import Standard


@dataclass(frozen=True)
class DrillOptions:
    """The options of the command line.

    faults: kinds of fault, comma-separated, or all. power: switches this inventory's hosts off
    and on; None if nothing can.
    """

    faults: str
    reports: Path
    inventory: Path
    host: str = ""
    allow_production: bool = False
    yes: bool = False
    force_unlock: bool = False
    power: PowerSwitch | None = None
    command: Sequence[str] = ()
    login: LoginOptions = field(default_factory=LoginOptions)


def run_drills(options: DrillOptions) -> bool:
    """Run the drills; True if every result passed and the cluster is healthy. Raises UserError."""
    typed = list(CLUSTER_FAULTS) if options.faults == "all" else options.faults.split(",")
    if unknown := sorted(set(typed) - set(FaultKind)):
        raise UserError(
            f"unknown drill {unknown[0]!r}: choose from {', '.join(FaultKind)}, or all."
        )
    kinds = [kind for kind in FaultKind if kind in typed]
    if options.host and len(kinds) > 1:
        raise UserError(
            "--host takes a single drill; several drills select their hosts themselves."
        )
    known = ini.load_inventory(options.inventory)
    require_consent(known, allow_production=options.allow_production)
    with _signals_raise(), LiveView() as screen, _pool(options, known) as sessions:
        recover_interrupted(options, known, sessions, screen)
        return DrillRunner(options, known, sessions, tuple(kinds), screen).run()


def _pool(options: DrillOptions, known: Inventory) -> SessionPool:
    return SessionPool(targets_of(known, options.login))


def revert_only(options: DrillOptions) -> bool:
    """`invoke drill --revert`: only revert what interrupted drills left. Raises UserError."""
    known = ini.load_inventory(options.inventory)
    with _signals_raise(), LiveView() as screen, _pool(options, known) as sessions:
        if not recover_interrupted(options, known, sessions, screen):
            screen.log("", "no interrupted drill of this inventory has anything left to revert")
            return True
        screen.log("", "waiting until the cluster is healthy")
        rows, _ = wait_until_healthy(known, sessions.targets)
        for row in rows:
            screen.log("", f"unhealthy: {row}")
        return not rows


def require_consent(known: Inventory, *, allow_production: bool) -> None:
    """Raises UserError unless the hosts are a lab's or the operator allowed production hosts."""
    if known.environment != "lab" and not allow_production:
        raise UserError(
            f"{known.path} is not a lab (its hale_environment is {known.environment!r}), and a "
            "drill injects faults into its cluster. To run it anyway, read docs/drills.md and pass "
            "--allow-production: haproxy, an apiserver and an etcd member are stopped and started "
            "again; hosts are rebooted instead of losing power."
        )


def recover_interrupted(
    options: DrillOptions, known: Inventory, sessions: SessionPool, screen: LiveView
) -> bool:
    """Revert what interrupted drills left; False if there was none. Raises UserError."""
    found = journal.unfinished(options.reports, str(known.path.resolve()))
    if not found:
        return False
    for story in found:
        screen.log("", f"{story.folder.name} was interrupted; reverting what it left")
        book = DrillJournal(story.folder, None)
        try:
            _unlocked(sessions.targets, story, screen)
            wrong = revert.revert_all(story, sessions, options.power, book.write, screen.log)
            if wrong:
                raise UserError(
                    f"{story.folder.name} is not fully reverted: {'; '.join(wrong)}. Fix that as "
                    "described in docs/drills.md, then run `invoke drill --revert` again."
                )
            book.write(DrillEnd(DrillState.REVERTED, now()))
        finally:
            book.close()
            change_page.write_page(story.folder, screen.log)
            _seal(story.folder, screen)
            sessions.close()  # a lost session stays lost; the drill needs new ones
    return True


def _seal(folder: Path, screen: LiveView) -> None:
    """Write the manifest of a drill whose journal has its end: nothing is left to revert."""
    history = journal.load_drill(folder)
    if history is not None and history.end is not None:
        sealing.seal_folder(folder, screen.log)


def _unlocked(targets: Mapping[str, Target], story: DrillHistory, screen: LiveView) -> None:
    """Release the locks of a drill whose process has ended."""
    with SessionPool(targets) as own:  # a host that does not answer now may do so later
        for host in targets:
            try:
                lock.release(own.session(host), story.header.owner)
            except RemoteError as error:
                screen.log(host, f"unreachable, so its lock stays: {error}")


@dataclass
class DrillRunner:
    """One `invoke drill`, from the audit before to the report."""

    options: DrillOptions
    inventory: Inventory
    sessions: SessionPool
    kinds: tuple[FaultKind, ...]
    view: LiveView
    started: float = field(default_factory=time.time)
    _done: list[Measurement] = field(default_factory=list)

    def run(self) -> bool:
        """Run the drills; True if every result passed and the cluster is healthy."""
        options, inventory, log = self.options, self.inventory, self.view.log
        folder = recorder.create_run_dir(options.reports, "drill")
        log("", f"auditing the cluster of {inventory.path}")
        audited = audit_cluster(inventory, folder / "before", self.sessions.targets, self.kinds)
        if is_inconclusive(audited.results):
            log("", "some results are UNKNOWN; auditing once more")
            shutil.rmtree(folder / "before")
            audited = audit_cluster(inventory, folder / "before", self.sessions.targets, self.kinds)
        before, judged = audited.results, audited.audit
        require_healthy(before, _guards(judged.standard, self.kinds))
        roles = find_roles(judged)
        # Before the confirmation: every fault is possible here.
        planned = [self._select(kind, roles) for kind in self.kinds]
        self._confirm(planned)
        owner = new_owner(folder.name)
        header = DrillHeader(
            journal.SCHEMA,
            owner,
            str(inventory.path.resolve()),
            self.kinds,
            options.allow_production,
        )
        every = [h.name for h in inventory.hosts]
        nothing = "no fault was injected"
        reason = ""
        with (
            locks_held(
                self.sessions,
                every,
                every,
                owner,
                stale=options.force_unlock,
                report=log,
                nothing=nothing,
            ),
            page.written(folder, change_page.build, log),
            contextlib.closing(DrillJournal(folder, header)) as book,
        ):
            change_page.write_page(folder, log)
            try:
                self._drills(book, folder, planned)
            except (ActionFailed, SamplerStopped, UserError, OSError) as error:
                reason = str(error)
                log("", f"stopped: {reason}")
            except KeyboardInterrupt:
                reason = "interrupted by the operator"
                log("", "stopping; injected faults are reverted first")
            wrong = self._revert(book, folder)
            log("", "auditing the cluster again")
            rows, _ = wait_until_healthy(inventory, self.sessions.targets, folder, self.kinds)
            if not wrong:
                state = DrillState.INTERRUPTED if reason else DrillState.FINISHED
                book.write(DrillEnd(state, now()))
        completed = not reason and not wrong
        found = drill_page.build_results(
            before,
            judged,
            self._done,
            self.kinds,
            options.command,
            self.started,
            completed=completed,
        )
        drill_page.save(
            folder, found, self._done, unhealthy=rows, not_reverted=wrong, reason=reason
        )
        change_page.write_page(folder, log)  # with what was measured
        _seal(folder, self.view)
        self._show(folder, found, rows, wrong, reason)
        return completed and not rows and found.run.exit_status == 0

    def _select(self, kind: FaultKind, roles: ClusterRoles) -> Fault:
        power = self.options.power if self.inventory.environment == "lab" else None
        if kind in COMPONENT_FAULTS:
            return components.select_fault(
                kind, self.inventory, self.sessions, self.options.host, power
            )
        return select_fault(kind, self.inventory, roles, self.options.host, power)

    def _confirm(self, planned: Sequence[Fault]) -> None:
        """List the faults and ask once. Raises UserError if the operator declines."""
        for fault in planned:
            self.view.log(fault.host, f"will stop {fault.title}: {fault.method}")
        if self.options.yes:
            return
        if not sys.stdin.isatty():
            raise UserError("stdin is not a terminal: pass --yes to drill without confirmation.")
        with self.view.paused():
            yes = confirm(f"\nInject these faults into {self.inventory.path}? [y/N] ")
        if not yes:
            raise UserError("no fault was injected.")

    def _drills(self, book: DrillJournal, folder: Path, planned: Sequence[Fault]) -> None:
        """Run one drill after the other, each on the roles that the previous one left."""
        replicas = 0
        for number, fault in enumerate(planned):
            if number:
                # The VIP and etcd's leader have moved: find the roles again.
                rows, judged = wait_until_healthy(
                    self.inventory, self.sessions.targets, kinds=self.kinds
                )
                if rows or judged is None:
                    raise ActionFailed(f"the cluster is unhealthy before {fault.kind}: {rows[0]}")
                fault = self._select(fault.kind, find_roles(judged))
            watcher = self._watcher(fault)
            if fault.kind in WORKLOAD_FAULTS and not replicas:
                replicas = len(self.inventory.hosts)
                self.view.log(watcher, f"deploying a workload with {replicas} replicas")
                book.write(WorkloadEvent(watcher, False, now()))
                actions.deploy_workload(self.sessions, watcher, replicas)
            client, requested = self._client(fault)
            drill = DrillRun(
                inventory=self.inventory,
                sessions=self.sessions,
                folder=folder / fault.kind,
                fault=fault,
                client=client,
                watcher=watcher,
                replicas=replicas if fault.kind in WORKLOAD_FAULTS else 0,
                power=self.options.power,
                journal=book,
                view=self.view,
                requested=requested,
            )
            self._done.append(drill.run())

    def _client(self, fault: Fault) -> tuple[str, ClientTarget]:
        """Where requests are sent from, and what is requested."""
        known = self.inventory
        if fault.kind not in COMPONENT_FAULTS:
            client = select_client(known, {fault.host: fault.kind})
            return client, http_client.apiserver(known.endpoint)
        client = components.select_client(known, fault.kind, self.sessions, fault.host)
        return client, components.find_target(fault.kind, known, self.sessions, client)

    def _watcher(self, fault: Fault) -> str:
        """A control-plane node without a fault."""
        return next(h.name for h in self.inventory.masters if h.name != fault.host)

    def _revert(self, book: DrillJournal, folder: Path) -> list[str]:
        """Revert whatever is left, from the journal, as another process would."""
        story = journal.load_drill(folder)
        if story is None:
            return []
        wrong = revert.revert_all(
            story, self.sessions, self.options.power, book.write, self.view.log
        )
        for failure in wrong:
            self.view.log("", f"NOT REVERTED: {failure}")
        return wrong

    def _show(
        self,
        folder: Path,
        found: Results,
        rows: Sequence[str],
        wrong: Sequence[str],
        reason: str,
    ) -> None:
        console: Console = self.view.console
        drills: list[tuple[Measurement, Sequence[Request]]] = [
            (d, drill_page.load_requests(folder, d)) for d in self._done
        ]
        drill_page.print_summary(console, found, drills)
        if reason:
            console.print(Text(f"stopped: {reason}", "bold red"))
        for failure in wrong:
            console.print(Text(f"not reverted: {failure}", "bold red"))
        for row in rows:
            console.print(Text(f"unhealthy: {row}", "bold red"))
        if wrong:
            console.print("Try again with `invoke drill --revert`, or follow docs/drills.md.")
        console.print(Text(f"report: {folder}/report.html"))


# --- audits of the cluster ---


def audit_cluster(
    known: Inventory,
    folder: Path,
    targets: Mapping[str, Target],
    kinds: Collection[FaultKind] = (),
) -> AuditResult:
    """Audit what the cluster must meet for these drills, and its roles, into folder.

    Over new sessions.

    Raises UserError.
    """
    folder.mkdir()
    standard = loader.load_standard(ROOT / "standard")
    roles = {r.id for r in standard.requirements if r.subject in ("address", "etcd")}
    drilled = {r.id for r in standard.requirements if "drill" in r.aspects}
    with SessionPool(targets) as sessions:
        return audit(
            folder,
            known,
            standard,
            Profile.BASELINE,
            requirements=_guards(standard, kinds) | roles | drilled,
            sessions=sessions,
        )


def _guards(standard: Standard, kinds: Collection[FaultKind]) -> frozenset[str]:
    """Ids of the requirements that the cluster must meet before and after these drills.

    The drill of a component adds that of the subject of its name.
    """
    own = {r.id for r in standard.requirements if r.subject in {*COMPONENT_FAULTS} & {*kinds}}
    return frozenset(r.id for r in standard.guarding(Guard.DRILL)) | own


def is_inconclusive(before: Results) -> bool:
    """Whether some results are UNKNOWN and none is FAIL."""
    verdicts = {r.verdict for r in before.results if r.aspect == Aspect.RUNTIME}
    return Verdict.UNKNOWN in verdicts and Verdict.FAIL not in verdicts


def require_healthy(before: Results, guards: Collection[str]) -> None:
    """Raises UserError if the cluster is unhealthy: no fault may be injected into it."""
    if failed := unhealthy(before.results, guards):
        more = f" (and {len(failed) - 5} more results)" if len(failed) > 5 else ""
        raise UserError(
            "no fault was injected, because the cluster is unhealthy: "
            + "; ".join(failed[:5])
            + f"{more}. See `pytest --hosts=all -m 'chapter1 or chapter2'` and fix it first."
        )


def find_roles(judged: Audit) -> ClusterRoles:
    """The VIP's owner and the host of etcd's leader. Raises UserError if the owner is unclear."""
    owners, leaders = [], []
    for case in judged.cases:
        subject = case.requirement.subject
        if case.aspect is not Aspect.RUNTIME or subject not in ("address", "etcd"):
            continue
        found: Any = judged.judge(case).fact
        if found is None:
            continue
        if subject == "address" and case.host is not None and found.vip_on:
            owners.append(case.host.name)
        if subject == "etcd":
            leaders += [v.host for v in found.statuses if v.id == v.leader]
    masters = {h.name for h in judged.inventory.masters}
    owners = [h for h in owners if h in masters]
    if len(set(owners)) != 1 and judged.inventory.endpoint.kind != "external":
        raise UserError(
            f"expected exactly one VIP owner, found {' and '.join(owners) or 'none'}; no fault was "
            "injected."
        )
    return ClusterRoles(owners[0] if owners else "", leaders[0] if leaders else "")


def wait_until_healthy(
    known: Inventory,
    targets: Mapping[str, Target],
    folder: Path | None = None,
    kinds: Collection[FaultKind] = (),
) -> tuple[list[str], Audit | None]:
    """Audit until the cluster is healthy, for up to HEALTH_TIMEOUT; returns failures and the audit.

    folder: where the last audit is kept, as `after`.
    """
    judged: Audit | None = None

    with tempfile.TemporaryDirectory(prefix="hale-") as place:
        latest = Path(place) / "after"

        def check() -> list[str]:
            nonlocal judged
            shutil.rmtree(latest, ignore_errors=True)
            try:
                audited = audit_cluster(known, latest, targets, kinds)
                judged = audited.audit
            except (UserError, OSError) as error:  # a full disk, say: the drill still ends in order
                return [str(error)]
            return unhealthy(audited.results.results, _guards(judged.standard, kinds))

        failures = wait_until(check, HEALTH_TIMEOUT, POLL_INTERVAL)
        if folder is not None and latest.exists():
            shutil.move(latest, folder / "after")
    return failures, judged


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end a drill as Ctrl-C does: every fault is reverted."""

    def leave(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    with signals.signal_handler(leave, signal.SIGTERM, signal.SIGHUP):
        yield
