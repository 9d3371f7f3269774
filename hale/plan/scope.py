"""What a plan or a journal from a file may do: only what the remedies of its requirements do.

A checksum is no signature: whoever can edit a plan can compute it again. So each change is compared
with what the modules of remediate/ declare as data: KINDS; PATHS, patterns of the files and links
that they write (`*` stands for part of one name); and `kernel_values(parameters)`, the files of
kernel values.
"""

import importlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from hale.model.change import (
    Action,
    FileEdit,
    Impact,
    KernelValueChange,
    ModuleChange,
    RestoreFile,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.plan.plan import PACKAGE, Plan, Step
from hale.standard.loader import Standard

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_UNIT = re.compile(r"[A-Za-z0-9@:_.\\][A-Za-z0-9@:_.\\-]*")
_ENABLING = re.compile(r"/etc/systemd/system/([^/]+\.(wants|requires|upholds)/)?[^/]+")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_IMPACTS = {UnitAction.RESTART: Impact.RESTARTS_SERVICE, UnitAction.STOP: Impact.DISRUPTS_TRAFFIC}


class _Scope:
    """What the remedies of some requirements may do. Raises UserError for an unknown one."""

    def __init__(self, requirements: Iterable[str], standard: Standard) -> None:
        known = {r.id: r for r in standard.requirements}
        self.kinds: list[type[Any]] = []
        self.paths: list[str] = []
        self.values: list[str] = []
        for name in requirements:
            if name not in known:
                raise UserError(f"the baseline has no requirement {name!r}.")
            try:
                module = importlib.import_module(f"{PACKAGE}.{known[name].subject}")
            except ModuleNotFoundError:
                continue  # manual steps only
            self.kinds += module.KINDS
            self.paths += getattr(module, "PATHS", ())
            self.values += getattr(module, "kernel_values", lambda _: ())(known[name].parameters)

    def has_path(self, path: str) -> bool:
        """Whether a remedy writes a file or link of that path."""
        return any(_regex(pattern).fullmatch(path) for pattern in self.paths)

    def has_values(self, patterns: Iterable[str]) -> bool:
        """Whether a remedy writes these kernel values."""
        return all(
            path in self.values or any(_regex(one).fullmatch(path) for one in self.values)
            for path in patterns
        )


def _regex(pattern: str) -> "re.Pattern[str]":
    return re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))


def check_plan(made: Plan, standard: Standard, fresh_paths: Callable[[str], set[str]]) -> None:
    """Raises UserError for a plan of a file that does what no remedy does.

    fresh_paths: the files on a host that a plan made now would edit: a site's link may lead to a
    file that no pattern names.
    """
    for host in made.hosts:
        for number, step in enumerate(host.steps, 1):
            if why := _not_planned(step, standard, partial(fresh_paths, host.host)):
                raise UserError(
                    f"step {number} of {host.host} ({', '.join(step.requirements)}) {why}: no "
                    "remedy makes such a change, so the plan was not made by `invoke fix`, or is "
                    "of another version. Plan again."
                )


def _not_planned(step: Step, standard: Standard, fresh: Callable[[], set[str]]) -> str:
    """Why a remedy did not make this step; empty if one may have."""
    change = step.change
    scope = _Scope(step.requirements, standard)
    if type(change) not in scope.kinds:
        return f"would {change.describe()!r}"
    if why := _malformed(change):
        return why
    if step.diff and not isinstance(change, FileEdit):
        return "shows a difference of a file, and edits none"
    needed = _IMPACTS.get(getattr(change, "action", None))  # type: ignore[arg-type]
    if isinstance(change, ModuleChange):
        needed = Impact.DISRUPTS_TRAFFIC
    if needed and needed not in change.effects:
        return f"conceals that it {needed.value}"
    match change:
        case FileEdit():
            if not scope.has_path(change.path) and change.path not in fresh():
                return f"would edit {change.path}"
        case SymlinkChange():
            if not scope.has_path(change.path) or change.folders:
                return f"would change {' and '.join((change.path, *change.folders))}"
        case KernelValueChange():
            paths = (change.path, *change.preserve, *change.cascades_to)
            if not scope.has_values(paths) or change.write_after:
                return f"would write {' and '.join((*paths, *dict(change.write_after)))}"
    return ""


def check_undo(
    made: Plan, standard: Standard, run: str, runs: str, recorded: Callable[[str, str], str]
) -> None:
    """Raises UserError for the plan of an undo that does more than to undo a fix.

    run: the undone run; runs: the folder of backups on a host. recorded: what path a file of
    `runs` was a backup of, by the host and that file: as the host has noted it.
    """
    for host in made.hosts:
        for step in host.steps:
            for why in _not_undone(step, standard, f"{runs}/{run}/", host.host, recorded):
                raise UserError(
                    f"the journal of {run} is not of a fix: {why} on {host.host} "
                    f"({', '.join(step.requirements)}). Nothing was undone."
                )


def check_begun(steps: Iterable[Step], standard: Standard, run: str) -> None:
    """Raises UserError for steps of a journal that cannot be of a run: they are not recovered."""
    for step in steps:
        change = step.change
        why = _malformed(change)
        if not why and isinstance(change, KernelValueChange):
            written = dict(change.write_after)
            paths = change.path, *change.preserve, *change.cascades_to, *written
            if not _Scope(step.requirements, standard).has_values(paths):
                why = f"would write {' and '.join(paths)}"
        if why:
            raise UserError(f"{run} is not recovered: a step of its journal {why}.")


def _not_undone(
    step: Step, standard: Standard, folder: str, host: str, recorded: Callable[[str, str], str]
) -> Iterator[str]:
    change = step.change
    scope = _Scope(step.requirements, standard)
    if why := _malformed(change):
        yield why
    match change:
        case FileEdit():
            yield f"it would edit {change.path}"
        case RestoreFile():
            if not re.fullmatch(re.escape(folder) + r"\d+/original", change.backup_path):
                yield f"it would restore {change.path} from {change.backup_path}"
            elif not scope.has_path(change.path) and recorded(host, change.backup_path) != (
                change.path
            ):
                yield f"it would restore {change.path}"
            yield from _other_folders(change.path, change.folders)
        case SymlinkChange():
            # The links that `systemctl disable` has removed.
            enables = UnitChange in scope.kinds and _ENABLING.fullmatch(change.path)
            if not enables and not scope.has_path(change.path):
                yield f"it would change {change.path}"
            yield from _other_folders(change.path, change.folders)
        case KernelValueChange():
            paths = change.path, *change.preserve, *change.cascades_to, *dict(change.write_after)
            if not scope.has_values(paths):
                yield f"it would write {' and '.join(paths)}"


def _other_folders(path: str, folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        if not path.startswith(f"{folder}/"):
            yield f"it would remove {folder}"


def _malformed(change: Action) -> str:
    """Why the change's data cannot be a remedy's; empty if it can."""
    for text in _texts(msgspec.structs.replace(change, reason="")):
        if _CONTROL.search(text):
            return f"has a control character in it ({text!r})"
    path = getattr(change, "path", "/x")
    others = (*getattr(change, "folders", ()), getattr(change, "device", "/x"))
    for name in (path, *others):
        if "\n" in name:
            return f"has {name!r} for a path"
        if name != posixpath.normpath(name) or not name.startswith("/") or name[:2] == "//":
            return f"has {name!r} for an absolute path without `.` and `..`"
    if isinstance(change, UnitChange) and not _UNIT.fullmatch(change.unit):
        return f"has {change.unit!r} for the name of a unit"
    if isinstance(change, ModuleChange) and not _MODULE.fullmatch(change.name):
        return f"has {change.name!r} for the name of a module"
    return ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        for one in msgspec.structs.astuple(value):
            yield from _texts(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)
