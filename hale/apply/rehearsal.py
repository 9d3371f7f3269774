"""How long the undo of a change took where it was rehearsed, as on the hosts of a staging cluster.

A rehearsal is a run in the same folder of reports that made the same changes and was undone: each
host of the plan has a host of that run with at least its steps. Hosts and inventory may be others.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hale.apply import journal
from hale.apply.journal import HostState, RunHistory, RunState
from hale.model.change import Action
from hale.model.errors import UserError
from hale.plan.plan import Plan
from hale.report.change.model import Operation, Rehearsal
from hale.report.times import seconds_between

MOST = 20  # undos that are looked at, from the newest on

_Step = tuple[type, str]  # the kind of change, and its description: what it changes


def find(reports: Path, made: Plan, run: str = "") -> Rehearsal | None:
    """The newest complete undo of the same changes; None where there is none.

    reports: the folder of all runs. run: the one that is not its own rehearsal, "" for a plan.
    """
    wanted = [
        frozenset(_step(step.change) for step in host.steps) for host in made.hosts if host.steps
    ]
    if not wanted:
        return None
    for undo, undone in _undos(reports):
        if undone.header.run == run or undo.end is None:
            continue
        seconds = seconds_between(undo.header.at, undo.end.at)
        rehearsed = _steps_of_hosts(undo, undone)
        covered = all(any(one <= had for had in rehearsed.values()) for one in wanted)
        if covered and seconds is not None:
            return Rehearsal(undo.header.run, undo.header.at, seconds, len(rehearsed))
    return None


def _undos(reports: Path) -> Iterator[tuple[RunHistory, RunHistory]]:
    """Undos that undid all they had to, the newest first, each with the fix that it undid."""
    folders = sorted(path.parent for path in reports.glob(f"*-{Operation.UNDO}*/{journal.NAME}"))
    for folder in folders[::-1][:MOST]:
        undo = _history(folder)
        if undo is None or undo.end is None or undo.end.state is not RunState.FINISHED:
            continue
        if not journal.RUN_NAME.fullmatch(undo.header.of):
            continue
        undone = _history(reports / undo.header.of)
        if undone is not None and undone.header.kind == Operation.FIX:
            yield undo, undone


def _history(folder: Path) -> RunHistory | None:
    """The journal of a run; None where it cannot be read, which is no matter of this plan."""
    try:
        return journal.read_run(folder)
    except UserError:
        return None


def _steps_of_hosts(undo: RunHistory, undone: RunHistory) -> Mapping[str, frozenset[_Step]]:
    """What the run had done on each host that the undo has completed."""
    hosts = {h.host for h in undo.hosts.values() if h.state is HostState.DONE}
    return {
        host: frozenset(
            _step(begun.step.change)
            for key, begun in undone.begun.items()
            if key[0] == host and key in undone.done and undone.done[key].undo
        )
        for host in hosts
    }


def _step(change: Action) -> _Step:
    return type(change), change.describe()
