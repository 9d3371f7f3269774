"""`invoke install`: preflight, phases, final audit."""

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hale.apply import gates, recovery, sealing
from hale.apply import workflow as apply
from hale.apply.cluster_nodes import ClusterNodes
from hale.apply.journal import Journal, RunFinished, RunState, now
from hale.apply.options import ApplyOptions
from hale.apply.reporter import console_reporter
from hale.apply.worker_gate import DrainOptions, WorkerGate
from hale.audit import recorder
from hale.install import change_page, preflight, saved_plan
from hale.install.cluster_context import ClusterContext, load_context
from hale.install.engine import Engine, PhaseFailed, interruptible
from hale.install.joined import (
    InstallAborted,
    JoinedGate,
    confirm_changes,
    exempt_phases,
    joined_hosts,
    only_adds_workers,
    unfinished,
)
from hale.install.locked_run import check_reachable, locked_run
from hale.install.observe import HostsUnreachable
from hale.install.options import InstallOptions
from hale.install.planning import Exempt, phase_statuses
from hale.install.progress import (
    InstallProgress,
    escaped_lines,
    headline,
    indented,
)
from hale.install.refusals import unsupported
from hale.install.revoke import revoke
from hale.install.saved_plan import InstallPlan
from hale.install.scheduler import phase_names, required_phases
from hale.install.status_view import print_differences
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.model.requirement import Profile
from hale.paths import ROOT
from hale.plan import approval
from hale.plan.approval import PlanOrigin, SavedPlan
from hale.polling import wait_until
from hale.report.audits import audit
from hale.report.text import confirm, escape_controls
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard import loader
from hale.standard.loader import Standard

GATE, AUDIT = "gate", "audit"
# Seconds: how long the final audit waits for a cluster that is not healthy yet, and between looks.
SETTLE_TIMEOUT, SETTLE_INTERVAL = 60.0, 2.0


def install_cluster(options: InstallOptions) -> bool:
    """Install the cluster, or resume. True if all phases are done and the audit has passed.

    Raises UserError for wrong options, a wrong inventory, unreachable or locked hosts.
    """
    made = None
    if options.apply is not None:
        made = saved_plan.load(options.apply, options.plan_sha256)
        options = dataclasses.replace(
            options,
            inventory=options.inventory or Path(made.inventory),
            until=made.until,
            phase=made.phase,
            ignore_preflight_errors=made.ignored,
        )
    inventory = ini.load_inventory(options.path)
    standard = loader.load_standard(ROOT / "standard")
    context = load_context(inventory, standard)
    if made is not None:
        saved_plan.require_same_inputs(made, context, standard)
    options = dataclasses.replace(options, origin=_origin(options, made, inventory))
    chosen = selected_phases(options)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{inventory.environment} inventory {inventory.path}"))
    if made is not None:
        author, created = escape_controls(made.author), escape_controls(made.created)
        console.print(Text(f"plan of {author}, {created}, SHA-256 {made.sha256}"))
        if options.origin.signer:
            signer = escape_controls(options.origin.signer)
            console.print(Text(f"signed by {signer} ({options.origin.key})"))
    with SessionPool(targets_of(inventory, options.login)) as sessions:
        check_reachable(sessions)
        return _install(options, made, standard, context, chosen, sessions, console)


def _origin(options: InstallOptions, made: InstallPlan | None, inventory: Inventory) -> PlanOrigin:
    """Where the plan comes from. Raises UserError where its approval is not as required."""
    if made is None or options.apply is None:
        steps = (
            "Save the plan (--plan --out FILE), have it signed (invoke approve FILE), and carry it "
            "out (--apply FILE)."
        )
        approval.require_for_run(inventory, steps)
        return approval.MADE_NOW
    exact = SavedPlan(options.apply, saved_plan.encoded(made), made.author)
    return approval.require(exact, inventory, named=bool(options.plan_sha256))


def _install(
    options: InstallOptions,
    made: InstallPlan | None,
    standard: Standard,
    context: ClusterContext,
    chosen: Sequence[str],
    sessions: SessionPool,
    console: Console,
) -> bool:
    inventory = context.inventory
    folder = recorder.create_run_dir(options.reports, "install")
    joined = joined_hosts(context, sessions)
    exempt = joined if only_adds_workers(context, joined, options.phase) else frozenset()
    if GATE in chosen and not _gate(options, context, standard, sessions, folder, console, exempt):
        sealing.seal_run(folder, console_reporter())
        return False
    phases = [n for n in chosen if n not in (GATE, AUDIT)]
    ok = _phases(options, made, context, standard, sessions, folder, console, phases, joined)
    if ok and AUDIT in chosen:
        ignored = options.ignore_preflight_errors
        print(f"▶ {AUDIT}: Audit of everything", flush=True)
        if phases:
            _settle(inventory, standard, sessions, ignored)
        ok = _audit(inventory, standard, sessions, folder, ignored)
        change_page.write_page(folder, console_reporter())
    sealing.seal_run(folder, console_reporter())
    console.print(Text(f"report: {folder}"))
    return ok


def selected_phases(options: InstallOptions) -> list[str]:
    """The names of the selected phases, `gate` and `audit` included. Raises UserError."""
    every = [GATE, *phase_names(), AUDIT]
    for given, option in ((options.until, "--until"), (options.phase, "--phase")):
        if given and given not in every:
            raise UserError(f"{option}: no phase {given!r}; there are: {', '.join(every)}.")
    if options.phase and options.until:
        raise UserError("--phase runs one phase, --until all up to one: give only one of them.")
    if options.phase:
        return [options.phase]
    return every[: every.index(options.until) + 1] if options.until else every


def _gate(
    options: InstallOptions,
    context: ClusterContext,
    standard: Standard,
    sessions: SessionPool,
    folder: Path,
    console: Console,
    exempt: Collection[str],
) -> bool:
    begun = time.monotonic()
    console.print(headline("▶", GATE, "Host requirements", ""))
    if reasons := unsupported(context, sessions, exempt):
        for text in reasons:
            console.print(Text(f"  ✗ {escape_controls(text)}", "red"))
        console.print("Nothing was changed: the install could not be completed on these hosts.")
        return False
    inventory = context.inventory
    ignored = options.ignore_preflight_errors
    found = preflight.run_preflight(inventory, standard, sessions, folder, ignored, exempt)
    if found.blocking:
        for text in preflight.render(found.blocking):
            console.print(Text(f"  ✗ {escape_controls(text)}", "red"))
        ids = ",".join(sorted({r.requirement for r in found.blocking}))
        how = (
            f": --ignore-preflight-errors {ids}"
            if options.apply is None
            else " when you plan the install again."
        )
        console.print(
            "Nothing was changed: there is no remedy for these. Fix them manually, or ignore them"
            f"{how}"
        )
        return False
    if found.fixable:
        for text in preflight.render(found.fixable):
            console.print(Text(f"  ✗ {escape_controls(text)}"))
        for text in preflight.render(found.postponed):
            console.print(Text(f"  … judged again after these: {escape_controls(text)}"))
        if options.apply is not None:
            console.print(
                "Nothing was changed: a saved plan of an install remediates no host requirement. "
                "Plan and apply these with `invoke fix`, or ignore them when you plan the install."
            )
            return False
        if not (options.fix or confirm("\n`invoke fix` remediates these. Plan that now? [y/N] ")):
            console.print("Nothing was changed. `invoke install --fix` remediates these first.")
            return False
        wanted = sorted({r.requirement for r in found.fixable})
        typed = ApplyOptions(
            options.reports,
            inventory.path,
            hosts=",".join(h.name for h in inventory.hosts if h.name not in exempt),
            profile=preflight.PROFILE,
            drain=options.drain,
            drain_timeout=options.drain_timeout,
            yes=options.yes,
            force_unlock=options.force_unlock,
            approved_by=options.approved_by,
            ticket=options.ticket,
            window=options.window,
            login=options.login,
        )
        sessions.close()  # a fix has its own; new ones then get the limits that it sets
        if not apply.apply_fix(typed, wanted, None):
            console.print("Not everything was remediated; see above, then run the command again.")
            return False
        found = preflight.run_preflight(inventory, standard, sessions, folder, ignored, exempt)
        if not found.open:
            for text in preflight.render([*found.fixable, *found.blocking]):
                console.print(Text(f"  ✗ {escape_controls(text)}", "red"))
            console.print("These still fail: see above for the reason, then run the command again.")
            return False
    for text in preflight.render(found.ignored):
        console.print(Text(f"  ! ignored: {escape_controls(text)}", "yellow"))
    found.folder.rename(folder / GATE)
    seconds = time.monotonic() - begun
    console.print(headline("✓", GATE, "Host requirements", f"{seconds:.1f} s"), style="green")
    return True


def _phases(
    options: InstallOptions,
    made: InstallPlan | None,
    context: ClusterContext,
    standard: Standard,
    sessions: SessionPool,
    folder: Path,
    console: Console,
    chosen: Sequence[str],
    joined: frozenset[str],
) -> bool:
    if not chosen:
        return True
    remediated, exempt = frozenset[str](), Exempt()
    if joined or made is not None:
        try:
            exempt = exempt_phases(context, sessions, chosen, joined, options.phase)
            if made is not None:
                _require_same_steps(options, made, context, sessions, chosen, exempt)
                saved_plan.save(made, folder / "plan.json")
                options.origin.keep(folder)
        except HostsUnreachable as error:
            raise UserError(str(error)) from None
    if joined:
        try:
            remediated = confirm_changes(
                options, context, sessions, console, chosen, joined, exempt
            )
        except HostsUnreachable as error:
            raise UserError(str(error)) from None
    with (
        locked_run(
            options, context.inventory, sessions, folder, "install", made.sha256 if made else ""
        ) as journal,
        SessionPool(sessions.targets) as of_gate,
        InstallProgress(console) as progress,
    ):
        gate = None
        if changed := joined ^ joined_hosts(context, sessions):
            journal.write(RunFinished(RunState.FAILED, now()))
            names = ", ".join(h.name for h in context.hosts if h.name in changed)
            raise UserError(
                f"nothing was changed: {names} joined or left a cluster while this run waited for "
                f"your answer. {options.resume_advice}"
            )
        if joined:
            report = console_reporter()
            recovery.recover_runs(options.reports, context.inventory, of_gate, report)
            try:
                gate = _joined_gate(
                    options, context, standard, of_gate, journal, chosen, joined, remediated
                )
            except HostsUnreachable as error:
                journal.write(RunFinished(RunState.FAILED, now()))
                raise UserError(str(error)) from None
        if made is not None:
            try:  # what has run since may have held the lock
                _require_same_steps(options, made, context, sessions, chosen, exempt)
            except (UserError, HostsUnreachable) as error:
                journal.write(RunFinished(RunState.FAILED, now()))
                raise UserError(str(error)) from None
        engine = Engine(context, sessions, progress, journal, gate, exempt)
        with interruptible(engine):
            try:
                if options.phase:
                    _needs(engine, options)
                engine.carry_out(chosen, again=bool(options.phase))
            except InstallAborted:
                journal.write(RunFinished(RunState.INTERRUPTED, now()))
                console.print(Text(f"Stopped. {options.resume_advice}"))
                raise KeyboardInterrupt from None
            except (PhaseFailed, HostsUnreachable) as error:
                journal.write(RunFinished(RunState.FAILED, now()))
                _explain(console, engine, error, options)
                return False
            finally:
                if why := revoke(context, sessions):
                    console.print(
                        Text(
                            "The bootstrap token and the certificates, where uploaded, were not "
                            f"deleted; both expire within two hours. {escaped_lines(why)}",
                            "yellow",
                        )
                    )
        journal.write(RunFinished(RunState.FINISHED, now()))
    if engine.differences:
        console.print("Left as they are, because Hale did not write them, or not as they are now:")
        print_differences(console, tuple(engine.differences.values()))
    return True


def _require_same_steps(
    options: InstallOptions,
    made: InstallPlan,
    context: ClusterContext,
    sessions: SessionPool,
    chosen: Sequence[str],
    exempt: Exempt,
) -> None:
    """Raises UserError if other steps remain now than the plan has; HostsUnreachable."""
    statuses = phase_statuses(context, sessions, chosen, exempt, again=bool(options.phase))
    saved_plan.require_same_steps(made, statuses)


def _joined_gate(
    options: InstallOptions,
    context: ClusterContext,
    standard: Standard,
    sessions: SessionPool,
    journal: Journal,
    phases: Sequence[str],
    joined: frozenset[str],
    remediated: frozenset[str],
) -> JoinedGate:
    """The gate of the hosts that have joined; it judges the control-plane nodes that have.

    sessions: its own, as those of the engine may be busy. Raises HostsUnreachable.
    """
    every = [h.name for h in context.masters]
    masters = [name for name in every if name in joined]
    inventory = context.inventory

    def worker_gate(give_up: Callable[[], bool]) -> WorkerGate:
        return WorkerGate(
            ClusterNodes(sessions, masters or every),
            DrainOptions(options.drain, options.drain_timeout),
            {h.name: h.address or h.name for h in context.hosts},
            partial(gates.health_problems, inventory, standard, sessions),
            journal,
            console_reporter(),
            give_up,
        )

    complete = masters == every
    begun = Exempt() if complete else unfinished(context, sessions, phases, joined)
    return JoinedGate(
        joined,
        frozenset(masters),
        partial(gates.health_problems, inventory, standard, sessions, masters),
        complete,
        begun,
        remediated,
        worker_gate,
    )


def _needs(engine: Engine, options: InstallOptions) -> None:
    """Check that the dependencies of --phase are done. Raises UserError."""
    only = options.phase
    use = "Use" if options.apply is None else "Plan again, with"
    for one in phase_statuses(engine.site, engine.sessions, required_phases(only)):
        if one.remaining or one.unknown:
            raise UserError(
                f"--phase {only} needs {one.name}, which is not done: "
                f"{(*one.remaining, one.unknown)[0]}. {use} --until {only}."
            )


def _explain(
    console: Console, engine: Engine, error: PhaseFailed | HostsUnreachable, options: InstallOptions
) -> None:
    name = error.phase if isinstance(error, PhaseFailed) else "reading the hosts"
    console.print(Text(f"\n{name} failed: {escaped_lines(str(error))}", "bold red"))
    if isinstance(error, PhaseFailed) and error.output:
        console.print(Text(indented(escaped_lines(error.output))))
    console.print(
        Text(
            f"\nCompleted steps are kept. {options.resume_advice}\n"
            "docs/install.md lists for each phase where to look."
        ),
        soft_wrap=True,
    )


def _settle(
    inventory: Inventory, standard: Standard, sessions: SessionPool, ignored: Sequence[str]
) -> None:
    """Give the cluster SETTLE_TIMEOUT to become healthy; the audit then judges it as it is.

    An apiserver is not ready for a moment while etcd takes another member in, and a load balancer
    wants several good answers before it sends traffic there again (haproxy's `rise`).
    """
    named = ""

    def problems() -> list[str]:
        nonlocal named
        found = [
            p
            for p in gates.cluster_problems(inventory, standard, sessions)
            if gates.requirement_of(p) not in ignored
        ]
        if found and (text := gates.naming(found)) != named:
            print(f"  waiting: {escape_controls(named := text)}", flush=True)
        return found

    wait_until(problems, SETTLE_TIMEOUT, SETTLE_INTERVAL)


def _audit(
    inventory: Inventory,
    standard: Standard,
    sessions: SessionPool,
    folder: Path,
    ignored: Sequence[str],
) -> bool:
    """Whether everything passes, except the ignored requirements."""
    made = audit(
        recorder.create_run_dir(folder, "audit"),
        inventory,
        standard,
        Profile.BASELINE,
        sessions=sessions,
        show=True,
    )
    found = made.results.results
    failed = [r for r in found if r.verdict.failed and r.requirement not in ignored]
    return not failed
