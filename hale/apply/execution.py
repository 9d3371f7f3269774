"""What `invoke fix` and `invoke undo` do with an approved plan: check, execute, audit again."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hale.apply import change_page, cluster_lock, recovery, run_journals, trial, trial_end
from hale.apply.gates import health_problems, settling_after_drain
from hale.apply.journal import Journal
from hale.apply.membership import cluster_membership
from hale.apply.options import ApplyOptions
from hale.apply.reporter import console_reporter
from hale.apply.runner import PlanRunner
from hale.apply.worker_gate import DrainOptions
from hale.audit.audit import Audit
from hale.model.errors import UserError
from hale.model.results import Results
from hale.plan import approval, plan
from hale.plan.approval import PlanOrigin
from hale.plan.plan import Plan
from hale.report.audits import audit
from hale.ssh import SessionPool


@dataclass(frozen=True)
class ApprovedPlan:
    """A plan to execute, and how it was approved.

    kind: of the run, fix or undo. undone: the run that an undo undoes. unplanned: steps, by host
    and number, that are refused unless they are done already, and why.
    """

    plan: Plan
    kind: str
    undone: str = ""
    origin: PlanOrigin = approval.MADE_NOW
    unplanned: Mapping[tuple[str, int], str] = field(default_factory=dict)


def check_machine_ids(made: Plan, found: Results) -> Plan:
    """The plan for the hosts that were audited now.

    Raises UserError if a host to change is unreachable, or is not the machine that was planned for.
    """
    machines = {h.name: h for h in found.hosts}
    hosts = [h for h in made.hosts if h.host in machines]
    for host in hosts:
        now_there = machines[host.host]
        if host.steps and now_there.down:
            raise UserError(f"{host.host} cannot be changed: {now_there.down}")
        if host.steps and host.machine_id != now_there.machine_id:
            raise UserError(
                f"{host.host} is not the machine that the plan was made for (machine-id "
                f"{now_there.machine_id or 'unknown'} instead of {host.machine_id}). Plan again."
            )
    return msgspec.structs.replace(made, hosts=tuple(hosts))


def execute_plan(
    approved: ApprovedPlan,
    folder: Path,
    options: ApplyOptions,
    before: Audit,
    sessions: SessionPool,
) -> bool:
    """Apply the plan under the locks of all hosts; True if every host got all its changes.

    folder: of the run. before: the audit of the plan's hosts. Raises UserError.
    """
    made, undone = approved.plan, approved.undone
    # Of some of the plan's hosts it is another plan; the journal has the approved one's SHA-256.
    plan.save_plan(plan.with_checksum(made), folder / "plan.json")
    approved.origin.keep(folder)
    known = before.inventory
    owner = run_journals.new_owner(folder.name)
    header = run_journals.journal_header(
        owner,
        approved.kind,
        known.path.resolve(),  # `undo` loads it from whatever folder it is typed in
        approved_by=options.approved_by or approved.origin.signer,
        ticket=options.ticket,
        plan_sha256=made.sha256,
        of=undone,
    )
    report = console_reporter()
    needed = [h.host for h in made.hosts if h.steps]
    names = [h.name for h in known.hosts]
    try:
        with cluster_lock.locks_held(
            sessions, names, needed, owner, stale=options.force_unlock, report=report, trial=undone
        ):
            recovery.recover_runs(options.reports, known, sessions, report)
            if options.trial_seconds:
                trial.require_support(sessions, needed)
            if undone:
                trial_end.cancel(options.reports / undone, sessions, needed, report)
            with closing(Journal(folder, header)) as journal:
                journal.write(run_journals.run_approval(approved.origin, options.window))
                change_page.write_page(folder, report)
                return PlanRunner(
                    plan=made,
                    sessions=sessions,
                    folder=folder,
                    journal=journal,
                    owner=owner,
                    membership=cluster_membership(before),
                    group={h.name: _group(h.groups) for h in known.hosts},
                    health_problems=lambda hosts: health_problems(
                        known, before.standard, sessions, hosts
                    ),
                    report=report,
                    max_fail=options.max_fail,
                    batch=options.batch,
                    drain=DrainOptions(options.drain, options.drain_timeout),
                    unplanned=approved.unplanned,
                    trial_seconds=options.trial_seconds,
                    settling=settling_after_drain(before.standard),
                ).run()
    finally:
        sessions.close()  # the audit after it logs in again, to see what new sessions get


def _group(groups: Iterable[str]) -> str:
    return "masters" if "masters" in groups else "workers"


def audit_after(
    before: Audit,
    sessions: SessionPool,
    made: Plan,
    folder: Path,
    requirements: Collection[str] = (),
) -> Results:
    """Audit the hosts of the plan again."""
    sessions.start(h.host for h in made.hosts)  # while the audit is prepared
    hosts = ",".join(h.host for h in made.hosts)
    (folder / "after").mkdir()
    found = audit(
        folder / "after",
        before.inventory,
        before.standard,
        before.profile,
        hosts,
        requirements,
        sessions=sessions,
    )
    return found.results
