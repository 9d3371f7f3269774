"""Swap: turned off now, where memory has room for what is in it, and at no boot again.

fstab's line is commented, a unit is masked or, if it is the site's own file, disabled. While
fstab names any swap, systemd-gpt-auto-generator keeps off; so where its partition waits behind
that line, swap.target is masked as well. That generator itself is not: on some hosts it mounts
/home or /var.

Sources: as of facts/swap.py; swapoff(8); systemd.generator(7) on masking a generator.
"""

from collections.abc import Iterator
from posixpath import basename

from facts.parsers import kernel_cmdline, systemd_units
from facts.swap import (
    FSTAB,
    GENERATED,
    GPT_GENERATOR,
    GPT_SWAP,
    SITE,
    TARGET,
    ZRAM_GENERATOR,
    ZRAM_MAINS,
    Device,
    SwapParameters,
    SwapPersisted,
    SwapRuntime,
)
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
from hale.model.evidence import ConfigLine
from hale.model.requirement import Case

KINDS = (FileEdit, SymlinkChange, UnitChange, SwapOff)
IMPACTS: tuple[Impact, ...] = ()

GENERATORS = "/etc/systemd/system-generators"
NOTHING = "/dev/null"


def fix_runtime(fact: SwapRuntime, case: Case[SwapParameters]) -> tuple[Remedy, ...]:
    """One device at a time, the least filled first, as long as memory has room for them all."""
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
    have = "it is not told" if available is None else f"{available} KiB are"
    return ManualStep(
        f"{device}: what is in it must fit into memory with {margin} KiB to spare, and of "
        f"available memory {have} to be had after the devices before it: turning it off would "
        "have the kernel kill processes. Free memory first (drain the node, stop what is big) "
        "and plan again, or reboot once nothing turns it on at boot."
    )


def fix_persisted(fact: SwapPersisted, case: Case[SwapParameters]) -> tuple[Remedy, ...]:
    """For each thing that turns swap on, what keeps it from that."""
    changes = [change for source in fact.turns_on for change in _kept_off(fact, source)]
    if fact.behind and any(source.path == FSTAB for source in fact.turns_on):
        where = " and ".join(source.path for source in fact.behind)
        changes += _masked(
            fact, TARGET, f"Once {FSTAB} names no swap, {GPT_GENERATOR} would turn {where} on."
        )
    seen: list[Remedy] = []
    for change in changes:
        if not any(_same(change, other) for other in seen):
            seen.append(change)
    return tuple(seen)


def _same(one: Remedy, other: Remedy) -> bool:
    """One link masks a target or a generator for all the reasons there are."""
    if isinstance(one, SymlinkChange) and isinstance(other, SymlinkChange):
        return one.path == other.path
    return one == other


def _kept_off(fact: SwapPersisted, source: ConfigLine) -> Iterator[Remedy]:
    said = f"{source} {source.note}"
    if source.path == FSTAB:
        yield FileEdit(FSTAB, (ReplaceLine(source.line, source.text, COMMENTED),), f"{said}.")
    elif source.path == kernel_cmdline.PATH and source.text.startswith("systemd.swap-extra"):
        yield ManualStep(
            f"The kernel argument `{source.text}` {source.note}: take it out of the boot loader's "
            "configuration (GRUB: /etc/default/grub, then update-grub or grub2-mkconfig; Red "
            "Hat: grubby --remove-args) and reboot."
        )
    elif source.path == kernel_cmdline.PATH or _of_zram(source):
        yield _without_zram(fact, said)
    elif source.text == GPT_SWAP or (_generated(source) and GPT_GENERATOR in source.note):
        yield from _masked(fact, TARGET, f"{said}; its unit is named anew at each boot.")
    elif source.path.startswith(f"{systemd_units.FOLDERS[0]}/"):
        yield ManualStep(f"{said}, from a folder that no mask beats: take it out of there.")
    else:
        yield from _masked(fact, source.text, f"{said}.")


def _generated(source: ConfigLine) -> bool:
    return source.path.startswith(tuple(f"{folder}/" for folder in GENERATED))


def _of_zram(source: ConfigLine) -> bool:
    return any(source.path == main or source.path.startswith(f"{main}.d/") for main in ZRAM_MAINS)


def _without_zram(fact: SwapPersisted, said: str) -> Remedy:
    if fact.made:
        others = " and ".join(f"{s} {s.note}" for s in fact.made)
        return ManualStep(
            f"{said}, but {others}, which would go too if the generator were masked: write "
            "`zram-size = 0` into the section of the device that is swap."
        )
    return SymlinkChange(f"{GENERATORS}/{ZRAM_GENERATOR}", NOTHING, None, f"{said}.")


def _masked(fact: SwapPersisted, unit: str, why: str) -> Iterator[Remedy]:
    """A mask; where the site's own file has its place, the links that pull it in go instead."""
    path = f"{SITE}/{unit}"
    if fact.there.get(path, NOTHING) is not None:
        yield SymlinkChange(path, NOTHING, fact.there.get(path), why)
    elif unit in fact.enabled:
        yield UnitChange(unit, UnitAction.DISABLE, "", "enabled", why)
    else:
        yield ManualStep(
            f"{why.rstrip('.')}. {path} is a file of the site's own, so it cannot be masked, and "
            f"`systemctl disable` does not reach what pulls it in: take {basename(path)} out of "
            "there, or move the file away, then `systemctl daemon-reload`."
        )
