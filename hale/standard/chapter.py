"""One chapter of the baseline, as TOML.

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

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hale.files.toml import parse_toml
from hale.model.errors import Location, UserError
from hale.model.requirement import (
    Aspect,
    Guard,
    Profile,
    Reference,
    Requirement,
    Role,
    Severity,
)
from hale.standard import lifetimes, subjects
from hale.standard.places import header, invalid, locate


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


def parse_chapter(path: Path, raw: bytes) -> list[Requirement]:
    """The requirements of one file, given what it holds. Raises UserError with the line."""
    text, document = parse_toml(path, raw)
    chapter = document.pop("chapter", None)
    if type(chapter) is not int:
        at = locate(path, text, "", "chapter").line or 1
        raise UserError("`chapter = <number>` must stand first.", Location(path, at))
    if not isinstance(document.pop("title", None), str):
        at = locate(path, text, "", "title").line or 1
        raise UserError('`title = "…"` must stand first.', Location(path, at))
    return [_requirement(path, text, chapter, *entry) for entry in document.items()]


class _Entry(Struct, frozen=True):
    """Where a requirement stands in its chapter."""

    path: Path
    text: str
    name: str

    def at(self, key: str, table: str = "") -> Location:
        """The line of a key of the requirement, or of one of its tables."""
        where = f"{self.name}.{table}" if table else self.name
        return locate(self.path, self.text, where, key)


def _requirement(path: Path, text: str, chapter: int, name: str, table: Any) -> Requirement:
    entry = _Entry(path, text, name)
    where = header(path, text, name)
    if not isinstance(table, dict) or not re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+", name):
        raise UserError(f"{name!r}: a requirement is a table like [SWAP-OFF].", where)
    stated = _stated(entry, table)
    _check_choices(entry, stated)
    try:
        subjects.load_subject(stated.subject)
    except subjects.UnknownSubject as error:
        raise UserError(str(error), entry.at("subject")) from None
    if not stated.aspects:
        raise UserError(f"{name} names no aspect.", where)
    _check_guards(entry, stated)
    _check_aspects(entry, stated)
    parameters = _parameters(entry, stated)
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


def _stated(entry: _Entry, table: dict[str, Any]) -> _Table:
    """Raises UserError for an unknown key or a value of another type."""
    aspects = table.get("aspects")
    for aspect, statement in aspects.items() if isinstance(aspects, dict) else ():
        if not isinstance(statement, str):
            raise UserError(f"{aspect}: what must be true, as a text.", entry.at(aspect, "aspects"))
    try:
        return msgspec.convert(table, _Table)
    except msgspec.ValidationError as error:
        raise invalid(entry.path, entry.text, entry.name, error) from None


def _check_choices(entry: _Entry, stated: _Table) -> None:
    """Raises UserError where a value is none of those that its key may have."""
    choices: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("role", stated.role, Role),
        ("reads", stated.reads, [r for r in Role if r is not Role.CLUSTER]),
        ("severity", stated.severity, Severity),
        ("profile", stated.profile, Profile),
        *(("guards", action, Guard) for action in stated.guards),
    )
    for key, value, known in choices:
        if value not in tuple(known):
            raise UserError(f"{key} = {value!r}: known are {', '.join(known)}.", entry.at(key))


def _check_guards(entry: _Entry, stated: _Table) -> None:
    """Raises UserError where the requirement could not guard a change."""
    if not stated.guards:
        return
    if "runtime" not in stated.aspects:
        why = "only a runtime aspect can"
    elif stated.profile != Profile.BASELINE:
        why = f"only a requirement of the {Profile.BASELINE} can"
    else:
        return
    raise UserError(f"{entry.name} guards nothing: {why}.", entry.at("guards"))


def _check_aspects(entry: _Entry, stated: _Table) -> None:
    """Raises UserError for an aspect that is unknown, or that the subject does not read."""
    for aspect in stated.aspects:
        at = entry.at(aspect, "aspects")
        if aspect not in tuple(Aspect):
            raise UserError(f"{aspect!r}: known aspects are {', '.join(Aspect)}.", at)
        if aspect != Aspect.DRILL and subjects.reader(stated.subject, aspect) is None:
            raise UserError(f"facts/{stated.subject}.py has no read_{aspect}().", at)


def _parameters(entry: _Entry, stated: _Table) -> Struct:
    """The parameters, of the subject's type. Raises UserError where they are not."""
    parameter_types = subjects.parameters_class(stated.subject)
    try:
        parameters: Struct = msgspec.convert(stated.parameters, parameter_types)
    except msgspec.ValidationError as error:
        raise invalid(entry.path, entry.text, f"{entry.name}.parameters", error) from None
    if unknown := set(stated.parameters) - set(parameter_types.__struct_fields__):
        raise UserError(
            f"{entry.name} has no parameter {min(unknown)!r}.", entry.at(min(unknown), "parameters")
        )
    for key, value in stated.parameters.items():
        if not is_finite(value):
            raise UserError(
                f"{entry.name}: {key} = {value}: a limit is a finite number.",
                entry.at(key, "parameters"),
            )
    return parameters


def is_finite(value: Any) -> bool:
    """Whether no number in it is nan or inf: nothing is above nan, and everything below inf."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(is_finite, value))
