"""`invoke fix --apply` and `invoke undo`: from the command line to a run.

A run's folder is reports/<time>-fix/ (or -undo): before/ and after/ are audits like any other,
plan.json what was approved, journal.jsonl what was done, change.html the page of all that.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale.apply import (
    change_page,
    journal,
    runner,
    sealing,
    trial,
    trial_end,
    undo,
    undo_scope,
)
from hale.apply.gates import TENTH, BatchSize, NodeStatus, health_problems, render_batches
from hale.apply.journal import Journal, RunHistory, RunState
from hale.apply.lock import Owner
from hale.apply.prepared import StepFailed
from hale.apply.runner import PlanRunner, Reporter
from hale.apply.worker_gate import DRAIN_TIMEOUT, DrainOptions, check_drain_timeout
from hale.audit import recorder
from hale.audit.audit import Audit
from hale.audit.run import AuditResult
from hale.files import signature
from hale.inventory import ini, selection
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.model.requirement import Aspect, Profile, current_profile
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import approval, fresh, plan, planner, scope
from hale.plan import change_page as plan_page
from hale.plan.approval import PlanOrigin, SavedPlan
from hale.plan.plan import Plan
from hale.report.audits import audit
from hale.report.change import page
from hale.report.change.model import SignatureCheck
from hale.report.matrix import chapter_order
from hale.report.text import confirm, escape_controls, escape_lines, fold_hostnames
from hale.report.verdicts import sign_of
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.standard import loader
from hale.standard.loader import Standard


@dataclass(frozen=True)
class ApplyOptions:
    """The options of the command line.

    max_fail: the number of failed hosts of a group at which the rest of it is stopped. batch: how
    many workers of a living cluster are changed at the same time, after the first one. drain,
    drain_timeout: whether they are drained before they are interrupted; seconds. plan_sha256: of
    the plan that was approved, "" if it was not named. window: when the change may be made, in
    words; it is recorded, not enforced. trial_seconds: after which the hosts undo the run by
    themselves unless it is confirmed; 0 for never.
    """

    reports: Path
    inventory: Path | None = None
    hosts: str = "all"
    profile: str = "baseline"
    yes: bool = False
    force_unlock: bool = False
    max_fail: int = 1
    approved_by: str = ""
    ticket: str = ""
    force: bool = False
    login: LoginOptions = field(default_factory=LoginOptions)
    batch: BatchSize = TENTH
    drain: bool = True
    drain_timeout: int = DRAIN_TIMEOUT
    plan_sha256: str = ""
    window: str = ""
    trial_seconds: int = 0

    def __post_init__(self) -> None:
        check_drain_timeout(self.drain_timeout)
        if self.max_fail < 1:
            raise UserError("--max-fail is a number of hosts, 1 or more.")
        if current_profile(self.profile) not in tuple(Profile):
            known = ", ".join(Profile)
            raise UserError(f"--profile: no profile {self.profile!r}; known: {known}.")


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
        made = _check_machine_ids(made, found)
        unplanned = _compare(made, audited, sessions)
        _print_author(made, options, origin)
    membership = cluster_membership(audited.audit)
    _print_plan(made, membership, options)
    _print_unplanned(unplanned)
    if not any(h.steps for h in made.hosts):
        unknown = sum(len(h.unknown) for h in made.hosts)
        print(f"\nNothing to change{f', and {unknown} results are unknown' if unknown else ''}.")
        return not unknown
    if options.trial_seconds:
        trial.check_plan(made, membership)
    _confirm(options, made)
    folder = recorder.create_run_dir(options.reports, "fix")
    audited.folder.rename(folder / "before")
    with page.written(folder, change_page.build, console_reporter()):
        ok = _execute(made, folder, options, audited.audit, sessions, "fix", "", origin, unplanned)
        requirements = planner.with_membership(only, audited.audit.standard)
        after = _audit_after(audited.audit, sessions, made, folder, requirements)
    sealing.seal_run(folder, console_reporter())
    wanted = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    passed = _before_after(found, after, wanted)
    _print_next_steps(folder, ok=ok, passed=passed)
    _print_trial(journal.read_run(folder))
    return ok and passed


@dataclass(frozen=True)
class FixPlan:
    """A plan, the audit that it was made from, and its batches in words."""

    plan: Plan
    before: Results
    order: tuple[str, ...]

    def save(self, path: Path) -> Path:
        """Save the plan to that file, and its page beside it; returns the page's path.

        Raises UserError.
        """
        approval.void(path)
        plan.save_plan(self.plan, path)
        return plan_page.save_page(self.plan, path, self.before, self.order)


def plan_fix(options: ApplyOptions, only: Sequence[str]) -> FixPlan:
    """Audit, and plan what would change; print the plan. Nothing is changed. Raises UserError."""
    selected = _select(options, None)
    with SessionPool(targets_of(selected.inventory, options.login)) as sessions:
        audited = _audit_before(options, only, selected, sessions)
        made = planner.build_plan(audited, sessions, only)
    order = _print_plan(made, cluster_membership(audited.audit), options)
    return FixPlan(made, audited.results, order)


def undo_run(options: ApplyOptions, name: str) -> bool:
    """Undo a run, on all its hosts or on some. True if its hosts are as they were
    before it. Raises UserError."""
    story = find_run(options.reports, name)
    if story.header.kind in ("install", "reset"):
        raise UserError(
            f"{name} is not a fix. What an install has made is removed by `invoke reset`, and a "
            "reset is followed by `invoke install`."
        )
    known = ini.load_inventory(Path(story.header.inventory))
    touched = list(dict.fromkeys([*(host for host, _ in story.begun), *story.cordoned]))
    chosen = [c.host.name for c in selection.select_hosts(options.hosts, known, lambda uri: ())]
    hosts = [h for h in touched if h in chosen]
    if not hosts:
        print(f"{name} changed nothing on {options.hosts}.")
        return True
    with SessionPool(targets_of(known, options.login)) as sessions:
        return _undo(options, story, known, hosts, sessions)


def _undo(
    options: ApplyOptions,
    story: RunHistory,
    known: Inventory,
    hosts: list[str],
    sessions: SessionPool,
) -> bool:
    name = story.header.run
    standard = loader.load_standard(ROOT / "standard")
    scope_of = scope.scopes(standard, known)
    undo_scope.check_begun(story, scope_of)
    records = undo_scope.check_undo(story, hosts, scope_of)
    if story.open or story.end is None or story.cordoned:
        if journal.is_running(story.folder):
            raise UserError(f"{name} is still running; it cannot be undone yet.")
        owner = runner.new_owner(recorder.create_run_dir(options.reports, "settle").name)
        _recover(options, known, sessions, owner, story)
        (options.reports / owner.run).rmdir()
        story = journal.load_run(story.folder)
        if unsettled := [b.host for b in story.open if b.host in hosts]:
            raise UserError(
                f"{name} has steps whose undo is unknown on {', '.join(unsettled)}; see above. "
                "Nothing was undone."
            )
        records = undo_scope.check_undo(story, hosts, scope_of)
    made_of = plan.load_plan(story.folder / "plan.json")
    machines = {h.host: h.machine_id for h in made_of.hosts}
    made = undo.build_undo_plan(story, hosts, made_of.profile, machines)
    try:
        undo_scope.check_records(
            story, records, lambda host, file: undo.noted(sessions.session(host), file)
        )
        made, moved = undo.with_diffs(made, story, sessions, force=options.force)
    except (StepFailed, RemoteError) as error:
        raise UserError(f"the undo plan cannot be read: {error}") from None
    profile = current_profile(made.profile)
    kept = recorder.create_run_dir(options.reports, "audit")
    before = audit(kept, known, standard, profile, ",".join(hosts), sessions=sessions)
    signature.seal(kept)
    _print_plan(made, cluster_membership(before.audit), options)
    if moved:
        print("\n" + "\n".join(map(escape_lines, moved)))
        if not options.force:
            raise UserError(
                "files that were changed since are not restored. See the differences above; "
                "--force restores them all the same, and backs up the current ones."
            )
    if not any(h.steps for h in made.hosts):
        print(f"\n{name} left nothing to undo.")
        return True
    _confirm(options, made)
    folder = recorder.create_run_dir(options.reports, "undo")
    before.folder.rename(folder / "before")
    with page.written(folder, change_page.build, console_reporter()):
        _check_machine_ids(made, before.results)
        ok = _execute(made, folder, options, before.audit, sessions, "undo", name)
        after = _audit_after(before.audit, sessions, made, folder)
    sealing.seal_run(folder, console_reporter())
    _before_after(before.results, after, set())
    _print_next_steps(folder, ok=ok, passed=True)
    return ok


# --- parts ---


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


def _check_machine_ids(made: Plan, found: Results) -> Plan:
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


def _compare(
    made: Plan, audited: AuditResult, sessions: SessionPool
) -> Mapping[tuple[str, int], str]:
    """The steps of a plan of a file that a plan made now does not have; see fresh.py.

    Raises UserError for a plan that was altered.
    """
    scope_of = scope.scopes(audited.audit.standard, audited.audit.inventory)
    return fresh.unplanned_steps(made, planner.plan_again(made, audited, sessions), scope_of)


def _print_unplanned(unplanned: Mapping[tuple[str, int], str]) -> None:
    for (host, number), why in unplanned.items():
        print(f"step {number} of {host} is not applied, unless it is done already: {why}.")


def _print_author(made: Plan, options: ApplyOptions, origin: PlanOrigin) -> None:
    """Print who made the plan of a file, who has approved it, and which digest it has."""
    checked = ["its SHA-256 is that of --sha256"] if options.plan_sha256 else []
    match origin.check:
        case SignatureCheck.VERIFIED:
            checked.append(f"signed by {escape_controls(origin.signer)} ({origin.key})")
        case SignatureCheck.NOT_VERIFIED:
            checked.append(f"SIGNATURE NOT VERIFIED ({origin.key}): there is no allowed_signers")
        case _ if not checked:
            checked.append(
                "it is not signed: compare its SHA-256 with the approved one, or pass --sha256"
            )
    author, created, inventory = map(escape_controls, (made.author, made.created, made.inventory))
    print(f"plan of {author}, {created}, for {inventory}; {'; '.join(checked)}\n  {made.sha256}")


def _print_plan(
    made: Plan, membership: Mapping[str, NodeStatus], options: ApplyOptions
) -> tuple[str, ...]:
    """Print the plan and its batches; returns the batches."""
    batches = tuple(render_batches(made.hosts, membership, options.batch, drain=options.drain))
    print("\n".join([*planner.render(made), *batches]), flush=True)
    return batches


def _confirm(options: ApplyOptions, made: Plan) -> None:
    """Ask once. Raises UserError if the operator declines or stdin is not a terminal."""
    if options.yes:
        return
    steps, hosts = sum(len(h.steps) for h in made.hosts), sum(bool(h.steps) for h in made.hosts)
    if not sys.stdin.isatty():
        raise UserError("stdin is not a terminal: pass --yes to apply without confirmation.")
    if not confirm(f"\nMake {steps} changes on {hosts} hosts? [y/N] "):
        raise UserError("nothing was changed.")


def _execute(
    made: Plan,
    folder: Path,
    options: ApplyOptions,
    before: Audit,
    sessions: SessionPool,
    kind: str,
    of: str,
    origin: PlanOrigin = approval.MADE_NOW,
    unplanned: Mapping[tuple[str, int], str] = {},
) -> bool:
    # Of some of the plan's hosts it is another plan; the journal has the approved one's SHA-256.
    plan.save_plan(plan.with_checksum(made), folder / "plan.json")
    origin.keep(folder)
    known = before.inventory
    owner = runner.new_owner(folder.name)
    inventory = known.path.resolve()  # `undo` loads it from whatever folder it is typed in
    header = runner.journal_header(
        owner,
        kind,
        inventory,
        approved_by=options.approved_by or origin.signer,
        ticket=options.ticket,
        plan_sha256=made.sha256,
        of=of,
    )
    report = console_reporter()
    needed = [h.host for h in made.hosts if h.steps]
    names = [h.name for h in known.hosts]
    try:
        with runner.locks_held(
            sessions, names, needed, owner, stale=options.force_unlock, report=report, trial=of
        ):
            recover_runs(options.reports, known, sessions, report)
            if options.trial_seconds:
                trial.require_support(sessions, needed)
            if of:
                trial_end.cancel(options.reports / of, sessions, needed, report)
            with closing(Journal(folder, header)) as book:
                book.write(runner.run_approval(origin, options.window))
                change_page.write_page(folder, report)
                return PlanRunner(
                    made,
                    sessions,
                    folder,
                    book,
                    owner,
                    cluster_membership(before),
                    {h.name: _group(h.groups) for h in known.hosts},
                    lambda hosts: health_problems(known, before.standard, sessions, hosts),
                    report,
                    options.max_fail,
                    options.batch,
                    DrainOptions(options.drain, options.drain_timeout),
                    unplanned,
                    options.trial_seconds,
                ).run()
    finally:
        sessions.close()  # the audit after it logs in again, to see what new sessions get


def _recover(
    options: ApplyOptions,
    known: Inventory,
    sessions: SessionPool,
    owner: Owner,
    story: RunHistory,
) -> None:
    """Recover a run under the locks, for an undo that is the first run after a crash.

    What its unfinished steps may do is checked (undo_scope.check_begun).
    """
    report = console_reporter()
    needed = list(dict.fromkeys(b.host for b in story.open))
    run = story.header.run
    names = list(sessions.targets)
    with (
        runner.locks_held(
            sessions, names, needed, owner, stale=options.force_unlock, report=report, trial=run
        ),
        sealing.recovered(story.folder, report),
    ):
        runner.recover(story, sessions, [h.name for h in known.masters], report)
        change_page.write_page(story.folder, report)


def recover_runs(reports: Path, known: Inventory, sessions: SessionPool, report: Reporter) -> None:
    """Recover the runs of this inventory that crashed or have a node cordoned still, and journal
    how trials ended.

    The hosts' locks must be held. Raises UserError as runner.recover.
    """
    inventory, masters = known.path.resolve(), [h.name for h in known.masters]
    scope_of = scope.scopes(loader.load_standard(ROOT / "standard"), known)
    for story in runner.load_runs(
        reports, lambda error: report("", f"no run is recovered by it: {error}")
    ):
        if Path(story.header.inventory) != inventory or story.state is RunState.RUNNING:
            continue
        trial_end.collect(story, sessions, report)
        crashed = story.state is RunState.INTERRUPTED and not story.end
        if crashed or story.cordoned:
            try:
                undo_scope.check_begun(story, scope_of)
            except UserError as error:
                report("", str(error))
                continue
            with sealing.recovered(story.folder, report):
                runner.recover(story, sessions, masters, report)
                if change_page.has_page(story):
                    change_page.write_page(story.folder, report)


def _group(groups: Iterable[str]) -> str:
    return "masters" if "masters" in groups else "workers"


def cluster_membership(audited: Audit) -> Mapping[str, NodeStatus]:
    """Each host's place in its cluster, by the audit's facts.

    A host whose fact is unknown counts as joined.
    """
    joined: dict[str, str] = {}
    holds: dict[str, bool] = {}
    for case in audited.cases:
        subject = case.requirement.subject
        if case.aspect is not Aspect.RUNTIME or subject not in planner.MEMBERSHIP_SUBJECTS:
            continue
        judged = audited.judge(case)
        found: Any = judged.fact
        if found is None:
            if judged.result.verdict is not Verdict.NOT_APPLICABLE:  # a waiver makes it no known
                joined.setdefault(case.host_name, judged.result.actual)
            continue
        if subject == planner.ADDRESS:
            holds[case.host_name] = bool(found.vip_on)
        else:
            joined[case.host_name] = found.joined
    return {
        host.name: NodeStatus(
            host.is_master, joined.get(host.name, ""), holds.get(host.name, False)
        )
        for host in audited.inventory.hosts
    }


def _audit_after(
    before: Audit,
    sessions: SessionPool,
    made: Plan,
    folder: Path,
    requirements: Collection[str] = (),
) -> Results:
    """Audit the hosts of the plan again."""
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


def _before_after(before: Results, after: Results, wanted: set[tuple[str, str]]) -> bool:
    """Print the verdicts that changed. True if all results that the plan was for pass.

    wanted: (host, requirement).
    """
    was = {(r.host, r.requirement, r.aspect): r for r in before.results}
    order = {h.name: n for n, h in enumerate(before.hosts)}
    turned: dict[tuple[str, str, Verdict, Verdict, str], list[str]] = {}
    failed = False
    for row in sorted(after.results, key=lambda r: (chapter_order(r), order.get(r.host, -1))):
        old = was.get((row.host, row.requirement, row.aspect))
        bad = row.verdict.failed
        left = bad and (row.host, row.requirement) in wanted
        failed = failed or left
        if old is not None and (old.verdict is not row.verdict or left):
            actual = escape_controls(row.actual) if bad else ""
            key = (row.requirement, row.aspect, old.verdict, row.verdict, actual)
            turned.setdefault(key, []).append(row.host)
    shown = Table("requirement", "aspect", "before", "after", "hosts", box=None)
    for (requirement, aspect, *verdicts, actual), hosts in turned.items():
        signs = [_signed(v) for v in verdicts]
        names = Text(fold_hostnames(hosts))
        shown.add_row(
            requirement, aspect, *signs, names + Text(f"\n{actual}", "dim") if actual else names
        )
    console = Console(highlight=False)
    console.print()
    console.print(shown)
    counts = [sum(r.verdict.failed for r in each.results) for each in (before, after)]
    console.print(f"\nfailed or unknown results: {counts[0]} before, {counts[1]} after")
    return not failed


def _signed(verdict: Verdict) -> Text:
    sign, style = sign_of(verdict)
    return Text(f"{sign} {verdict.value}", style)


def _print_next_steps(folder: Path, *, ok: bool, passed: bool) -> None:
    print(f"report: {folder / page.NAME}")
    if not ok:
        print("Not all changes were made; see above. Completed changes stay, and can be undone:")
    elif not passed:
        print("All changes were made, but some of their results are still not PASS; see above.")
    print(f"undo:   invoke undo {folder.name}")


def _print_trial(story: RunHistory | None) -> None:
    """Print until when the hosts of a run on trial wait."""
    if story is not None and story.open_trials:
        until = min(one.until for one in story.trials.values())
        print(
            f"on trial until {until}: from then on {fold_hostnames(story.open_trials)} "
            f"undo it by themselves, unless it is confirmed:\n"
            f"confirm: invoke confirm {story.header.run}"
        )


def console_reporter() -> Reporter:
    """A reporter that prints each event as a line, after the name of its host."""
    console = Console(highlight=False, soft_wrap=True)
    return lambda host, text: console.print(
        Text(escape_lines(f"  {host + ': ' if host else ''}{text}"))
    )


def find_run(reports: Path, name: str) -> RunHistory:
    folder = reports / Path(name).name
    if not (folder / journal.NAME).is_file():
        known = ", ".join(s.header.run for s in runner.load_runs(reports, print)) or "none"
        raise UserError(f"no run {name!r} in {reports}; there are: {known}.")
    return journal.load_run(folder)
