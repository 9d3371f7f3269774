"""change.html of a drill: the faults that were injected and reverted, the cluster before and after.

report.html beside it has the measurements. It is made from the drill's journal and its audits, when
the journal begins, at the end, and when an interrupted drill is reverted.
"""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hale.apply.change_page import load_audit
from hale.apply.reporter import Reporter
from hale.drill import journal
from hale.drill.journal import (
    DrillEnd,
    DrillHistory,
    DrillState,
    Entry,
    FaultInjected,
    FaultReverted,
    SamplersStarted,
    WorkloadEvent,
)
from hale.model import results
from hale.model.change import Impact
from hale.model.errors import Location, UserError
from hale.report.change import page
from hale.report.change.comparison import BeforeAndAfter, compare
from hale.report.change.model import (
    Approval,
    ChangeAction,
    ChangeEvent,
    ChangeReport,
    ChangeState,
    EventKind,
    HostChange,
    Operation,
    Outcome,
    Reversal,
)
from hale.report.times import seconds_between

_STATES = {
    DrillState.RUNNING: ChangeState.RUNNING,
    DrillState.FINISHED: ChangeState.FINISHED,
    DrillState.FAILED: ChangeState.FAILED,
    DrillState.INTERRUPTED: ChangeState.INTERRUPTED,
    DrillState.REVERTED: ChangeState.INTERRUPTED,
}


def write_page(folder: Path, report: Reporter) -> None:
    """Write the drill's page as it stands; reports what keeps it from that."""
    page.write(folder, build, report)


def build(folder: Path) -> ChangeReport:
    """The page of the drill in that folder. Raises UserError for an invalid file."""
    history = journal.load_drill(folder)
    if history is None:
        raise UserError(
            "the journal is empty: no fault was injected.", Location(folder / journal.NAME)
        )
    active = bool(history.active_faults)
    owner, inventory = history.header.owner, history.header.inventory
    return ChangeReport(
        kind=Operation.DRILL,
        state=_state(history),
        made_at=results.utc(time.time()),
        inventory=inventory,
        approval=Approval(
            operator=owner.operator,
            source_host=owner.source_host,
            started=owner.since,
            ended=history.end.at if history.end else "",
        ),
        run=folder.name,
        hosts=_hosts(history.entries),
        comparison=_comparison(folder),
        events=tuple(_events(history)),
        reversal=Reversal.DRILL_REVERT if active else Reversal.NOT_NEEDED,
        revert=shlex.join(["invoke", "drill", "--revert", "--inventory", inventory])
        if active
        else "",
        links=page.links(folder),
    )


def _state(history: DrillHistory) -> ChangeState:
    if history.end is None and history.state is DrillState.INTERRUPTED:
        return ChangeState.CRASHED
    return _STATES[history.state]


def _hosts(entries: Sequence[Entry]) -> tuple[HostChange, ...]:
    """The injected faults by host, each with when it was reverted."""
    found: dict[str, list[ChangeAction]] = {}
    for number, entry in enumerate(entries):
        if isinstance(entry, FaultInjected):
            found.setdefault(entry.host, []).append(_action(entry, entries[number:]))
    return tuple(HostChange(host, tuple(actions)) for host, actions in found.items())


def _action(injected: FaultInjected, since: Sequence[Entry]) -> ChangeAction:
    reverted = next(
        (
            e
            for e in since
            if isinstance(e, FaultReverted) and (e.kind, e.host) == (injected.kind, injected.host)
        ),
        None,
    )
    fault = injected.fault
    return ChangeAction(
        title=f"stop {fault.title}",
        outcome=Outcome.DONE if reverted else Outcome.NOT_REVERTED,
        reason=fault.method,
        effects=(Impact.DISRUPTS_TRAFFIC,),
        seconds=seconds_between(injected.at, reverted.at) if reverted else None,
    )


def _comparison(folder: Path) -> BeforeAndAfter | None:
    """The audits before and after, and what the drills measured."""
    before, after = (load_audit(folder / name) for name in ("before", "after"))
    if before is None:
        return None
    measured = load_audit(folder)
    if after is not None and measured is not None:
        after = msgspec.structs.replace(after, results=[*after.results, *measured.results])
    return compare(before, after)


def _events(history: DrillHistory) -> list[ChangeEvent]:
    owner = history.header.owner
    started = ChangeEvent(owner.since, EventKind.RUN_STARTED, what=history.folder.name)
    return [started, *filter(None, map(_event, history.entries))]


def _event(entry: Entry) -> ChangeEvent | None:
    match entry:
        case FaultInjected():
            fault = entry.fault
            return ChangeEvent(entry.at, EventKind.INJECTED, entry.host, fault.title, fault.method)
        case FaultReverted():
            return ChangeEvent(entry.at, EventKind.REVERTED, entry.host, entry.kind.value)
        case WorkloadEvent():
            kind = EventKind.WORKLOAD_DELETED if entry.deleted else EventKind.WORKLOAD_CREATED
            return ChangeEvent(entry.at, kind, entry.host)
        case SamplersStarted():
            return ChangeEvent(entry.at, EventKind.SAMPLERS, what=", ".join(entry.hosts))
        case DrillEnd():
            return ChangeEvent(entry.at, EventKind.RUN_ENDED, what=entry.state.value)
    return None
