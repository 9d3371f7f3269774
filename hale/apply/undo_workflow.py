"""`invoke undo`: from the command line to a run.

A run's folder is reports/<time>-undo/, with the same files as that of a fix (workflow.py)."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hale.apply import change_page, journal, recovery, run_journals, sealing, undo, undo_scope
from hale.apply.console import confirm_plan, print_next_steps, print_plan, print_verdicts
from hale.apply.execution import ApprovedPlan, audit_after, check_machine_ids, execute_plan
from hale.apply.journal import RunHistory
from hale.apply.membership import cluster_membership
from hale.apply.options import ApplyOptions
from hale.apply.prepared import StepFailed
from hale.apply.reporter import console_reporter
from hale.apply.undo_scope import Record
from hale.audit import recorder
from hale.audit.run import AuditResult
from hale.files import signature
from hale.inventory import ini, selection
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.model.requirement import current_profile
from hale.paths import ROOT
from hale.plan import plan, scope
from hale.plan.plan import Plan
from hale.report.audits import audit
from hale.report.change import page
from hale.report.text import escape_lines
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard import loader
from hale.standard.loader import Standard


def undo_run(options: ApplyOptions, name: str) -> bool:
    """Undo a run, on all its hosts or on some.

    name: of its folder. True if the hosts are as they were before it. Raises UserError.
    """
    history = run_journals.find_run(options.reports, name)
    if history.header.kind in ("install", "reset"):
        raise UserError(
            f"{name} is not a fix. What an install has made is removed by `invoke reset`, and a "
            "reset is followed by `invoke install`."
        )
    if history.header.kind in ("join", "leave"):
        raise UserError(
            f"{name} is not a fix. A join is undone by `invoke federation leave`, and a leave by "
            "`invoke federation join`."
        )
    known = ini.load_inventory(Path(history.header.inventory))
    touched = list(dict.fromkeys([*(host for host, _ in history.begun), *history.cordoned]))
    chosen = [c.host.name for c in selection.select_hosts(options.hosts, known, lambda uri: ())]
    hosts = [h for h in touched if h in chosen]
    if not hosts:
        print(f"{name} changed nothing on {options.hosts}.")
        return True
    with SessionPool(targets_of(known, options.login)) as sessions:
        return _undo(options, history, known, hosts, sessions)


def _undo(
    options: ApplyOptions,
    history: RunHistory,
    known: Inventory,
    hosts: list[str],
    sessions: SessionPool,
) -> bool:
    name = history.header.run
    standard = loader.load_standard(ROOT / "standard")
    scope_of = scope.scopes(standard, known)
    undo_scope.check_begun(history, scope_of)
    records = undo_scope.check_undo(history, hosts, scope_of)
    if history.open or history.end is None or history.cordoned:
        history = _recover(options, history, known, hosts, sessions)
        records = undo_scope.check_undo(history, hosts, scope_of)
    made, changed_since = _plan_undo(options, history, hosts, records, sessions)
    before = _audit_before(options, made, known, standard, sessions)
    print_plan(made, cluster_membership(before.audit), options)
    _refuse_changed(changed_since, options)
    if not any(h.steps for h in made.hosts):
        print(f"\n{name} left nothing to undo.")
        return True
    confirm_plan(options, made)
    folder = recorder.create_run_dir(options.reports, "undo")
    before.folder.rename(folder / "before")
    with page.written(folder, change_page.build, console_reporter()):
        check_machine_ids(made, before.results)
        approved = ApprovedPlan(made, "undo", undone=name)
        ok = execute_plan(approved, folder, options, before.audit, sessions)
        after = audit_after(before.audit, sessions, made, folder)
    sealing.seal_run(folder, console_reporter())
    print_verdicts(before.results, after, set())
    print_next_steps(folder, ok=ok, passed=True)
    return ok


def _recover(
    options: ApplyOptions,
    history: RunHistory,
    known: Inventory,
    hosts: Collection[str],
    sessions: SessionPool,
) -> RunHistory:
    """Recover the run; returns its history then. Raises UserError if it cannot be undone yet."""
    name = history.header.run
    if journal.is_running(history.folder):
        raise UserError(f"{name} is still running; it cannot be undone yet.")
    owner = run_journals.new_owner(recorder.create_run_dir(options.reports, "settle").name)
    recovery.recover_before_undo(
        history, known, sessions, owner, stale=options.force_unlock, report=console_reporter()
    )
    (options.reports / owner.run).rmdir()
    history = journal.load_run(history.folder)
    if unsettled := [b.host for b in history.open if b.host in hosts]:
        raise UserError(
            f"{name} has steps whose undo is unknown on {', '.join(unsettled)}; see above. "
            "Nothing was undone."
        )
    return history


def _plan_undo(
    options: ApplyOptions,
    history: RunHistory,
    hosts: list[str],
    records: Iterable[Record],
    sessions: SessionPool,
) -> tuple[Plan, Sequence[str]]:
    """The plan with its diffs, and descriptions of what was changed since the run.

    Raises UserError where a host has not noted what it should have, or cannot be read.
    """
    made_of = plan.load_plan(history.folder / "plan.json")
    machines = {h.host: h.machine_id for h in made_of.hosts}
    made = undo.build_undo_plan(history, hosts, made_of.profile, machines)
    try:
        undo_scope.check_records(
            history, records, lambda host, file: undo.noted(sessions.session(host), file)
        )
        return undo.with_diffs(made, history, sessions, force=options.force)
    except (StepFailed, RemoteError) as error:
        raise UserError(f"the undo plan cannot be read: {error}") from None


def _audit_before(
    options: ApplyOptions,
    made: Plan,
    known: Inventory,
    standard: Standard,
    sessions: SessionPool,
) -> AuditResult:
    """Audit the hosts of the plan, into a new folder. Raises UserError."""
    folder = recorder.create_run_dir(options.reports, "audit")
    hosts = ",".join(h.host for h in made.hosts)
    profile = current_profile(made.profile)
    found = audit(folder, known, standard, profile, hosts, sessions=sessions)
    signature.seal(folder)
    return found


def _refuse_changed(changed_since: Sequence[str], options: ApplyOptions) -> None:
    """Print what was changed since the run. Raises UserError unless it is to be restored too."""
    if not changed_since:
        return
    print("\n" + "\n".join(map(escape_lines, changed_since)))
    if not options.force:
        raise UserError(
            "files that were changed since are not restored. See the differences above; "
            "--force restores them all the same, and backs up the current ones."
        )
