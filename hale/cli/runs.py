"""`invoke runs`: every run that changed a host, drills too: who, when, and how it ended."""

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hale.apply import run_journals
from hale.apply.journal import RunHistory, RunState, now
from hale.drill import journal as drills
from hale.model.errors import UserError
from hale.report.change.model import TrialState
from hale.report.text import escape_controls, fold_hostnames

_RunRow = tuple[str, str, str, str, str]  # run, operator, hosts, steps, state


def table(reports: Path) -> Table:
    """All runs, the newest first, with unabridged names.

    A file that is no journal of a run is a row too. Raises UserError for an invalid one of a drill.
    """
    invalid: list[UserError] = []
    histories = run_journals.load_runs(reports, invalid.append)
    rows = [_row(history, histories) for history in histories]
    rows += [_invalid(error) for error in invalid]
    rows += [_drill(history) for history in drills.load_drills(reports)]
    cells = [[escape_controls(c) for c in row] for row in sorted(rows, reverse=True)]
    shown = Table(box=None)
    # The name is for `invoke undo`: it is never shortened.
    shown.add_column("run", min_width=max((len(name) for name, *_ in cells), default=0))
    for title in ("operator", "hosts", "steps", "state"):
        shown.add_column(title, overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))
    return shown


def _row(history: RunHistory, histories: Iterable[RunHistory]) -> _RunRow:
    header = history.header
    by = ", ".join(s.header.run for s in histories if s.header.of == header.run and _succeeded(s))
    state = f"{history.state}, undone by {by}" if by else history.state
    if history.trials:
        state = f"{state}, {_trial(history)}"
    hosts = {host for host, _ in history.begun} | {a.host for a in history.acts}
    done = sum(bool(d.undo) for d in history.done.values()) + len(history.acts)
    approved = f", approved by {header.approved_by}" if header.approved_by else ""
    ticket = f", {header.ticket}" if header.ticket else ""
    return (
        header.run,
        f"{header.operator}@{header.source_host}{approved}{ticket}",
        fold_hostnames(sorted(hosts)) or "none",
        f"{done} done, {len(history.skipped)} not",
        f"undoes {header.of}: {state}" if header.of else state,
    )


def _trial(history: RunHistory) -> str:
    """How the trial of a run stands, as far as its journal has it."""
    ends: dict[TrialState, list[str]] = {}
    for host, end in history.trial_ends.items():
        ends.setdefault(end.state, []).append(host)
    parts = [
        f"{state.value} on {fold_hostnames(sorted(hosts))}"
        if state in (TrialState.CONFIRMED, TrialState.CANCELLED)
        else f"{_BY_HOST[state]}: {fold_hostnames(sorted(hosts))}"
        for state, hosts in ends.items()
    ]
    if waiting := history.open_trials:
        until = max(history.trials[host].until for host in waiting)
        over = until <= now()
        parts.append(
            f"trial over since {until}: `invoke confirm {history.header.run}` reports its end"
            if over
            else f"on trial until {until}"
        )
    return ", ".join(parts)


_BY_HOST = {
    TrialState.UNDONE: "undone by the hosts",
    TrialState.INCOMPLETE: "undone in part by the hosts",
    TrialState.NONE: "trial without a record on",
}


def _invalid(error: UserError) -> _RunRow:
    name = Path(error.where.file).parent.name if error.where else ""
    return name, "", "", "", f"invalid: {error}"


def _succeeded(undo: RunHistory) -> bool:
    return undo.state is RunState.FINISHED


def _drill(history: drills.DrillHistory) -> _RunRow:
    owner = history.header.owner
    left = " and ".join(f"{t.kind} of {t.host}" for t in history.active_faults)
    back = f": {left} not reverted, run `invoke drill --revert`" if left else ""
    return (
        history.folder.name,
        f"{owner.operator}@{owner.source_host}",
        fold_hostnames(sorted(history.hosts)) or "none",
        f"{', '.join(history.kinds) or 'no fault'} injected",
        history.state + ("" if history.state is drills.DrillState.RUNNING else back),
    )
