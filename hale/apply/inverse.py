"""The inverse: what takes a step back, by what was found before it and said while it was done."""

from collections.abc import Iterator, Sequence

import msgspec

from hale.apply.kept import Kept
from hale.change import (
    Change,
    Effect,
    FileChange,
    LinkChange,
    ModuleChange,
    Restore,
    SwapChange,
    SwapOn,
    UnitChange,
    ValueChange,
)


def changes(kept: Kept, said: Sequence[str]) -> tuple[Change, ...]:
    """What takes it back. said: what the host printed while it was done."""
    change = kept.step.change
    found = dict(_pairs(kept.told))
    folders = tuple(line.partition(" ")[2] for line in kept.told if line.startswith("folder "))
    why = f"takes back: {getattr(change, 'why', '')}"
    effects = change.effects
    if Effect.FINAL in effects:
        return ()
    match change:
        case FileChange(path=path) | Restore(path=path):
            original = f"{kept.folder}/original"
            return (Restore(path, original, kept.after, kept.before, why, folders, effects),)
        case LinkChange():
            return (LinkChange(change.path, change.expect, change.target, why, effects, folders),)
        case UnitChange(verb="disable"):
            links = (line.split("\t") for line in said if "\t" in line)
            return tuple(LinkChange(path, to, None, why, effects) for path, to in links)
        case UnitChange():
            verb = {"stop": "start", "start": "stop"}.get(change.verb, change.verb)
            return (UnitChange(change.unit, verb, "", "", why, effects),)
        case ValueChange():
            then = tuple(_before(kept.told))
            back = msgspec.structs.replace(
                change, expect=change.value, value=change.expect, why=why, then=then
            )
            return (back,)
        case ModuleChange():
            return (msgspec.structs.replace(change, why=why, load=not change.load),)
        case SwapChange():
            return (SwapOn(change.device, int(found.get("priority", "-1")), why, effects),)
        case SwapOn():
            return (SwapChange(change.device, 0, why, effects=effects),)


def _before(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Values that were others than the one that led them, and no longer are."""
    for kind, rest in _pairs(lines):
        path, _, value = rest.partition(" ")
        if kind == "was":
            yield path, value


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(" ")
        yield name, value
