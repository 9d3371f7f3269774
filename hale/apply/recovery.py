"""Recovery of a run that crashed: how its unfinished steps ended, and its nodes uncordoned."""

from collections.abc import Sequence
from pathlib import Path

from hale.apply import (
    change_page,
    cluster_lock,
    run_journals,
    sealing,
    trial_end,
    undo_scope,
    worker_gate,
)
from hale.apply.cluster_nodes import ClusterNodes
from hale.apply.executor import StepExecutor
from hale.apply.journal import (
    Journal,
    NodeUncordoned,
    RunFinished,
    RunHistory,
    RunState,
    StepDone,
    StepStarted,
    StepState,
    now,
)
from hale.apply.lock import Owner
from hale.apply.prepared import RUNS, PreconditionFailed, PreparedStep, StepFailed, UndoUnknown
from hale.apply.reporter import Reporter
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import scope
from hale.ssh import RemoteError, SessionPool
from hale.standard import loader


def recover_runs(reports: Path, known: Inventory, sessions: SessionPool, report: Reporter) -> None:
    """Recover the runs of this inventory that crashed or have a node cordoned still, and journal
    how trials ended.

    The hosts' locks must be held. Raises UserError as recover_run.
    """
    inventory, masters = known.path.resolve(), [h.name for h in known.masters]
    scope_of = scope.scopes(loader.load_standard(ROOT / "standard"), known)
    for history in run_journals.load_runs(
        reports, lambda error: report("", f"no run is recovered by it: {error}")
    ):
        if Path(history.header.inventory) != inventory or history.state is RunState.RUNNING:
            continue
        trial_end.collect(history, sessions, report)
        crashed = history.state is RunState.INTERRUPTED and not history.end
        if crashed or history.cordoned:
            try:
                undo_scope.check_begun(history, scope_of)
            except UserError as error:
                report("", str(error))
                continue
            with sealing.recovered(history.folder, report):
                recover_run(history, sessions, masters, report)
                if change_page.has_page(history):
                    change_page.write_page(history.folder, report)


def recover_before_undo(
    history: RunHistory,
    known: Inventory,
    sessions: SessionPool,
    owner: Owner,
    *,
    stale: bool,
    report: Reporter,
) -> None:
    """Recover a run under the locks, for an undo that is the first run after a crash.

    stale: whether locks that another run holds are broken. What its unfinished steps may do is
    checked before (undo_scope.check_begun). Raises UserError as recover_run and locks_held.
    """
    needed = list(dict.fromkeys(b.host for b in history.open))
    run = history.header.run
    names = list(sessions.targets)
    with (
        cluster_lock.locks_held(
            sessions, names, needed, owner, stale=stale, report=report, trial=run
        ),
        sealing.recovered(history.folder, report),
    ):
        recover_run(history, sessions, [h.name for h in known.masters], report)
        change_page.write_page(history.folder, report)


def recover_run(
    history: RunHistory, sessions: SessionPool, masters: Sequence[str], report: Reporter
) -> None:
    """Find out how the unfinished steps of a run that was interrupted ended, and journal it.

    The nodes that it has cordoned are uncordoned, by kubectl on one of the `masters`, unless an
    operator has cordoned them since; a node that stays cordoned is reported. Raises UserError where
    a host is unreachable. The hosts' locks must be held. A step whose undo is unknown is
    reported, and stays open.
    """
    book = Journal(history.folder, None)
    settled = True
    try:
        for begun in history.open:
            prepared = _prepared_step(history, begun)
            executor = StepExecutor(sessions.session(begun.host), history.header.run)
            try:
                state, undo = executor.recover(prepared)
            except (PreconditionFailed, StepFailed) as error:
                report(begun.host, f"{history.header.run}, step {begun.number}: {error}")
                state, undo = StepState.NOT_APPLIED, ()
            except UndoUnknown as error:
                settled = False
                report(begun.host, f"{history.header.run}, step {begun.number}: {error}")
                continue
            except RemoteError as error:
                raise UserError(
                    f"{begun.host} must report how far {history.header.run} got: {error}"
                ) from None
            book.write(StepDone(begun.host, begun.number, undo, now()))
            report(begun.host, f"{history.header.run}, step {begun.number} was {state}")
        nodes = ClusterNodes(sessions, masters)
        for host, node in history.cordoned.items():
            by = f"{node}, which {history.header.run} had cordoned,"
            if why := worker_gate.uncordon_own(nodes, node, history.cordoned_at[host]):
                report(host, f"{by} is still cordoned ({why}): kubectl uncordon {node}")
                continue
            book.write(NodeUncordoned(host, node, now()))
            report(host, f"{by} is uncordoned")
        if history.end is None and settled:
            book.write(RunFinished(RunState.INTERRUPTED, now()))
    finally:
        book.close()


def _prepared_step(history: RunHistory, begun: StepStarted) -> PreparedStep:
    folder = f"{RUNS}/{history.header.run}/{begun.number}"
    return PreparedStep(begun.step, folder, begun.after, begun.notes)
