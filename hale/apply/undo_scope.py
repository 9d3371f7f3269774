"""What a journal from a file may undo: what its own steps did, and these are what a run can do.

Whoever can write into the reports folder can write a journal. So each change that undoes a step
must be the one that its step's handler gives, the step must be one of a remedy (or, in the journal
of an undo, take back one of a remedy), and where the change says how the host was before, the
host's own record of that must agree.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
from msgspec import Struct

from hale.apply.handlers import inverse_changes
from hale.apply.journal import RunHistory, StepStarted
from hale.apply.prepared import RUNS, PreparedStep
from hale.model.change import (
    Action,
    FileEdit,
    KernelValueChange,
    ManualStep,
    ModuleChange,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.plan.scope import Scope, ScopeOf, malformed, not_planned

UNDO = "undo"  # the kind of a run
_LINKS = re.compile(r"/etc/systemd/system/([^/]+\.(wants|requires|upholds)/)?[^/]+")
_OPPOSITE = {UnitAction.START: UnitAction.STOP, UnitAction.STOP: UnitAction.START}


class Record(Struct, frozen=True):
    """What a host must have noted of a step: a line of a file, and which change needs that.

    absent: a file that does not have the line.
    """

    host: str
    file: str
    line: str
    change: str
    absent: str = ""


def check_undo(
    history: RunHistory, hosts: Collection[str], scope_of: ScopeOf
) -> tuple[Record, ...]:
    """The records that these hosts must have of the run, before it is undone on them.

    Raises UserError for a journal whose steps are of no fix, or whose undo is not that of its
    steps. No host is contacted.
    """
    records: list[Record] = []
    for (host, number), done in history.done.items():
        if host not in hosts:
            continue
        begun = history.begun.get((host, number))
        if begun is None:
            raise UserError(f"{_not_a_fix(history)}: step {number} of {host} was never begun.")
        scope = scope_of(host, begun.step.requirements)
        undo = [change for change in done.undo if not isinstance(change, ManualStep)]
        whys = (_not_begun(begun, history, scope), *_not_its_undo(begun, undo, history, scope))
        for why in filter(None, whys):
            raise UserError(
                f"{_not_a_fix(history)}: {why} on {host} ({', '.join(begun.step.requirements)}). "
                "Nothing was undone."
            )
        records += _records(begun, undo, history, scope)
    return tuple(records)


def check_records(
    history: RunHistory, records: Iterable[Record], noted: Callable[[str, str], str]
) -> None:
    """Raises UserError where a host has not noted what its journal says.

    noted: the content of a file of the run's backups, by the host and the file; "" for none.
    """
    for one in records:
        found = one.line in noted(one.host, one.file).split("\n")
        if not found or (one.absent and one.line in noted(one.host, one.absent).split("\n")):
            raise UserError(
                f"{_not_a_fix(history)}: it would {one.change} on {one.host}, which has no record "
                f"of it ({one.file}). Nothing was undone."
            )


def check_begun(history: RunHistory, scope_of: ScopeOf) -> None:
    """Raises UserError for unfinished steps that cannot be of a run: they are not recovered."""
    for begun in history.open:
        scope = scope_of(begun.host, begun.step.requirements)
        if why := _not_begun(begun, history, scope):
            raise UserError(f"{history.header.run} is not recovered: a step of its journal {why}.")


def _not_a_fix(history: RunHistory) -> str:
    return f"the journal of {history.header.run} is not of a fix"


def _folder(history: RunHistory, begun: StepStarted) -> str:
    return f"{RUNS}/{history.header.run}/{begun.number}"


def _not_begun(begun: StepStarted, history: RunHistory, scope: Scope) -> str:
    """Why no run can have begun this step; empty if one may have, on a file of any path."""
    if history.header.kind != UNDO:
        return not_planned(begun.step, scope)
    return malformed(begun.step.change) or _not_an_undo(
        begun.step.change, f"{RUNS}/{history.header.of}/", scope
    )


def _not_an_undo(change: Action, folder: str, scope: Scope) -> str:
    """Why the change undoes no change of a remedy. folder: of the backups that it restores."""
    match change:
        case FileEdit():
            return f"would edit {change.path}"
        case RestoreFile():
            if not re.fullmatch(re.escape(folder) + r"\d+/original", change.backup_path):
                return f"would restore {change.path} from {change.backup_path}"
            return _other_folders(change)
        case SymlinkChange():
            # Those that `systemctl disable` has removed, and those that a remedy makes.
            disabled = UnitChange in scope.kinds and _LINKS.fullmatch(change.path)
            if not disabled and not scope.has_link(change.path):
                return f"would change {change.path}"
            return _other_folders(change)
        case KernelValueChange():
            paths = change.path, *change.preserve, *change.cascades_to, *dict(change.write_after)
            if not scope.has_values(paths):
                return f"would write {' and '.join(paths)}"
        case ModuleChange():
            if not scope.has_module(change.name):
                return f"would {change.describe()!r}"
        case UnitChange():
            actions = change.action, _OPPOSITE.get(change.action, change.action)
            if not any(scope.has_unit(change.unit, action) for action in actions):
                return f"would {change.describe()!r}"
        case SwapOff() | SwapOn():
            if SwapOff not in scope.kinds:
                return f"would {change.describe()!r}"
        case _:
            return f"would {change.describe()!r}"
    return ""


def _other_folders(change: RestoreFile | SymlinkChange) -> str:
    other = [f for f in change.folders if not change.path.startswith(f"{f}/")]
    return f"would remove {' and '.join(other)}" if other else ""


def _not_its_undo(
    begun: StepStarted, undo: Iterable[Action], history: RunHistory, scope: Scope
) -> Iterator[str]:
    """Why these changes are not those that undo the step."""
    folder = _folder(history, begun)
    prepared = PreparedStep(begun.step, folder, begun.after, begun.notes)
    try:
        inverse = [
            _without_reason(change)
            for change in inverse_changes(prepared, ())
            if not isinstance(change, ManualStep)
        ]
    except ValueError:
        yield f"it has {begun.notes} for the notes of {begun.step.change.describe()!r}"
        return
    for change in undo:
        if why := malformed(change):
            yield f"it {why}"
        elif _is_disabled_link(begun.step.change, change):
            continue
        elif _without_reason(change) not in inverse:
            yield f"it would {change.describe()!r}, which does not undo its step"
        elif why := _not_an_undo(change, folder.removesuffix(str(begun.number)), scope):
            yield f"it {why}"


def _without_reason(change: Action) -> Action:
    return msgspec.structs.replace(change, reason="")


def _is_disabled_link(step: Action, undo: Action) -> bool:
    """Whether it is a link that systemctl can have removed when it disabled the unit."""
    return (
        isinstance(step, UnitChange)
        and step.action is UnitAction.DISABLE
        and isinstance(undo, SymlinkChange)
        and undo.precondition is None
        and not undo.folders
        and bool(_LINKS.fullmatch(undo.path))
    )


def _records(
    begun: StepStarted, undo: Iterable[Action], history: RunHistory, scope: Scope
) -> Iterator[Record]:
    """What the host has noted if these changes restore what was there."""
    folder = _folder(history, begun)
    for change in undo:
        if isinstance(change, RestoreFile) and not scope.has_file(change.path):
            yield Record(begun.host, f"{folder}/path", change.path, change.describe())
        elif isinstance(change, SymlinkChange) and isinstance(begun.step.change, UnitChange):
            line = f"{change.path}\t{change.target}"
            yield Record(begun.host, f"{folder}/links", line, change.describe(), f"{folder}/left")
        elif isinstance(change, SymlinkChange) and change.target is not None:
            line = f"link {change.target}"
            yield Record(begun.host, f"{folder}/link", line, change.describe())
