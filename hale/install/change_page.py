"""change.html of an install or a reset, made from its journal, its saved plan and its audits; that
of a join or a leave of a federation, from its journal; and the page of a saved plan, for its
approval.

It is written when the journal begins, when the run ends and after the final audit.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from hale.apply import change_page, journal
from hale.apply.change_page import load_audit, run_approval, run_state
from hale.apply.journal import (
    Entry,
    InstallStepDone,
    InstallStepStarted,
    InstallStepState,
    RunHeader,
)
from hale.apply.reporter import Reporter
from hale.install import saved_plan
from hale.install.saved_plan import InstallPlan, PlannedPhase
from hale.model import results
from hale.model.change import Impact
from hale.model.results import Results
from hale.plan import approval
from hale.report.change import page
from hale.report.change.comparison import BeforeAndAfter, compare
from hale.report.change.model import (
    Approval,
    ChangeAction,
    ChangeReport,
    ChangeState,
    HostChange,
    Operation,
    Outcome,
    Reversal,
)

CLUSTER = "cluster"  # stands for the hosts of a plan, whose steps name them
_OUTCOMES = {
    InstallStepState.STARTED: Outcome.NOT_KNOWN,
    InstallStepState.DONE: Outcome.DONE,
    InstallStepState.UNCHANGED: Outcome.UNCHANGED,
    InstallStepState.FAILED: Outcome.FAILED,
}
_Key = tuple[str, str, str]  # phase, host, title


def save_plan_page(made: InstallPlan, saved: Path) -> Path:
    """Write the page beside the plan's file; returns its path. Raises UserError."""
    path = page.beside(saved)
    page.save(planned_install(made, saved), path)
    return path


def planned_install(made: InstallPlan, saved: Path) -> ChangeReport:
    """What remains of each phase, and its steps."""
    actions = tuple(action for phase in made.phases for action in _planned(phase))
    return ChangeReport(
        kind=Operation.INSTALL,
        state=ChangeState.PLANNED,
        made_at=results.utc(time.time()),
        inventory=made.inventory,
        approval=replace(_plan_approval(made), sign=approval.command(saved)),
        hosts=(HostChange(CLUSTER, actions),),
        reversal=Reversal.UNDONE_BY_RESET,
        apply=f"invoke install --apply {shlex.quote(str(saved))} --sha256 {made.sha256}",
    )


def _planned(phase: PlannedPhase) -> list[ChangeAction]:
    remaining = "; ".join(phase.remaining)
    actions = [ChangeAction(step, Outcome.PLANNED, phase.name) for step in phase.steps]
    if phase.unknown:
        title = f"steps that are not known yet: {phase.unknown}"
        actions.append(ChangeAction(title, Outcome.PLANNED, phase.name))
    if actions and remaining:
        actions[0] = replace(actions[0], reason=f"remaining: {remaining}")
    return actions


def _plan_approval(made: InstallPlan) -> Approval:
    return Approval(plan_sha256=made.sha256, author=made.author, planned_at=made.created)


def write_page(folder: Path, report: Reporter) -> None:
    """Write the page of such a run as it stands; reports what keeps it from that.

    Nothing is written for a run without a journal: it changed nothing.
    """
    if (folder / journal.NAME).is_file():
        page.write(folder, build, report)


def build(folder: Path) -> ChangeReport:
    """The page of the run in that folder. Raises UserError for an invalid file."""
    history = journal.load_run(folder)
    saved = folder / "plan.json"
    planned = _plan_approval(saved_plan.load(saved)) if saved.is_file() else Approval()
    kind = Operation(history.header.kind)
    reversal, command = _REVERSALS[kind]
    final = _final_audit(folder, history.end.at if history.end else "")
    return ChangeReport(
        kind=kind,
        state=run_state(history),
        made_at=results.utc(time.time()),
        inventory=history.header.inventory,
        approval=run_approval(planned, history),
        run=folder.name,
        hosts=_hosts(list(journal.read_entries(folder))),
        comparison=_comparison(folder, final),
        events=tuple(change_page.events(folder)),
        reversal=reversal,
        revert=shlex.join(["invoke", *command, *_inventories(history.header)]),
        links=(*page.links(folder), *_final_link(folder, final)),
    )


_REVERSALS = {
    Operation.INSTALL: (Reversal.UNDONE_BY_RESET, ["reset"]),
    Operation.RESET: (Reversal.INSTALL_AGAIN, ["install"]),
    Operation.JOIN: (Reversal.LEAVE, ["federation", "leave"]),
    Operation.LEAVE: (Reversal.JOIN_AGAIN, ["federation", "join"]),
}


def _inventories(header: RunHeader) -> list[str]:
    """The options that name the run's clusters."""
    words = ["--inventory", header.inventory]
    if isinstance(header.host_inventory, str) and isinstance(header.member, str):
        words += ["--host-inventory", header.host_inventory, "--name", header.member]
    return words


def _hosts(entries: Sequence[Entry]) -> tuple[HostChange, ...]:
    """The steps by host, in the order in which they ended; last those without an end."""
    started = {_key(e): e for e in entries if isinstance(e, InstallStepStarted)}
    by_host: dict[str, list[ChangeAction]] = {}
    for entry in entries:
        if isinstance(entry, InstallStepDone):
            begun = started.get(_key(entry))
            action = _action(entry.phase, entry.title, entry.state, begun, entry.seconds)
            by_host.setdefault(entry.host, []).append(action)
    for begun in journal.open_acts(entries):
        action = _action(begun.phase, begun.title, InstallStepState.STARTED, begun, None)
        by_host.setdefault(begun.host, []).append(action)
    return tuple(HostChange(host, tuple(actions)) for host, actions in by_host.items())


def _key(entry: InstallStepStarted | InstallStepDone) -> _Key:
    return entry.phase, entry.host, entry.title


def _action(
    phase: str,
    title: str,
    state: InstallStepState,
    begun: InstallStepStarted | None,
    seconds: float | None,
) -> ChangeAction:
    return ChangeAction(
        title=f"write {begun.path}" if begun and begun.path else f"run {title}",
        outcome=_OUTCOMES[state],
        group=phase,
        reason=title if begun and begun.path else "",
        effects=(Impact.DISRUPTS_TRAFFIC,) if begun and begun.interrupts else (),
        seconds=seconds,
    )


def _comparison(folder: Path, final: tuple[Path, Results] | None) -> BeforeAndAfter | None:
    """The audit of the gate, and the final one; of the gate's what the final one has too."""
    if final is None:
        return None
    before, after = load_audit(folder / "gate"), final[1]
    judged = {(r.host, r.requirement, r.aspect) for r in after.results}
    rows = before.results if before else []
    kept = [r for r in rows if (r.host, r.requirement, r.aspect) in judged]
    return compare(msgspec.structs.replace(after, results=kept), after)


def _final_audit(folder: Path, ended: str) -> tuple[Path, Results] | None:
    """Folder and results of the audit after the phases' end; the gate's own are older."""
    for path in sorted(folder.glob("*-audit*"), reverse=True):
        found = load_audit(path)
        if found is not None and ended and found.run.started >= ended:
            return path, found
    return None


def _final_link(folder: Path, final: tuple[Path, Results] | None) -> tuple[tuple[str, str], ...]:
    page_of_audit = final[0] / "report.html" if final else None
    if page_of_audit is None or not page_of_audit.is_file():
        return ()
    return (("audit afterwards", str(page_of_audit.relative_to(folder))),)
