"""change.html in the folder of a fix or an undo, made from its plan, journal and two audits.

It is written when the run begins and when it ends, and again when a later run recovers it: a page
of a run that was killed names what is not known. `invoke report RUN --format change` makes it from
what is on disk.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hale.apply import journal, rehearsal
from hale.apply.journal import (
    HostFinished,
    InstallStepDone,
    InstallStepStarted,
    NodeCordoned,
    NodeUncordoned,
    PhaseEvent,
    PhaseState,
    RunFinished,
    RunHeader,
    RunHistory,
    RunState,
    StepDone,
    StepSkipped,
    StepStarted,
    StepState,
    TrialEnded,
    TrialStarted,
)
from hale.apply.reporter import Reporter
from hale.audit import results_file
from hale.model import results
from hale.model.change import Impact, UnitAction, UnitChange
from hale.model.results import Results
from hale.plan import plan
from hale.plan.change_page import StepEnding, host_change, plan_approval
from hale.plan.plan import HostPlan, Plan
from hale.report.change import page
from hale.report.change.comparison import BeforeAndAfter, compare
from hale.report.change.model import (
    Approval,
    ChangeEvent,
    ChangeReport,
    ChangeState,
    EventKind,
    HostChange,
    HostTrial,
    Operation,
    Outcome,
    Reversal,
    TrialState,
)
from hale.report.change.words import trial_sentence
from hale.report.jinja import utc
from hale.report.times import seconds_between

STATES = {
    RunState.RUNNING: ChangeState.RUNNING,
    RunState.FINISHED: ChangeState.FINISHED,
    RunState.FAILED: ChangeState.FAILED,
    RunState.INTERRUPTED: ChangeState.INTERRUPTED,
}
_SKIPPED = {
    StepState.UNCHANGED: Outcome.UNCHANGED,
    StepState.NOT_APPLIED: Outcome.NOT_APPLIED,
    StepState.REFUSED: Outcome.REFUSED,
    StepState.FAILED: Outcome.FAILED,
    StepState.STOPPED: Outcome.SKIPPED,
    StepState.DONE: Outcome.DONE,
}
# What is known of a step without an entry, by how the run stands.
_NO_ENTRY = {ChangeState.RUNNING: Outcome.NOT_KNOWN}


def has_page(history: RunHistory) -> bool:
    """Whether this module makes the page of that run: of a fix or an undo."""
    return history.header.kind in (Operation.FIX, Operation.UNDO)


def write_page(folder: Path, report: Reporter) -> None:
    """Write change.html of a fix or an undo as it stands; reports what keeps it from that."""
    page.write(folder, build, report)


def build(folder: Path) -> ChangeReport:
    """The page of the fix or undo in that folder. Raises UserError for a file that is invalid."""
    made = plan.load_plan(folder / "plan.json")
    history = journal.read_run(folder) if (folder / journal.NAME).is_file() else None
    header = history.header if history else None
    kind = Operation(header.kind) if header else _kind_of_folder(folder)
    state = run_state(history)
    return ChangeReport(
        kind=kind,
        state=state,
        made_at=results.utc(time.time()),
        inventory=made.inventory,
        approval=_approval(made, history),
        run=folder.name,
        of=header.of if header else "",
        profile=made.profile,
        hosts=_hosts(made, state, history),
        comparison=_comparison(folder),
        events=tuple(events(folder)) if history else (),
        reversal=Reversal.UNDO if history else Reversal.NOT_NEEDED,
        revert=f"invoke undo {folder.name}" if history else "",
        rehearsal=rehearsal.find(folder.parent, made, folder.name)
        if kind is Operation.FIX
        else None,
        trials=tuple(_trials(history)) if history else (),
        links=(*_undone_page(folder, header), *page.links(folder)),
    )


def _trials(history: RunHistory) -> Iterator[HostTrial]:
    for host, begun in history.trials.items():
        end = history.trial_ends.get(host)
        if end is None:
            yield HostTrial(host, TrialState.PENDING, begun.until)
        else:
            yield HostTrial(host, end.state, begun.until, end.since, end.problems)


def _undone_page(folder: Path, header: RunHeader | None) -> tuple[tuple[str, str], ...]:
    """The page of the run that an undo undoes, which stays as it is."""
    if header is None or not header.of or not (folder.parent / header.of / page.NAME).is_file():
        return ()
    return ((f"change page of {header.of}", f"../{header.of}/{page.NAME}"),)


def _kind_of_folder(folder: Path) -> Operation:
    """A folder without a journal: its name ends in the kind, but for a number."""
    return Operation.UNDO if "-undo" in folder.name else Operation.FIX


def run_state(history: RunHistory | None) -> ChangeState:
    """How a run with that journal stands."""
    if history is None:
        return ChangeState.NOT_BEGUN
    if history.end is None and history.state is RunState.INTERRUPTED:
        return ChangeState.CRASHED
    return STATES[history.state]


def run_approval(planned: Approval, history: RunHistory | None) -> Approval:
    """The approval with what the run's journal has: who approved it, who carries it out."""
    if history is None:
        return planned
    header, given = history.header, history.approval
    return replace(
        planned,
        plan_sha256=header.plan_sha256 or planned.plan_sha256,
        source=given.source if given else planned.source,
        signature=given.signature if given else planned.signature,
        signer=given.signer if given else "",
        signer_key=given.signer_key if given else "",
        sign="",
        window=given.window if given else "",
        approver=header.approved_by,
        ticket=header.ticket,
        operator=header.operator,
        source_host=header.source_host,
        started=header.at,
        ended=history.end.at if history.end else "",
    )


def _approval(made: Plan, history: RunHistory | None) -> Approval:
    return run_approval(plan_approval(made), history)


def _comparison(folder: Path) -> BeforeAndAfter | None:
    before, after = (load_audit(folder / name) for name in ("before", "after"))
    return compare(before, after) if before else None


def load_audit(folder: Path) -> Results | None:
    """The results of an audit in a run's folder; None where there are none."""
    path = folder / "results.json"
    return results_file.load_results(path) if path.is_file() else None


def _hosts(made: Plan, state: ChangeState, history: RunHistory | None) -> tuple[HostChange, ...]:
    if history is None:
        not_begun = StepEnding(Outcome.NOT_BEGUN)
        return tuple(host_change(h, [not_begun] * len(h.steps)) for h in made.hosts)
    skipped = {(s.host, s.number): s for s in history.skipped}
    return tuple(_host(h, state, history, skipped) for h in made.hosts)


def _host(
    host: HostPlan,
    state: ChangeState,
    history: RunHistory,
    skipped: Mapping[tuple[str, int], StepSkipped],
) -> HostChange:
    finished = history.hosts.get(host.host)
    without_entry = Outcome.SKIPPED if finished else _NO_ENTRY.get(state, Outcome.NOT_BEGUN)
    endings = []
    for number in range(1, len(host.steps) + 1):
        key = host.host, number
        begun, done = history.begun.get(key), history.done.get(key)
        if key in skipped:
            endings.append(StepEnding(_SKIPPED[skipped[key].state], skipped[key].reason))
        elif begun is None:
            endings.append(StepEnding(without_entry))
        elif done is None:
            endings.append(StepEnding(Outcome.NOT_KNOWN))
        else:
            endings.append(_ended(begun, done, finished))
    if finished is None:
        return host_change(host, endings)
    return host_change(host, endings, finished.state.value, finished.reason)


def _ended(begun: StepStarted, done: StepDone, host: HostFinished | None) -> StepEnding:
    """A step with both entries. Recovery writes its own after the host's, or without one."""
    recovered = host is None or done.at > host.at
    if done.undo or not recovered:
        return StepEnding(Outcome.DONE, seconds=seconds_between(begun.at, done.at))
    change = begun.step.change
    has_inverse = Impact.IRREVERSIBLE not in change.effects and not (
        isinstance(change, UnitChange) and change.action is UnitAction.DISABLE
    )
    return StepEnding(Outcome.NOT_APPLIED if has_inverse else Outcome.NOT_KNOWN)


def events(folder: Path) -> Iterator[ChangeEvent]:
    """The timeline of a run: its journal, with a step's two entries as one line."""
    entries = list(journal.read_entries(folder))
    begun = {(e.host, e.number): e for e in entries if isinstance(e, StepStarted)}
    ended = {(e.host, e.number) for e in entries if isinstance(e, StepDone | StepSkipped)}
    open_acts = journal.open_acts(entries)
    for entry in entries:
        key = getattr(entry, "host", ""), getattr(entry, "number", 0)
        if isinstance(entry, StepStarted) and key in ended:
            continue
        if isinstance(entry, InstallStepStarted) and entry not in open_acts:
            continue
        if (event := _event(entry, begun.get(key))) is not None:
            yield event


def _event(entry: journal.Entry, begun: StepStarted | None) -> ChangeEvent | None:
    title = _step_title(begun)
    match entry:
        case PhaseEvent():
            what = f"{entry.name}: {entry.state.value}"
            seconds = entry.seconds if entry.state is not PhaseState.STARTED else None
            return ChangeEvent(entry.at, EventKind.PHASE, "", what, entry.reason, seconds)
        case InstallStepStarted():
            return ChangeEvent(entry.at, EventKind.BEGUN, entry.host, entry.title)
        case InstallStepDone():
            what = f"{entry.title}: {entry.state.value}"
            return ChangeEvent(entry.at, EventKind.ENDED, entry.host, what, seconds=entry.seconds)
        case RunHeader():
            return ChangeEvent(entry.at, EventKind.RUN_STARTED, what=entry.run)
        case StepStarted():
            return ChangeEvent(entry.at, EventKind.BEGUN, entry.host, title)
        case StepDone():
            seconds = seconds_between(begun.at, entry.at) if begun else None
            return ChangeEvent(entry.at, EventKind.ENDED, entry.host, title, seconds=seconds)
        case StepSkipped():
            what = f"step {entry.number}: {entry.state.value}"
            return ChangeEvent(entry.at, EventKind.NOT_DONE, entry.host, what, entry.reason)
        case TrialStarted():
            what = f"until {utc(entry.until)}"
            return ChangeEvent(entry.at, EventKind.TRIAL_STARTED, entry.host, what)
        case TrialEnded():
            detail = "; ".join(entry.problems)
            what = trial_sentence(entry.state, entry.since)
            return ChangeEvent(entry.at, EventKind.TRIAL_ENDED, entry.host, what, detail)
        case HostFinished():
            return ChangeEvent(
                entry.at, EventKind.HOST_ENDED, entry.host, entry.state.value, entry.reason
            )
        case NodeCordoned():
            return ChangeEvent(entry.at, EventKind.CORDONED, entry.host, entry.node)
        case NodeUncordoned():
            return ChangeEvent(entry.at, EventKind.UNCORDONED, entry.host, entry.node)
        case RunFinished():
            return ChangeEvent(entry.at, EventKind.RUN_ENDED, what=entry.state.value)
    return None


def _step_title(begun: StepStarted | None) -> str:
    return f"step {begun.number}: {begun.step.change.describe()}" if begun else ""
