"""Swap: turned off now, where memory has room for its content, and kept off at every boot.

fstab's line is commented out; a unit is masked or, if it is the site's own file, disabled. While
fstab names any swap, systemd-gpt-auto-generator does nothing; so where it would then enable a
partition, swap.target is masked as well. That generator itself is not masked: on some hosts it
mounts /home or /var. Where the kubelet is configured to run beside swap, the steps are manual.

Sources: as in facts/swap.py; swapoff(8); systemd.generator(7) on masking a generator.
"""

from collections.abc import Iterator
from posixpath import basename

from facts.parsers import systemd_units
from facts.parsers.swap_programs import SERVICE_NAMES, ZRAM_GENERATOR
from facts.parsers.swap_triggers import SwapTrigger, TriggerKind
from facts.parsers.swap_units import FSTAB, GPT_GENERATOR, TARGET
from facts.swap import SITE, Device, SwapParameters, SwapPersisted, SwapRuntime
from hale.model.change import (
    COMMENTED,
    FileEdit,
    Impact,
    ManualStep,
    Remedy,
    ReplaceLine,
    SwapOff,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (FileEdit, SymlinkChange, UnitChange, SwapOff)
IMPACTS: tuple[Impact, ...] = ()

GENERATORS = "/etc/systemd/system-generators"
UNITS = ("*.swap", TARGET, *SERVICE_NAMES)
NOTHING = "/dev/null"


def scope(parameters: SwapParameters) -> RemedyScope:
    """fstab, the units that turn swap on, and the generator of zram."""
    masks = {f"{SITE}/{unit}": (NOTHING,) for unit in UNITS}
    return RemedyScope(
        files=(FSTAB,),
        links={**masks, f"{GENERATORS}/{ZRAM_GENERATOR}": (NOTHING,)},
        units={UnitAction.DISABLE: UNITS},
    )


def fix_runtime(fact: SwapRuntime, case: Case[SwapParameters]) -> tuple[Remedy, ...]:
    """Devices are turned off one at a time, the least used first, while memory has room."""
    if fact.kubelet:
        return (_node_swap(fact.actual),)
    return tuple(_off(fact, case.parameters.margin_kib))


def _off(fact: SwapRuntime, margin: int) -> Iterator[Remedy]:
    room = 0 if fact.available is None else fact.available - margin
    for device in sorted(fact.active, key=lambda d: d.used):
        if device.name.endswith(" (deleted)"):
            yield ManualStep(
                f"{device}: its file is deleted, so `swapoff` cannot name it. A reboot turns it "
                "off."
            )
        elif not device.used or device.used <= room:
            room -= device.used
            why = f"{device} is active; the kubelet does not start beside it."
            yield SwapOff(device.name, device.used, why, margin)
        else:
            yield _full(device, fact.available, margin)


def _full(device: Device, available: int | None, margin: int) -> ManualStep:
    have = "an unknown amount" if available is None else f"{available} KiB"
    return ManualStep(
        f"{device}: its content must fit into memory with {margin} KiB to spare, and {have} of "
        "available memory remains after the devices before it: turning it off would have the "
        "kernel kill processes. Free memory first (drain the node, stop what is big) "
        "and plan again, or reboot once nothing turns it on at boot."
    )


def fix_persisted(fact: SwapPersisted, case: Case[SwapParameters]) -> tuple[Remedy, ...]:
    """Each thing that enables swap at boot is disabled."""
    if fact.kubelet:
        return (_node_swap(fact.actual),)
    changes = [change for trigger in fact.enables_swap for change in _kept_off(fact, trigger)]
    by_fstab = any(trigger.kind is TriggerKind.FSTAB for trigger in fact.enables_swap)
    if fact.dormant_partitions and by_fstab:
        where = " and ".join(trigger.line.path for trigger in fact.dormant_partitions)
        changes += _masked(
            fact, TARGET, f"Once {FSTAB} names no swap, {GPT_GENERATOR} would turn {where} on."
        )
    unique: list[Remedy] = []
    for change in changes:
        if not any(_same(change, other) for other in unique):
            unique.append(change)
    return tuple(unique)


def _node_swap(actual: str) -> ManualStep:
    return ManualStep(
        f"{actual}. Pods may have memory in swap, and turning it off would have the kernel kill "
        "those that reach their limit. If the site uses swap, say so in the inventory: "
        "hale_swap_off__node_swap=true. Otherwise drain the node, set `failSwapOn: true`, restart "
        "the kubelet, and plan again."
    )


def _same(one: Remedy, other: Remedy) -> bool:
    """Whether two remedies are equal; one link masks a target or generator for every reason."""
    if isinstance(one, SymlinkChange) and isinstance(other, SymlinkChange):
        return one.path == other.path
    return one == other


def _kept_off(fact: SwapPersisted, trigger: SwapTrigger) -> Iterator[Remedy]:
    line = trigger.line
    match trigger.kind:
        case TriggerKind.FSTAB:
            yield FileEdit(FSTAB, (ReplaceLine(line.line, line.text, COMMENTED),), f"{trigger}.")
        case TriggerKind.KERNEL_ARGUMENT:
            yield ManualStep(
                f"The kernel argument `{line.text}` {line.note}: take it out of the boot loader's "
                "configuration (GRUB: /etc/default/grub, then update-grub or grub2-mkconfig; Red "
                "Hat: grubby --remove-args) and reboot."
            )
        case TriggerKind.COMMAND:
            yield ManualStep(f"{trigger}: take that command out of there, if the unit stays.")
        case TriggerKind.AGENT:
            yield ManualStep(
                f"{trigger}: write `ResourceDisk.EnableSwap=n` there, and restart the agent."
            )
        case TriggerKind.ZRAM_SWAP | TriggerKind.ZRAM_FILE_SYSTEM:
            yield _without_zram(fact, trigger)
        case TriggerKind.GPT_PARTITION:
            yield from _masked(fact, TARGET, f"{trigger}; its unit gets a new name at each boot.")
        case TriggerKind.UNIT if line.path.startswith(f"{systemd_units.FOLDERS[0]}/"):
            yield ManualStep(f"{trigger}, from a folder that no mask beats: take it out of there.")
        case TriggerKind.UNIT:
            yield from _masked(fact, line.text, f"{trigger}.")


def _without_zram(fact: SwapPersisted, trigger: SwapTrigger) -> Remedy:
    if fact.zram_filesystems:
        others = " and ".join(map(str, fact.zram_filesystems))
        return ManualStep(
            f"{trigger}, but {others}, which would go too if the generator were masked: write "
            "`zram-size = 0` into the section of the device that is swap."
        )
    return SymlinkChange(f"{GENERATORS}/{ZRAM_GENERATOR}", NOTHING, None, f"{trigger}.")


def _masked(fact: SwapPersisted, unit: str, why: str) -> Iterator[Remedy]:
    """A mask; where the site's own file has that path, its links are removed instead."""
    path = f"{SITE}/{unit}"
    if fact.site_units.get(path, NOTHING) is not None:
        yield SymlinkChange(path, NOTHING, fact.site_units.get(path), why)
    elif unit in fact.disable_suffices:
        yield UnitChange(unit, UnitAction.DISABLE, "", "enabled", why)
    else:
        yield ManualStep(
            f"{why.rstrip('.')}. {path} is a file of the site's own, so it cannot be masked, and "
            f"`systemctl disable` does not reach what pulls it in: take {basename(path)} out of "
            "there, or move the file away, then `systemctl daemon-reload`."
        )
