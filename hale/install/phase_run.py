"""The phases of an install: what remains is confirmed, carried out under the lock, and recorded."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.text import Text

from hale.apply import gates, recovery
from hale.apply.cluster_nodes import ClusterNodes
from hale.apply.journal import Journal, RunFinished, RunState, now
from hale.apply.reporter import console_reporter
from hale.apply.worker_gate import DrainOptions, WorkerGate
from hale.install import saved_plan
from hale.install.engine import Engine, PhaseFailed, interruptible
from hale.install.install_run import InstallRun
from hale.install.joined import (
    InstallAborted,
    JoinedGate,
    confirm_changes,
    exempt_phases,
    joined_hosts,
    unfinished,
)
from hale.install.locked_run import locked_run
from hale.install.observe import HostsUnreachable
from hale.install.planning import Exempt, phase_statuses
from hale.install.progress import InstallProgress, escaped_lines, indented
from hale.install.revoke import revoke
from hale.install.scheduler import required_phases
from hale.install.status_view import print_differences
from hale.model.errors import UserError
from hale.ssh import SessionPool


def run_phases(run: InstallRun, chosen: Sequence[str], joined: frozenset[str]) -> bool:
    """Carry out the chosen phases; True if all are done.

    joined: the hosts that had joined a cluster before this run. Raises UserError where nothing was
    changed, KeyboardInterrupt where the operator stopped the run.
    """
    if not chosen:
        return True
    exempt, remediated = Exempt(), frozenset[str]()
    try:
        if joined or run.plan is not None:
            exempt = exempt_phases(run.context, run.sessions, chosen, joined, run.options.phase)
        if run.plan is not None:
            _require_same_steps(run, chosen, exempt)
            saved_plan.save(run.plan, run.folder / "plan.json")
            run.options.origin.keep(run.folder)
        if joined:
            remediated = confirm_changes(
                run.options, run.context, run.sessions, run.console, chosen, joined, exempt
            )
    except HostsUnreachable as error:
        raise UserError(str(error)) from None
    plan_sha256 = run.plan.sha256 if run.plan else ""
    with (
        locked_run(
            run.options, run.inventory, run.sessions, run.folder, "install", plan_sha256
        ) as journal,
        SessionPool(run.sessions.targets) as of_gate,
        InstallProgress(run.console) as progress,
    ):
        gate = None
        with _failure_recorded(journal):
            _require_same_members(run, joined)
            if joined:
                options = run.options
                recovery.recover_runs(options.reports, run.inventory, of_gate, console_reporter())
                gate = _joined_gate(run, of_gate, journal, chosen, joined, remediated)
            # What has run since may have held the lock.
            _require_same_steps(run, chosen, exempt)
        engine = Engine(run.context, run.sessions, progress, journal, gate, exempt)
        if not _carry_out(run, engine, journal, chosen):
            return False
        journal.write(RunFinished(RunState.FINISHED, now()))
    if engine.differences:
        run.console.print(
            "Left as they are, because Hale did not write them, or not as they are now:"
        )
        print_differences(run.console, tuple(engine.differences.values()))
    return True


@contextmanager
def _failure_recorded(journal: Journal) -> Iterator[None]:
    """Record in the journal that the run has failed. Raises UserError for HostsUnreachable too."""
    try:
        yield
    except (UserError, HostsUnreachable) as error:
        journal.write(RunFinished(RunState.FAILED, now()))
        raise UserError(str(error)) from None


def _require_same_members(run: InstallRun, joined: frozenset[str]) -> None:
    """Raises UserError if a host has joined or left a cluster since the operator confirmed."""
    if changed := joined ^ joined_hosts(run.context, run.sessions):
        names = ", ".join(h.name for h in run.context.hosts if h.name in changed)
        raise UserError(
            f"nothing was changed: {names} joined or left a cluster while this run waited for "
            f"your answer. {run.options.resume_advice}"
        )


def _require_same_steps(run: InstallRun, chosen: Sequence[str], exempt: Exempt) -> None:
    """Raises UserError if other steps remain now than a saved plan has; HostsUnreachable."""
    if run.plan is not None:
        again = bool(run.options.phase)
        statuses = phase_statuses(run.context, run.sessions, chosen, exempt, again=again)
        saved_plan.require_same_steps(run.plan, statuses)


def _joined_gate(
    run: InstallRun,
    sessions: SessionPool,
    journal: Journal,
    phases: Sequence[str],
    joined: frozenset[str],
    remediated: frozenset[str],
) -> JoinedGate:
    """The gate of the hosts that have joined; it judges the control-plane nodes that have.

    sessions: its own, as those of the engine may be busy. Raises HostsUnreachable.
    """
    context, options = run.context, run.options
    every = [h.name for h in context.masters]
    masters = [name for name in every if name in joined]
    health_problems = partial(gates.health_problems, run.inventory, run.standard, sessions)

    def worker_gate(give_up: Callable[[], bool]) -> WorkerGate:
        return WorkerGate(
            ClusterNodes(sessions, masters or every),
            DrainOptions(options.drain, options.drain_timeout),
            {h.name: h.address or h.name for h in context.hosts},
            health_problems,
            journal,
            console_reporter(),
            give_up,
        )

    complete = masters == every
    return JoinedGate(
        joined,
        frozenset(masters),
        partial(health_problems, masters),
        complete,
        Exempt() if complete else unfinished(context, sessions, phases, joined),
        remediated,
        worker_gate,
        gates.settling_after_drain(run.standard),
    )


def _carry_out(run: InstallRun, engine: Engine, journal: Journal, chosen: Sequence[str]) -> bool:
    """Whether all steps are done. Raises UserError, and KeyboardInterrupt at a Ctrl-C."""
    options = run.options
    with interruptible(engine):
        try:
            if options.phase:
                _require_dependencies(engine, options.phase, planned=options.apply is not None)
            engine.carry_out(chosen, again=bool(options.phase))
        except InstallAborted:
            journal.write(RunFinished(RunState.INTERRUPTED, now()))
            run.console.print(Text(f"Stopped. {options.resume_advice}"))
            raise KeyboardInterrupt from None
        except (PhaseFailed, HostsUnreachable) as error:
            journal.write(RunFinished(RunState.FAILED, now()))
            _explain(run, error)
            return False
        finally:
            if why := revoke(run.context, run.sessions):
                run.console.print(
                    Text(
                        "The bootstrap token and the certificates, where uploaded, were not "
                        f"deleted; both expire within two hours. {escaped_lines(why)}",
                        "yellow",
                    )
                )
    return True


def _require_dependencies(engine: Engine, phase: str, *, planned: bool) -> None:
    """Check that the phases that --phase needs are done. Raises UserError.

    planned: whether the run carries out a saved plan.
    """
    use = "Plan again, with" if planned else "Use"
    for one in phase_statuses(engine.site, engine.sessions, required_phases(phase)):
        if one.remaining or one.unknown:
            raise UserError(
                f"--phase {phase} needs {one.name}, which is not done: "
                f"{(*one.remaining, one.unknown)[0]}. {use} --until {phase}."
            )


def _explain(run: InstallRun, error: PhaseFailed | HostsUnreachable) -> None:
    name = error.phase if isinstance(error, PhaseFailed) else "reading the hosts"
    run.console.print(Text(f"\n{name} failed: {escaped_lines(str(error))}", "bold red"))
    if isinstance(error, PhaseFailed) and error.output:
        run.console.print(Text(indented(escaped_lines(error.output))))
    run.console.print(
        Text(
            f"\nCompleted steps are kept. {run.options.resume_advice}\n"
            "docs/install.md lists for each phase where to look."
        ),
        soft_wrap=True,
    )
