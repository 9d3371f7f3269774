"""The baseline, read from standard/, and its parameters with the overrides of an inventory."""

import difflib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli
from msgspec import Struct

from hale.files import regular
from hale.inventory.ini import OVERRIDE_PREFIX, OWN_VARIABLES, Host, Inventory, Variable
from hale.model.errors import Location, UserError
from hale.model.lifetime import KUBERNETES, Versions
from hale.model.requirement import (
    Guard,
    Override,
    Profile,
    Requirement,
    Role,
    current_profile,
)
from hale.standard import lifetimes, subjects
from hale.standard.chapter import is_finite, parse_chapter

MOST = regular.MIB  # of a chapter


class Standard(Struct, frozen=True):
    """All requirements in order of file and place, and the SHA-256 of the files."""

    folder: Path
    requirements: tuple[Requirement, ...]
    sha256: str

    def of_profile(self, profile: str) -> tuple[Requirement, ...]:
        """`baseline`, or `extended`, which is the baseline and the requirements beyond it."""
        profiles = list(Profile)
        wanted = profiles[: profiles.index(Profile(current_profile(profile))) + 1]
        return tuple(r for r in self.requirements if r.profile in wanted)

    def guarding(self, action: Guard) -> tuple[Requirement, ...]:
        """The requirements that a living cluster must meet before that action."""
        return tuple(r for r in self.requirements if action in r.guards)

    @property
    def preflight(self) -> tuple[Requirement, ...]:
        """The requirements that hosts must meet before an install begins."""
        return tuple(r for r in self.requirements if r.preflight)


def load_standard(folder: Path) -> Standard:
    """Read standard/*.toml. Raises UserError with file and line if it is invalid."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UserError("no baseline here: the folder has no *.toml file.", Location(folder))
    digest = hashlib.sha256()
    by_id: dict[str, Requirement] = {}
    for path in files:
        try:
            raw = regular.read_file(path, MOST)
        except regular.UnfitFile as error:
            raise UserError(f"not a baseline: it is {error}.", Location(path)) from None
        except OSError as error:
            raise UserError(
                f"cannot read the baseline: {error.strerror}.", Location(path)
            ) from None
        digest.update(f"{path.name}\0{len(raw)}\0".encode() + raw)
        for requirement in parse_chapter(path, raw):
            other = by_id.setdefault(requirement.id, requirement)
            if other is not requirement:
                raise UserError(
                    f"{requirement.id} is already defined at {other.where}.", requirement.where
                )
    for requirement in by_id.values():
        _check_shared(requirement, by_id)
        _check_order(requirement, by_id)
    owners = {name: requirement.values for name, requirement in by_id.items()}
    for name, requirement in by_id.items():
        if of_owner := lifetimes.of_owner(requirement.shared, owners):
            values = (*requirement.values, *of_owner)
            by_id[name] = msgspec.structs.replace(requirement, values=values)
    return Standard(folder, tuple(by_id.values()), digest.hexdigest())


def _check_shared(requirement: Requirement, by_id: Mapping[str, Requirement]) -> None:
    """Raises UserError where a shared parameter is not that of the other requirement."""
    for name, owner in requirement.shared.items():
        other = by_id.get(owner)
        if not hasattr(requirement.parameters, name) or (
            getattr(other and other.parameters, name, None) != getattr(requirement.parameters, name)
        ):
            raise UserError(
                f"{requirement.id}: {name} is not shared with {owner}, which has no such parameter "
                "or another value of it.",
                requirement.where,
            )
        if any(value.parameter == name for value in requirement.values):
            raise UserError(
                f"{requirement.id}: {name} is shared with {owner}: state its values there.",
                requirement.where,
            )


def _check_order(requirement: Requirement, by_id: Mapping[str, Requirement]) -> None:
    """Raises UserError where the preflight does not have both requirements."""
    for name in requirement.preflight_after:
        other = by_id.get(name)
        if not requirement.preflight or other is None or not other.preflight:
            raise UserError(
                f"{requirement.id}: preflight_after has {name}, and not both are of the preflight.",
                requirement.where,
            )


def parameters_of(
    requirement: Requirement,
    inventory: Inventory,
    host: Host | None,
    versions: Versions | None = None,
) -> tuple[Any, tuple[Override, ...]]:
    """The requirement's parameters for this host, and what was overridden to get them.

    versions: those in use; what the inventory asks for where they are not given. Raises UserError
    with the inventory's line for a value of the wrong type.
    """
    variables = host.variables if host else inventory.variables
    versions = planned_versions(inventory) if versions is None else versions
    stated = lifetimes.values_at(requirement.parameters, requirement.values, versions)
    overrides = []
    for name in stated.__struct_fields__:
        variable = variables.get(override_variable(requirement, name))
        if variable is None:
            continue
        value = _coerce(variable, name, requirement)
        standard = getattr(stated, name)
        overrides.append(Override(name, standard, value, variable.scope, variable.where))
    changed = msgspec.structs.replace(stated, **{o.parameter: o.value for o in overrides})
    return changed, tuple(overrides)


def planned_versions(inventory: Inventory) -> Versions:
    """The version that the inventory asks for; empty where it names none."""
    planned = inventory.cluster.kubernetes_version
    return {KUBERNETES: inventory.cluster.minor} if planned else {}


def check_overrides(standard: Standard, inventory: Inventory) -> None:
    """Raise UserError, with file and line, for a `hale_…` variable that overrides no
    parameter."""
    known = {
        override_variable(r, name): r
        for r in standard.requirements
        for name in r.parameters.__struct_fields__
        if name not in r.shared
    }
    for host in inventory.hosts:
        for name, variable in host.variables.items():
            if not name.startswith(OVERRIDE_PREFIX) or name in OWN_VARIABLES:
                continue
            requirement = known.get(name)
            if requirement is None:
                close = difflib.get_close_matches(name, known, 1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise UserError(
                    f"{name} overrides nothing: no requirement has such a parameter.{hint}",
                    variable.where,
                )
            if requirement.role is Role.CLUSTER and name not in inventory.variables:
                raise UserError(
                    f"{requirement.id} is judged once for the cluster: set {name} for all hosts.",
                    variable.where,
                )
            parameters_of(requirement, inventory, host)


def override_variable(requirement: Requirement, parameter: str) -> str:
    """The inventory's variable that overrides the parameter."""
    owner = requirement.shared.get(parameter, requirement.id)
    return f"{OVERRIDE_PREFIX}{owner.lower().replace('-', '_')}__{parameter}"


def _coerce(variable: Variable, name: str, requirement: Requirement) -> Any:
    text = variable.value
    try:
        raw: Any = tomli.loads(f"value = {text}")["value"]
    except (tomli.TOMLDecodeError, RecursionError):
        raw = text
    wanted = subjects.parameter_type(requirement.subject, name)
    why = ""
    for given in (raw, text):
        try:
            value = msgspec.convert(given, wanted)
        except msgspec.ValidationError as error:
            why = why or str(error)
            continue
        if is_finite(value):
            return value
        why = why or "a limit is a finite number"
    raise UserError(f"{requirement.id}: {name} = {text!r}: {why}.", variable.where)
