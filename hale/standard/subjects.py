"""Finds the subjects by file name: facts/<subject>.py. Nothing else imports one by hand."""

import importlib
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

from hale.inventory.ini import Host
from hale.model.evidence import Probe
from hale.model.requirement import Case

PACKAGE = "facts"
#: Subjects by the name that they had in the last release: `pytest -m`, and saved evidence.
RENAMED = {
    "bridge": "bridge_netfilter",
    "leaders": "leader_election",
    "manifests": "static_pods",
    "masters": "control_plane_size",
}


class UnknownSubject(Exception):
    """There is no facts/<subject>.py, or it does not declare what a subject must."""


class Subject(Protocol):
    """What a module of facts/ declares, besides `read_<aspect>()` for each aspect that it can read
    and `<Subject>Parameters`, a frozen Struct with the types of the requirement's parameters."""

    @property
    def probes(self) -> Callable[[Host, Sequence[Case[Any]]], Iterable[Probe]]:
        """What to read on this host to judge these cases."""


@cache
def load_subject(name: str) -> Subject:
    """The module of that subject. Raises UnknownSubject."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UnknownSubject(f"{name!r} is no name for a subject.")
    try:
        module: Any = importlib.import_module(f"{PACKAGE}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{PACKAGE}.{name}":
            raise
        raise UnknownSubject(f"there is no subject {name!r}: no {PACKAGE}/{name}.py.") from None
    for needed in (_parameters_name(name), "probes"):
        if not hasattr(module, needed):
            raise UnknownSubject(f"{PACKAGE}/{name}.py declares no {needed}.")
    return typing.cast("Subject", module)


def parameters_class(name: str) -> type[Any]:
    """The Struct of the subject's parameters: SwapParameters of `swap`. Raises UnknownSubject."""
    found: type[Any] = getattr(load_subject(name), _parameters_name(name))
    return found


def reader(name: str, aspect: str) -> Callable[..., Any] | None:
    """`read_<aspect>()` of that subject, or None where it cannot read it. Raises UnknownSubject."""
    return getattr(load_subject(name), f"read_{aspect}", None)


def _parameters_name(subject: str) -> str:
    return "".join(word.capitalize() for word in subject.split("_")) + "Parameters"


@cache
def parameter_type(name: str, parameter: str) -> Any:
    """The declared type of one of the subject's parameters. Raises UnknownSubject, KeyError."""
    return typing.get_type_hints(parameters_class(name))[parameter]
