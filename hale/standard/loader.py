"""The baseline: what must be true, as TOML, one file a chapter.

A file is `standard/NN-name.toml`: `chapter` and `title`, then one table a requirement,

    [SWAP-OFF]
    title = "Swap is off"
    subject = "swap"            # facts/swap.py reads it, checks/test_swap.py judges it
    role = "all"                # all, masters, workers, or cluster (judged once …)
    reads = "masters"           # (… from these hosts; all by default)
    severity = "critical"       # critical, major or minor
    profile = "baseline"        # or "extended": beyond the baseline
    guards = ["change"]         # what a cluster that fails it must not get: "change", "drill"
    preflight = true            # hosts must meet it before an install begins
    preflight_after = ["A-B"]   # judged there once these, which may be its cause, are remediated
    why = "The kubelet refuses to start …"
    [SWAP-OFF.aspects]          # what must be true, aspect by aspect, for people
    runtime = "no swap is active"
    [SWAP-OFF.parameters]       # limits and values; their types are the subject's Parameters
    [MOD-IP-VS.shared]          # parameters that are another requirement's, with its overrides
    mode = "CMP-KUBE-PROXY"
    [[TIME-SYNC.references]]    # rules of published benchmarks about the same thing
    benchmark = "CIS Debian Linux 12 Benchmark"
    id = "2.3.1.1"
    title = "Ensure a single time synchronization daemon is in use"
    relation = "equivalent"     # equivalent, partial or conflicting

`{name}` in an aspect's text stands for a parameter, or for `vip`, `vip_port`, `vip_names`.
`[[SWAP-OFF.versions]]` and `[[SWAP-OFF.values]]` state which versions of Kubernetes or of a system
have the requirement or a value: hale/standard/lifetimes.py.
"""

import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli
from msgspec import Struct

from hale.files import regular
from hale.files.toml import parse_toml
from hale.inventory.ini import OVERRIDE_PREFIX, OWN_VARIABLES, Host, Inventory, Variable
from hale.model.errors import Location, UserError
from hale.model.lifetime import KUBERNETES, Versions
from hale.model.requirement import (
    Aspect,
    Guard,
    Override,
    Profile,
    Reference,
    Requirement,
    Role,
    Severity,
    current_profile,
)
from hale.standard import lifetimes, subjects
from hale.standard.places import header, invalid, locate


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
        for requirement in _parse_chapter(path, raw):
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


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """One requirement as the file has it."""

    title: str
    subject: str
    role: str
    severity: str
    aspects: dict[str, str]
    reads: str = "all"
    profile: str = "baseline"
    why: str = ""
    guards: tuple[str, ...] = ()
    preflight: bool = False
    preflight_after: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    shared: dict[str, str] = {}
    versions: list[lifetimes.LifetimeTable] = []
    values: list[lifetimes.ValueTable] = []
    references: tuple[Reference, ...] = ()


def _parse_chapter(path: Path, raw: bytes) -> list[Requirement]:
    text, document = parse_toml(path, raw)
    chapter = document.pop("chapter", None)
    if type(chapter) is not int:
        at = locate(path, text, "", "chapter").line or 1
        raise UserError("`chapter = <number>` must stand first.", Location(path, at))
    if not isinstance(document.pop("title", None), str):
        at = locate(path, text, "", "title").line or 1
        raise UserError('`title = "…"` must stand first.', Location(path, at))
    return [_requirement(path, text, chapter, *entry) for entry in document.items()]


def _requirement(path: Path, text: str, chapter: int, name: str, table: Any) -> Requirement:
    where = header(path, text, name)
    if not isinstance(table, dict) or not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+", name):
        raise UserError(f"{name!r}: a requirement is a table like [SWAP-OFF].", where)
    aspects = table.get("aspects")
    for aspect, statement in aspects.items() if isinstance(aspects, dict) else ():
        if not isinstance(statement, str):
            at = locate(path, text, f"{name}.aspects", aspect)
            raise UserError(f"{aspect}: what must be true, as a text.", at)
    try:
        stated = msgspec.convert(table, _Table)
    except msgspec.ValidationError as error:
        raise invalid(path, text, name, error) from None
    choices: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("role", stated.role, Role),
        ("reads", stated.reads, [r for r in Role if r is not Role.CLUSTER]),
        ("severity", stated.severity, Severity),
        ("profile", stated.profile, Profile),
        *(("guards", action, Guard) for action in stated.guards),
    )
    for key, value, known in choices:
        if value not in tuple(known):
            raise UserError(
                f"{key} = {value!r}: known are {', '.join(known)}.", locate(path, text, name, key)
            )
    subject_at = locate(path, text, name, "subject")
    try:
        subjects.load_subject(stated.subject)
    except subjects.UnknownSubject as error:
        raise UserError(str(error), subject_at) from None
    if not stated.aspects:
        raise UserError(f"{name} names no aspect.", where)
    if stated.guards and "runtime" not in stated.aspects:
        raise UserError(
            f"{name} guards nothing: only a runtime aspect can.",
            locate(path, text, name, "guards"),
        )
    if stated.guards and stated.profile != Profile.BASELINE:
        raise UserError(
            f"{name} guards nothing: only a requirement of the {Profile.BASELINE} can.",
            locate(path, text, name, "guards"),
        )
    for aspect in stated.aspects:
        at = locate(path, text, f"{name}.aspects", aspect)
        if aspect not in tuple(Aspect):
            raise UserError(f"{aspect!r}: known aspects are {', '.join(Aspect)}.", at)
        if aspect != Aspect.DRILL and subjects.reader(stated.subject, aspect) is None:
            raise UserError(f"facts/{stated.subject}.py has no read_{aspect}().", at)
    try:
        parameter_types = subjects.parameters_class(stated.subject)
        parameters = msgspec.convert(stated.parameters, parameter_types)
        unknown = set(stated.parameters) - set(parameter_types.__struct_fields__)
        if unknown:
            raise UserError(
                f"{name} has no parameter {min(unknown)!r}.",
                locate(path, text, f"{name}.parameters", min(unknown)),
            )
    except msgspec.ValidationError as error:
        raise invalid(path, text, f"{name}.parameters", error) from None
    for key, value in stated.parameters.items():
        if not _finite(value):
            raise UserError(
                f"{name}: {key} = {value}: a limit is a finite number.",
                locate(path, text, f"{name}.parameters", key),
            )
    return Requirement(
        id=name,
        chapter=chapter,
        title=stated.title,
        subject=stated.subject,
        role=Role(stated.role),
        reads=Role(stated.reads),
        severity=Severity(stated.severity),
        profile=Profile(stated.profile),
        why=stated.why,
        aspects={Aspect(aspect): text for aspect, text in stated.aspects.items()},
        parameters=parameters,
        where=where,
        guards=tuple(Guard(action) for action in stated.guards),
        preflight=stated.preflight,
        preflight_after=stated.preflight_after,
        shared=stated.shared,
        lifetimes=lifetimes.lifetimes(path, text, name, stated.versions),
        values=lifetimes.values(path, text, name, stated.subject, parameters, stated.values),
        references=stated.references,
    )


MOST = regular.MIB  # of a chapter


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
        if _finite(value):
            return value
        why = why or "a limit is a finite number"
    raise UserError(f"{requirement.id}: {name} = {text!r}: {why}.", variable.where)


def _finite(value: Any) -> bool:
    """Whether no number in it is nan or inf: nothing is above nan, and everything below inf."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_finite, value))
