"""What a plan or a journal from a file may do: only what the remedies of its requirements do.

A checksum is no signature: whoever can edit a plan can compute it again. So each change is compared
with what the modules of remediate/ declare as data: KINDS, and `scope(parameters)`, a RemedyScope.
Here is what can be judged without a host; fresh.py compares a plan with one that is made now.
"""

import importlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from hale.inventory.ini import Inventory
from hale.model.change import (
    Action,
    FileEdit,
    Impact,
    KernelValueChange,
    ModuleChange,
    SwapOff,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Requirement
from hale.plan.plan import PACKAGE, Plan, Step
from hale.standard import loader
from hale.standard.loader import Standard

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_UNIT = re.compile(r"[A-Za-z0-9@:_.\\][A-Za-z0-9@:_.\\-]*")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_IMPACTS = {UnitAction.RESTART: Impact.RESTARTS_SERVICE, UnitAction.STOP: Impact.DISRUPTS_TRAFFIC}

# The scope of some requirements' remedies on a host, by the host and the requirements' IDs.
ScopeOf = Callable[[str, Iterable[str]], "Scope"]


class Scope:
    """What the remedies of some requirements may do."""

    def __init__(self) -> None:
        self.kinds: set[type[Any]] = set()
        self.parts: list[RemedyScope] = []

    def has_file(self, path: str) -> bool:
        """Whether a remedy edits a file of that path."""
        return any(_matches(path, part.files) for part in self.parts)

    def has_link(self, path: str, target: str | None = None) -> bool:
        """Whether a remedy makes that link, or removes it; for None, whether it does either."""
        return any(
            _matches(path, (name,)) and (target is None or _matches(target, targets))
            for part in self.parts
            for name, targets in part.links.items()
        )

    def has_unit(self, unit: str, action: UnitAction) -> bool:
        """Whether a remedy has systemctl do that with the unit."""
        return any(_matches(unit, part.units.get(action, ())) for part in self.parts)

    def has_module(self, name: str) -> bool:
        """Whether a remedy loads that module."""
        return any(name in part.modules for part in self.parts)

    def has_values(self, patterns: Iterable[str]) -> bool:
        """Whether remedies write these kernel values."""
        known = [value for part in self.parts for value in part.kernel_values]
        return all(path in known or _matches(path, known) for path in patterns)


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(regex(pattern).fullmatch(text) for pattern in patterns)


def regex(pattern: str) -> "re.Pattern[str]":
    """The regular expression of a pattern of RemedyScope."""
    return re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))


def scopes(standard: Standard, known: Inventory) -> ScopeOf:
    """A function that gives the scope with the parameters of that inventory.

    It raises UserError for a requirement that the baseline does not have, and for a host that the
    inventory does not have.
    """
    requirements = {r.id: r for r in standard.requirements}
    hosts = {h.name: h for h in known.hosts}

    def scope_of(host: str, names: Iterable[str]) -> Scope:
        found = Scope()
        for name in names:
            if name not in requirements:
                raise UserError(f"the baseline has no requirement {name!r}.")
            if host not in hosts:
                raise UserError(f"the inventory {known.path} has no host {host!r}.")
            one = requirements[name]
            add(found, one, loader.parameters_of(one, known, hosts[host])[0])
        return found

    return scope_of


def add(found: Scope, requirement: Requirement, parameters: Any) -> None:
    """Add what the requirement's remedy may do, if it makes changes, to the scope."""
    try:
        module = importlib.import_module(f"{PACKAGE}.{requirement.subject}")
    except ModuleNotFoundError:
        return  # manual steps only
    found.kinds |= set(module.KINDS)
    found.parts.append(module.scope(parameters))


def check_plan(made: Plan, scope_of: ScopeOf) -> None:
    """Raises UserError for a plan of a file that does what no remedy does.

    The paths of edited files are not compared: a site's link may lead to one that no pattern names.
    """
    names = [host.host for host in made.hosts]
    if len(set(names)) < len(names):
        raise UserError("the plan has a host twice, which no plan has. Plan again.")
    for host in made.hosts:
        order = [step.change.apply_order for step in host.steps]
        if order != sorted(order):
            raise UserError(f"the steps of {host.host} are not in the order of a plan. Plan again.")
        for number, step in enumerate(host.steps, 1):
            if why := not_planned(step, scope_of(host.host, step.requirements)):
                raise UserError(
                    f"step {number} of {host.host} ({', '.join(step.requirements)}) {why}: no "
                    "remedy makes such a change, so the plan was not made by `invoke fix`, or is "
                    "of another version. Plan again."
                )


def not_planned(step: Step, scope: Scope) -> str:
    """Why a remedy did not make this step; empty if one may have, on a file of any path."""
    change = step.change
    if type(change) not in scope.kinds:
        return f"would {change.describe()!r}"
    if why := malformed(change):
        return why
    if step.diff and not isinstance(change, FileEdit):
        return "shows a difference of a file, and edits none"
    match change:
        case UnitChange() if not scope.has_unit(change.unit, change.action):
            return f"would {change.describe()!r}"
        case ModuleChange() if not (change.load and scope.has_module(change.name)):
            return f"would {change.describe()!r}"
        case SymlinkChange():
            if not scope.has_link(change.path, change.target or "") or change.folders:
                return f"would {' and remove '.join((repr(change.describe()), *change.folders))}"
        case KernelValueChange():
            paths = (change.path, *change.preserve, *change.cascades_to)
            if not scope.has_values(paths) or change.write_after:
                return f"would write {' and '.join((*paths, *dict(change.write_after)))}"
        case FileEdit() | UnitChange() | ModuleChange() | SwapOff():
            pass
        case _:
            return f"would {change.describe()!r}"
    needed = _IMPACTS.get(getattr(change, "action", None))  # type: ignore[arg-type]
    if needed and needed not in change.effects:
        return f"conceals that it {needed.value}"
    return ""


def malformed(change: Action) -> str:
    """Why the change's data cannot be a remedy's; empty if it can."""
    for text in _texts(msgspec.structs.replace(change, reason="")):
        if _CONTROL.search(text):
            return f"has a control character in it ({text!r})"
    path = getattr(change, "path", "/x")
    others = (getattr(change, name, "/x") for name in ("device", "backup_path"))
    for name in (path, *others, *getattr(change, "folders", ())):
        if "\n" in name:
            return f"has {name!r} for a path"
        if name != posixpath.normpath(name) or not name.startswith("/") or name[:2] == "//":
            return f"has {name!r} for an absolute path without `.` and `..`"
    if isinstance(change, SymlinkChange) and "" in (change.target, change.precondition):
        return "has an empty text for what a link leads to"
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
