"""One handler a kind of change: how it is backed up, applied and undone on a host.

A module here handles one kind, or two that mirror each other, and names its handlers in HANDLERS;
its scripts stand beside it. The kind's data, order and description are in hale/model/change.py.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from hale.apply.handlers.handler import Handler
from hale.apply.prepared import PreparedStep
from hale.model.change import Action, Impact, Remedy


def _load_handlers() -> dict[type, Handler[Any]]:
    found: dict[type, Handler[Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found |= getattr(loaded, "HANDLERS", {})
    return found


HANDLERS: Mapping[type, Handler[Any]] = _load_handlers()


def handler_of(change: Action) -> Handler[Any]:
    """The handler of that kind of change."""
    return HANDLERS[type(change)]


def inverse_changes(prepared: PreparedStep, output: Sequence[str]) -> tuple[Remedy, ...]:
    """The changes that undo a step. output: lines that applying it printed.

    None where its change is IRREVERSIBLE.
    """
    change = prepared.step.change
    if Impact.IRREVERSIBLE in change.effects:
        return ()
    return handler_of(change).inverse(change, prepared, output)
