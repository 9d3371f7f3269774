"""One `invoke drill`, from the audit before to the report."""

import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hale.apply.cluster_lock import HostLocks, locks_held
from hale.apply.journal import now
from hale.apply.run_journals import new_owner
from hale.audit import recorder
from hale.audit.run import AuditResult
from hale.drill import (
    actions,
    change_page,
    components,
    drill_page,
    http_client,
    journal,
    member,
    revert,
)
from hale.drill.actions import ActionFailed
from hale.drill.cluster_audit import (
    audit_cluster,
    drill_guards,
    find_roles,
    is_inconclusive,
    require_healthy,
    wait_until_healthy,
)
from hale.drill.experiment import DrillRun
from hale.drill.fault import WORKLOAD_FAULTS, ClusterRoles, Fault, select_client, select_fault
from hale.drill.http_client import ClientTarget, Request
from hale.drill.journal import DrillEnd, DrillHeader, DrillJournal, DrillState, WorkloadEvent
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.sampler import SamplerStopped
from hale.drill.sealing import seal_drill
from hale.inventory.ini import Inventory
from hale.model.drill import COMPONENT_FAULTS, GUARDED_SUBJECTS, FaultKind, Measurement
from hale.model.errors import UserError
from hale.model.results import Results
from hale.report.change import page
from hale.report.text import confirm
from hale.ssh import SessionPool


@dataclass
class DrillRunner:
    """One `invoke drill`, from the audit before to the report."""

    options: DrillOptions
    inventory: Inventory
    sessions: SessionPool
    kinds: tuple[FaultKind, ...]
    view: LiveView
    member_inventory: Inventory | None = None
    started: float = field(default_factory=time.time)
    _done: list[Measurement] = field(default_factory=list)

    def run(self) -> bool:
        """Run the drills; True if every result passed and the cluster is healthy."""
        options = self.options
        folder = recorder.create_run_dir(options.reports, "drill")
        audited = self._audit_before(folder)
        judged = audited.audit
        require_healthy(audited.results, drill_guards(judged.standard, self.kinds))
        roles = find_roles(judged)
        # Before the confirmation: every fault is possible here.
        planned = [fault for kind in self.kinds for fault in self._select(kind, roles)]
        self._confirm(planned)
        end = self._inject_and_revert(folder, planned)
        completed = not end.reason and not end.not_reverted
        found = drill_page.build_results(
            audited.results,
            judged,
            self._done,
            self.kinds,
            options.command,
            self.started,
            completed=completed,
        )
        drill_page.save(
            folder,
            found,
            self._done,
            unhealthy=end.unhealthy,
            not_reverted=end.not_reverted,
            reason=end.reason,
        )
        change_page.write_page(folder, self.view.log)  # with what was measured
        seal_drill(folder, self.view.log)
        self._show(folder, found, end)
        return completed and not end.unhealthy and found.run.exit_status == 0

    def _audit_before(self, folder: Path) -> AuditResult:
        """Audit the cluster, twice if the first audit is inconclusive."""
        self.view.log("", f"auditing the cluster of {self.inventory.path}")
        audited = audit_cluster(
            self.inventory, folder / "before", self.sessions.targets, self.kinds
        )
        if is_inconclusive(audited.results):
            self.view.log("", "some results are UNKNOWN; auditing once more")
            shutil.rmtree(folder / "before")
            audited = audit_cluster(
                self.inventory, folder / "before", self.sessions.targets, self.kinds
            )
        return audited

    def _inject_and_revert(self, folder: Path, planned: Sequence[Fault]) -> "_DrillEnd":
        """Run the drills under the locks, revert what is injected then, and audit again."""
        options, log = self.options, self.view.log
        owner = new_owner(folder.name)
        inventory = str(self.inventory.path.resolve())
        other = self.member_inventory
        header = DrillHeader(
            journal.SCHEMA,
            owner,
            inventory,
            self.kinds,
            options.allow_production,
            str(other.path.resolve()) if other else "",
        )
        every = [h.name for each in (self.inventory, other) if each for h in each.hosts]
        reason = ""
        with (
            locks_held(
                self.sessions,
                every,
                every,
                owner,
                stale=options.force_unlock,
                report=log,
                nothing="no fault was injected",
            ) as locks,
            page.written(folder, change_page.build, log),
            contextlib.closing(DrillJournal(folder, header)) as book,
        ):
            change_page.write_page(folder, log)
            try:
                self._drills(book, folder, planned, locks)
            except (ActionFailed, SamplerStopped, UserError, OSError) as error:
                reason = str(error)
                log("", f"stopped: {reason}")
            except KeyboardInterrupt:
                reason = "interrupted by the operator"
                log("", "stopping; injected faults are reverted first")
            not_reverted = self._revert(book, folder, locks)
            log("", "auditing the cluster again")
            problems, _ = wait_until_healthy(
                self.inventory, self.sessions.targets, folder, self.kinds
            )
            if not not_reverted:
                state = DrillState.INTERRUPTED if reason else DrillState.FINISHED
                book.write(DrillEnd(state, now()))
        return _DrillEnd(reason, not_reverted, [*problems, *member.problems(self._done)])

    def _select(self, kind: FaultKind, roles: ClusterRoles) -> tuple[Fault, ...]:
        """The faults of this drill: one, but for a member with several hosts."""
        power = self.options.power if self.inventory.environment == "lab" else None
        if self.member_inventory and kind is FaultKind.MEMBER:
            member.find_member(self.inventory, self.member_inventory, self.sessions)
            return member.faults(self.inventory, self.member_inventory)
        if kind in COMPONENT_FAULTS:
            wanted = self.options.host
            return (components.select_fault(kind, self.inventory, self.sessions, wanted, power),)
        return (select_fault(kind, self.inventory, roles, self.options.host, power),)

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

    def _drills(
        self, book: DrillJournal, folder: Path, planned: Sequence[Fault], locks: HostLocks
    ) -> None:
        """Run one drill after the other, each on the roles that the previous one left."""
        replicas = 0
        for number, kind in enumerate(self.kinds):
            fault, *others = [each for each in planned if each.kind is kind]
            if number:
                # The VIP and etcd's leader have moved: find the roles again.
                rows, judged = wait_until_healthy(
                    self.inventory, self.sessions.targets, kinds=self.kinds
                )
                if rows or judged is None:
                    raise ActionFailed(f"the cluster is unhealthy before {fault.kind}: {rows[0]}")
                fault, *others = self._select(kind, find_roles(judged))
            watcher = self._watcher(fault)
            if fault.kind in WORKLOAD_FAULTS and not replicas:
                replicas = len(self.inventory.hosts)
                self.view.log(watcher, f"deploying a workload with {replicas} replicas")
                book.write(WorkloadEvent(watcher, False, now()))
                actions.deploy_workload(self.sessions, watcher, replicas)
            drilled = self._placed_on_member(kind, watcher, book)
            client, requested = self._client(fault)
            drill = DrillRun(
                inventory=self.inventory,
                locks=locks,
                folder=folder / fault.kind,
                fault=fault,
                client=client,
                watcher=watcher,
                replicas=member.REPLICAS if drilled else replicas if kind in WORKLOAD_FAULTS else 0,
                power=self.options.power,
                journal=book,
                view=self.view,
                requested=requested,
                others=tuple(others),
                drilled=drilled,
            )
            if drilled:
                drill.before_revert = partial(self._report_federation, folder)
            self._done.append(drill.run())

    def _placed_on_member(
        self, kind: FaultKind, watcher: str, book: DrillJournal
    ) -> member.DrilledMember | None:
        """The member of this drill, with the drill's workload; None for another drill."""
        if self.member_inventory is None or kind is not FaultKind.MEMBER:
            return None
        drilled = member.find_member(self.inventory, self.member_inventory, self.sessions)
        self.view.log(watcher, f"placing a workload on the member {drilled.name}")
        if not drilled.moves:
            self.view.log(
                "", "no policy or no other member: it stays there when that is disconnected"
            )
        book.write(WorkloadEvent(watcher, False, now(), federated=True))
        member.deploy_workload(self.sessions, watcher, drilled)
        return drilled

    def _report_federation(self, folder: Path) -> None:
        """Audit while the member is disconnected, and report the federation's rows."""
        found = audit_cluster(
            self.inventory, folder / "during", self.sessions.targets, [FaultKind.MEMBER]
        ).results
        for row in found.results:
            if row.subject == GUARDED_SUBJECTS[FaultKind.MEMBER]:
                self.view.log("", f"{row.requirement} is {row.verdict}: {row.actual}")

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

    def _revert(self, book: DrillJournal, folder: Path, locks: HostLocks) -> list[str]:
        """Revert whatever is left, from the journal, as another process would."""
        history = journal.load_drill(folder)
        if history is None:
            return []
        wrong = revert.revert_all(history, locks, self.options.power, book.write, self.view.log)
        for failure in wrong:
            self.view.log("", f"NOT REVERTED: {failure}")
        return wrong

    def _show(
        self,
        folder: Path,
        found: Results,
        end: "_DrillEnd",
    ) -> None:
        console: Console = self.view.console
        drills: list[tuple[Measurement, Sequence[Request]]] = [
            (d, drill_page.load_requests(folder, d)) for d in self._done
        ]
        drill_page.print_summary(console, found, drills)
        if end.reason:
            console.print(Text(f"stopped: {end.reason}", "bold red"))
        for failure in end.not_reverted:
            console.print(Text(f"not reverted: {failure}", "bold red"))
        for problem in end.unhealthy:
            console.print(Text(f"unhealthy: {problem}", "bold red"))
        if end.not_reverted:
            console.print("Try again with `invoke drill --revert`, or follow docs/drills.md.")
        console.print(Text(f"report: {folder}/report.html"))


@dataclass(frozen=True)
class _DrillEnd:
    """How a drill ended.

    reason: why it stopped early, or empty. not_reverted, unhealthy: what is still wrong.
    """

    reason: str
    not_reverted: Sequence[str]
    unhealthy: Sequence[str]
