"""Finds the subjects by file name: facts/<subject>.py. Nothing else imports one by hand."""

import importlib
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

from hale.fact import Probe
from hale.inventory import Host
from hale.requirement import Case

PACKAGE = "facts"


class UnknownSubject(Exception):
    """There is no facts/<subject>.py, or it does not declare what a subject must."""


class Subject(Protocol):
    """What a module of facts/ declares. Besides: a function for each aspect it can tell."""

    Parameters: type[Any]  # a frozen Struct; the standard's parameters, typed

    @property
    def probes(self) -> Callable[[Host, Sequence[Case[Any]]], Iterable[Probe]]:
        """What to read on this host to judge these cases."""


@cache
def load(name: str) -> Subject:
    """The module of that subject. Raises UnknownSubject."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UnknownSubject(f"{name!r} is no name for a subject.")
    try:
        module: Any = importlib.import_module(f"{PACKAGE}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{PACKAGE}.{name}":
            raise
        raise UnknownSubject(f"there is no subject {name!r}: no {PACKAGE}/{name}.py.") from None
    for needed in ("Parameters", "probes"):
        if not hasattr(module, needed):
            raise UnknownSubject(f"{PACKAGE}/{name}.py declares no {needed}.")
    return typing.cast("Subject", module)


@cache
def parameter_type(name: str, parameter: str) -> Any:
    """The declared type of one of the subject's parameters."""
    return typing.get_type_hints(load(name).Parameters)[parameter]
