"""The inverse: what takes a step back, by what was found before it and said while it was done."""

from collections.abc import Iterator, Sequence

import msgspec

from hale.apply.prepared import PreparedStep
from hale.model.change import (
    FileEdit,
    Impact,
    KernelValueChange,
    ModuleChange,
    Remedy,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitAction,
    UnitChange,
)


def inverse_changes(kept: PreparedStep, said: Sequence[str]) -> tuple[Remedy, ...]:
    """What takes it back. said: what the host printed while it was done."""
    change = kept.step.change
    found = dict(_pairs(kept.notes))
    folders = tuple(line.partition(" ")[2] for line in kept.notes if line.startswith("folder "))
    why = f"takes back: {change.reason}"
    effects = change.effects
    if Impact.IRREVERSIBLE in effects:
        return ()
    match change:
        case FileEdit(path=path) | RestoreFile(path=path):
            original = f"{kept.folder}/original"
            return (RestoreFile(path, original, kept.after, kept.before, why, folders, effects),)
        case SymlinkChange():
            return (
                SymlinkChange(
                    change.path, change.precondition, change.target, why, effects, folders
                ),
            )
        case UnitChange(action=UnitAction.DISABLE):
            links = (line.split("\t") for line in said if "\t" in line)
            return tuple(SymlinkChange(path, to, None, why, effects) for path, to in links)
        case UnitChange():
            verb = {UnitAction.STOP: UnitAction.START, UnitAction.START: UnitAction.STOP}.get(
                change.action, change.action
            )
            return (UnitChange(change.unit, verb, "", "", why, effects),)
        case KernelValueChange():
            then = tuple(_before(kept.notes))
            back = msgspec.structs.replace(
                change,
                precondition=change.value,
                value=change.precondition,
                reason=why,
                write_after=then,
            )
            return (back,)
        case ModuleChange():
            return (msgspec.structs.replace(change, reason=why, load=not change.load),)
        case SwapOff():
            return (SwapOn(change.device, int(found.get("priority", "-1")), why, effects),)
        case SwapOn():
            return (SwapOff(change.device, 0, why, effects=effects),)


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
