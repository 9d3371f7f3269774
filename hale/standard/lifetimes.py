"""The versions that a requirement and its values hold for, as a chapter's file states them.

    [[MOD-IP-VS.versions]]      # the requirement itself
    of = "kubernetes"           # or NAME of os-release(5); Kubernetes by default
    since = "1.8"               # the first version for which it holds
    deprecated = "1.35"         # the first one that warns of it
    disabled = "1.40"           # the first one that has it off by default
    until = "1.43"              # the first one for which it does not hold
    source = "KEP-5495"         # where upstream states that
    instead = "use nftables"    # for people

    [[CMP-KUBE-PROXY.values]]   # one value of a parameter; the same keys, and
    parameter = "mode"
    value = "ipvs"
    tested = "lab"              # of an operating system: lab, recorded or none

A parameter of one value takes the last of its values that holds, and the one of `parameters` where
the version is unknown. A parameter of several values has those of `parameters` without the ones
that do not hold, and the others that do.
"""

import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hale.model.errors import UserError
from hale.model.lifetime import (
    KUBERNETES,
    HowTested,
    Lifetime,
    StatedValue,
    Version,
    Versions,
    spelled,
)
from hale.standard import subjects
from hale.standard.places import locate

LIMITS = ("since", "deprecated", "disabled", "until")


class LifetimeTable(Struct, frozen=True, forbid_unknown_fields=True, rename={"product": "of"}):
    """One table of `versions` as the file has it."""

    product: str = KUBERNETES
    since: str = ""
    deprecated: str = ""
    disabled: str = ""
    until: str = ""
    source: str = ""
    instead: str = ""


class ValueTable(LifetimeTable, frozen=True, rename={"product": "of"}):
    """One table of `values` as the file has it."""

    parameter: str = ""
    value: Any = None
    tested: str = ""


def lifetimes(
    path: Path, text: str, name: str, tables: Sequence[LifetimeTable]
) -> tuple[Lifetime, ...]:
    """The requirement's own. Raises UserError with file and line."""
    return tuple(
        _lifetime(path, text, f"{name}.versions[{n}]", table) for n, table in enumerate(tables)
    )


def _lifetime(
    path: Path, text: str, at: str, table: LifetimeTable, *, limited: bool = True
) -> Lifetime:
    pattern = r"[1-9]\d*\.\d+" if table.product == KUBERNETES else r"\d+(\.\d+)*"
    found: dict[str, Version] = {}
    for key in LIMITS:
        if value := getattr(table, key):
            if not re.fullmatch(pattern, value, re.ASCII):
                like = "1.35" if table.product == KUBERNETES else "9"
                raise UserError(
                    f"{at}: {key} = {value!r}: expected a version like {like!r}.",
                    locate(path, text, at, key),
                )
            found[key] = tuple(map(int, value.split(".")))
    if not found and limited:
        raise UserError(f"{at}: name one of {', '.join(LIMITS)}.", locate(path, text, at))
    if found and not table.source:
        raise UserError(
            f"{at}: source: where upstream states that is missing.", locate(path, text, at)
        )
    for (first, earlier), (second, later) in pairwise(found.items()):
        if earlier > later or (first, earlier) == ("since", later):
            raise UserError(
                f"{at}: {second} {spelled(later)} is not after {first} {spelled(earlier)}.",
                locate(path, text, at, second),
            )
    return Lifetime(table.product, source=table.source, instead=table.instead, **found)


def values(
    path: Path, text: str, name: str, subject: str, parameters: Any, tables: Sequence[ValueTable]
) -> tuple[StatedValue, ...]:
    """The values with a lifetime. Raises UserError with file and line."""
    found: list[StatedValue] = []
    for n, table in enumerate(tables):
        at = f"{name}.values[{n}]"
        if table.parameter not in parameters.__struct_fields__:
            raise UserError(
                f"{at}: {name} has no parameter {table.parameter!r}.",
                locate(path, text, at, "parameter"),
            )
        wanted = subjects.parameter_type(subject, table.parameter)
        wanted = typing.get_args(wanted)[0] if _several(wanted) else wanted
        try:
            value = msgspec.convert(table.value, wanted)
        except msgspec.ValidationError as error:
            raise UserError(f"{at}: value: {error}.", locate(path, text, at, "value")) from None
        if table.tested and table.tested not in tuple(HowTested):
            raise UserError(
                f"{at}: tested = {table.tested!r}: known are {', '.join(HowTested)}.",
                locate(path, text, at, "tested"),
            )
        lifetime = _lifetime(path, text, at, table, limited=not table.tested)
        tested = HowTested(table.tested) if table.tested else None
        stated = StatedValue(table.parameter, value, lifetime, tested)
        _require_apart(path, text, at, subject, found, stated)
        found.append(stated)
    for parameter in dict.fromkeys(one.parameter for one in found):
        _require_value_at_all_times(path, text, name, parameters, found, parameter)
    return tuple(found)


def _require_apart(
    path: Path,
    text: str,
    at: str,
    subject: str,
    earlier: Iterable[StatedValue],
    stated: StatedValue,
) -> None:
    """Two values of a parameter must not both be the one; nor one of several be stated twice."""
    several = _several(subjects.parameter_type(subject, stated.parameter))
    for other in earlier:
        if (other.parameter, other.lifetime.product) != (stated.parameter, stated.lifetime.product):
            continue
        clash = stated.value == other.value if several else _overlap(stated, other)
        if clash:
            raise UserError(
                f"{at}: {stated.parameter} is {other.value!r} for the same versions.",
                locate(path, text, at),
            )


def _overlap(one: StatedValue, other: StatedValue) -> bool:
    first, second = one.lifetime, other.lifetime
    starts = max(first.since or (), second.since or ())
    return first.holds_at(starts) and second.holds_at(starts)


def _require_value_at_all_times(
    path: Path,
    text: str,
    name: str,
    parameters: Any,
    stated: Sequence[StatedValue],
    parameter: str,
) -> None:
    """Where a value of Kubernetes ends, another one must begin."""
    of_kubernetes = [
        (n, one)
        for n, one in enumerate(stated)
        if one.parameter == parameter and one.lifetime.product == KUBERNETES
    ]
    for n, one in of_kubernetes:
        until = one.lifetime.until
        if until is None:
            continue
        versions = {KUBERNETES: until}
        value = getattr(values_at(parameters, stated, versions), parameter)
        if value in ((), []) or (value == one.value and not isinstance(value, tuple)):
            raise UserError(
                f"{name}: {parameter} has no value from {KUBERNETES} {spelled(until)} on.",
                locate(path, text, f"{name}.values[{n}]", "until"),
            )


def _several(wanted: Any) -> bool:
    """Whether a parameter of that type has several values."""
    return typing.get_origin(wanted) in (tuple, list)


def values_at(parameters: Any, stated: Iterable[StatedValue], versions: Versions) -> Any:
    """The parameters with the values that hold at these versions."""
    changed: dict[str, Any] = {}
    for one in stated:
        version = versions.get(one.lifetime.product)
        if version is None:
            continue
        holds = one.lifetime.holds_at(version)
        now = changed.get(one.parameter, getattr(parameters, one.parameter))
        if isinstance(now, tuple | list):
            others = tuple(value for value in now if value != one.value)
            changed[one.parameter] = (*others, one.value) if holds else others
        elif holds:
            changed[one.parameter] = one.value
    return msgspec.structs.replace(parameters, **changed) if changed else parameters


def of_owner(
    shared: Mapping[str, str], owners: Mapping[str, Sequence[StatedValue]]
) -> tuple[StatedValue, ...]:
    """The values of parameters that are another requirement's."""
    return tuple(
        value
        for parameter, owner in shared.items()
        for value in owners.get(owner, ())
        if value.parameter == parameter
    )
