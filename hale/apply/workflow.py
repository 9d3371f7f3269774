"""`invoke fix`: from the command line to a plan, or to a run.

A run's folder is reports/<time>-fix/: before/ and after/ are audits like any other,
plan.json what was approved, journal.jsonl what was done, change.html the page of all that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.apply import change_page, journal, rehearsal, sealing, trial
from hale.apply.console import (
    confirm_plan,
    print_author,
    print_next_steps,
    print_plan,
    print_trial,
    print_unplanned,
    print_verdicts,
)
from hale.apply.execution import ApprovedPlan, audit_after, check_machine_ids, execute_plan
from hale.apply.membership import cluster_membership
from hale.apply.options import ApplyOptions
from hale.apply.reporter import console_reporter
from hale.audit import recorder
from hale.audit.run import AuditResult
from hale.files import signature
from hale.inventory import ini, selection
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.model.requirement import current_profile
from hale.model.results import Results
from hale.paths import ROOT
from hale.plan import approval, fresh, plan, planner, scope
from hale.plan import change_page as plan_page
from hale.plan.approval import PlanOrigin, SavedPlan
from hale.plan.plan import Plan
from hale.report.audits import audit
from hale.report.change import page
from hale.report.change.model import Rehearsal
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard import loader
from hale.standard.loader import Standard


def apply_fix(options: ApplyOptions, only: Sequence[str], approved: Path | None) -> bool:
    """Audit, plan (or use the approved plan), confirm, apply, audit again, show before and after.

    True if every planned change was made and every result that it was for passes. Raises
    UserError.
    """
    made = plan.load_plan(approved, options.plan_sha256) if approved else None
    selected = _select(options, made)
    origin = _origin(options, made, approved, selected.inventory)
    if made is not None:
        scope.check_plan(made, scope.scopes(selected.standard, selected.inventory))
    with SessionPool(targets_of(selected.inventory, options.login)) as sessions:
        return _fix(options, only, made, origin, selected, sessions)


def _origin(
    options: ApplyOptions, made: Plan | None, saved: Path | None, inventory: Inventory
) -> PlanOrigin:
    """Where the plan comes from. Raises UserError where its approval is not as required."""
    if made is None or saved is None:
        steps = (
            "Save the plan (--out FILE), have it signed (invoke approve FILE), apply it (--plan)."
        )
        approval.require_for_run(inventory, steps)
        return approval.MADE_NOW
    exact = SavedPlan(saved, plan.encoded(made), made.author)
    return approval.require(exact, inventory, named=bool(options.plan_sha256))


def _fix(
    options: ApplyOptions,
    only: Sequence[str],
    made: Plan | None,
    origin: PlanOrigin,
    selected: "_Selection",
    sessions: SessionPool,
) -> bool:
    audited = _audit_before(options, only, selected, sessions)
    found = audited.results
    unplanned: Mapping[tuple[str, int], str] = {}
    if made is None:
        made = planner.build_plan(audited, sessions, only)
    else:
        made = check_machine_ids(made, found)
        unplanned = _compare(made, audited, sessions)
        print_author(made, options, origin)
    membership = cluster_membership(audited.audit)
    print_plan(made, membership, options)
    print_unplanned(unplanned)
    if not any(h.steps for h in made.hosts):
        unknown = sum(len(h.unknown) for h in made.hosts)
        print(f"\nNothing to change{f', and {unknown} results are unknown' if unknown else ''}.")
        return not unknown
    if options.trial_seconds:
        trial.check_plan(made, membership)
    confirm_plan(options, made)
    approved = ApprovedPlan(made, "fix", origin=origin, unplanned=unplanned)
    folder = recorder.create_run_dir(options.reports, "fix")
    audited.folder.rename(folder / "before")
    with page.written(folder, change_page.build, console_reporter()):
        ok = execute_plan(approved, folder, options, audited.audit, sessions)
        requirements = planner.with_membership(only, audited.audit.standard)
        after = audit_after(audited.audit, sessions, made, folder, requirements)
    sealing.seal_run(folder, console_reporter())
    wanted = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    passed = print_verdicts(found, after, wanted)
    print_next_steps(folder, ok=ok, passed=passed)
    print_trial(journal.read_run(folder))
    return ok and passed


@dataclass(frozen=True)
class FixPlan:
    """A plan, the audit that it was made from, its batches in words, and its undo's rehearsal."""

    plan: Plan
    before: Results
    order: tuple[str, ...]
    rehearsal: Rehearsal | None = None

    def save(self, path: Path) -> Path:
        """Save the plan to that file, and its page beside it; returns the page's path.

        Raises UserError.
        """
        approval.void(path)
        plan.save_plan(self.plan, path)
        return plan_page.save_page(self.plan, path, self.before, self.order, self.rehearsal)


def plan_fix(options: ApplyOptions, only: Sequence[str]) -> FixPlan:
    """Audit, and plan what would change; print the plan. Nothing is changed. Raises UserError."""
    selected = _select(options, None)
    with SessionPool(targets_of(selected.inventory, options.login)) as sessions:
        audited = _audit_before(options, only, selected, sessions)
        made = planner.build_plan(audited, sessions, only)
    order = print_plan(made, cluster_membership(audited.audit), options)
    return FixPlan(made, audited.results, order, rehearsal.find(options.reports, made))


@dataclass(frozen=True)
class _Selection:
    """What a fix concerns. hosts: a host pattern."""

    inventory: Inventory
    standard: Standard
    profile: str
    hosts: str


def _select(options: ApplyOptions, made: Plan | None) -> _Selection:
    """What the options and the approved plan, if any, select.

    Raises UserError if the plan was made for another inventory or baseline.
    """
    path, hosts, profile = (
        options.inventory or ROOT / "inventory.ini",
        options.hosts,
        options.profile,
    )
    if made is not None:
        path, profile = options.inventory or Path(made.inventory), made.profile
    known = ini.load_inventory(path.absolute())  # as results and plans name it
    standard = loader.load_standard(ROOT / "standard")
    if made is not None:
        planner.require_same_inputs(made, known, standard)
        hosts = _hosts_of_plan(made, hosts, known)
    if "://" in hosts:
        raise UserError("--hosts: only hosts of the inventory can be changed, not a URI.")
    return _Selection(known, standard, current_profile(profile), hosts)


def _audit_before(
    options: ApplyOptions, only: Sequence[str], selected: _Selection, sessions: SessionPool
) -> AuditResult:
    """Audit the hosts that were selected, into a new folder. Raises UserError."""
    known, standard, hosts = selected.inventory, selected.standard, selected.hosts
    # The logins take as long as the audit's imports.
    sessions.start(c.host.name for c in selection.select_hosts(hosts, known, lambda uri: ()))
    folder = recorder.create_run_dir(options.reports, "audit")
    requirements = planner.with_membership(only, standard)
    made = audit(
        folder,
        known,
        standard,
        selected.profile,
        hosts,
        requirements,
        sessions=sessions,
        show=True,
    )
    signature.seal(folder)
    return made


def _hosts_of_plan(made: Plan, hosts: str, known: Inventory) -> str:
    """The plan's hosts that match `--hosts`. Raises UserError if none does."""
    chosen = {c.host.name for c in selection.select_hosts(hosts, known, lambda uri: ())}
    names = [h.host for h in made.hosts if h.host in chosen]
    if not names:
        raise UserError(f"the plan does not include {hosts}.")
    return ",".join(names)


def _compare(
    made: Plan, audited: AuditResult, sessions: SessionPool
) -> Mapping[tuple[str, int], str]:
    """The steps of a plan of a file that a plan made now does not have; see fresh.py.

    Raises UserError for a plan that was altered.
    """
    scope_of = scope.scopes(audited.audit.standard, audited.audit.inventory)
    return fresh.unplanned_steps(made, planner.plan_again(made, audited, sessions), scope_of)
