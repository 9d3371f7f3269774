"""Swap by fstab, by units, and by what generators make of partitions at boot. Not a subject.

Sources: fstab(5), getmntent(3), systemd-fstab-generator(8); systemd.swap(5);
systemd-gpt-auto-generator(8).
"""

import re
from collections.abc import Iterator, Mapping

from facts.parsers import conf_dirs, systemd_units
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.swap_triggers import (
    SwapTrigger,
    TriggerKind,
    host_of,
    mask_of,
    swap_argument,
    switched_off,
    trigger,
    unescaped,
)
from hale.model.evidence import ConfigLine, File, HostView

FSTAB = "/etc/fstab"
SITE_FOLDERS = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/usr/local/lib/systemd/system",
)
_KINDS = ("service", "target", "mount", "socket", "timer", "path")
TARGET = "swap.target"
GPT_GENERATOR = "systemd-gpt-auto-generator"
# The systemd from which each generator knows the kernel argument systemd.swap=: its man page.
FSTAB_SINCE, GPT_SINCE = 246, 254
GENERATED = tuple(f"/run/systemd/generator{late}" for late in ("", ".early", ".late"))
DEVICES = "/run/udev/data/b*"
# The GPT type of a swap partition, and the flag that makes generators skip it.
GPT_SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
NO_AUTO = 1 << 63


def of_fstab(readings: HostView) -> Iterator[SwapTrigger]:
    """Lines of type swap. `nofail` enables it as well, `noauto` does not unless a unit wants it."""
    kind = TriggerKind.FSTAB
    target = systemd_units.mask(readings, TARGET)
    pulled = dict(pulled_by_dropins(readings))
    for source, what, options in _fstab_swaps(readings):
        name = systemd_units.name_of_path(what, "swap")
        mask = mask_of(readings, name)
        if argument := swap_argument(readings, FSTAB_SINCE):
            note = f"lists {what}, but the kernel argument {argument.text} ignores it"
            yield trigger(kind, source, note, False)
        elif _noauto(options) and name in pulled:
            note = f"lists {what} as noauto, and {pulled[name]} pulls it in"
            yield trigger(kind, source, note, not mask)
        elif _noauto(options):
            yield trigger(kind, source, f"lists {what}, but as noauto", False)
        elif target:
            yield trigger(
                TriggerKind.FSTAB, source, f"lists {what}, but {target.path} masks {TARGET}", False
            )
        elif mask:
            yield trigger(
                TriggerKind.FSTAB, source, f"lists {what}, but {mask.path} masks its unit", False
            )
        else:
            yield trigger(kind, source, f"lists {what} as swap", True)


def _fstab_swaps(readings: HostView) -> Iterator[tuple[ConfigLine, str, str]]:
    """Lines of type swap: the device's path and the options."""
    file = readings.file(FSTAB)
    if file is None:
        return
    for count, line in enumerate(file.lines, 1):
        text = line.strip(" \t")
        words = [unescaped(w) for w in re.split("[ \t]+", text)] if text[:1] != "#" else []
        if len(words) >= 3 and words[2] == "swap":
            source = ConfigLine(file.path, count, line.strip(BLANKS), changed=file.changed)
            yield source, _device_path(words[0]), words[3] if len(words) > 3 else ""


def _noauto(options: str) -> bool:
    flags = [o for o in options.strip(BLANKS).split(",") if o in ("auto", "noauto")]
    return bool(flags) and flags[-1] == "noauto"


def _device_path(text: str) -> str:
    """`UUID=…` and similar tags as the link that udev creates."""
    tag, equals, value = text.partition("=")
    if equals and tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL"):
        return f"/dev/disk/by-{tag.lower()}/{value.strip(chr(34))}"
    return text


def of_units(readings: HostView) -> Iterator[SwapTrigger]:
    """`.swap` units that something pulls in."""
    kind = TriggerKind.UNIT
    files = systemd_units.in_force(readings, "*.swap")
    pulled: dict[str, list[str]] = {}
    for link in systemd_units.pull_links(readings, "*.swap"):
        pulled.setdefault(conf_dirs.name_of(link), []).append(systemd_units.pulled_by(link))
    for name, by in pulled_by_dropins(readings):
        pulled.setdefault(name, []).append(by)
    target = systemd_units.mask(readings, TARGET)
    for name, file in files.items():
        source = ConfigLine(file.path, 0, name, changed=file.changed)
        by_whom = list(dict.fromkeys(pulled.get(name, [])))
        if systemd_units.masked(file):
            yield trigger(kind, source, "is masked", False)
        elif not by_whom:
            yield trigger(kind, source, "is there, but nothing pulls it in", False)
        elif target and by_whom == [TARGET]:
            yield trigger(
                TriggerKind.UNIT, source, f"is pulled in by {TARGET} only, which is masked", False
            )
        else:
            yield trigger(kind, source, f"is pulled in by {', '.join(by_whom)}", True)


# What may pull in a `.swap` unit by a line: drop-ins of targets, and the site's own units.
PULLING = (
    *systemd_units.file_patterns("*.target.d/*.conf"),
    *(f"{folder}/*.{kind}" for folder in SITE_FOLDERS for kind in _KINDS),
    *(f"{folder}/*.{kind}.d/*.conf" for folder in SITE_FOLDERS for kind in _KINDS),
)


# The links by which a unit of the site is started.
LINKS = tuple(f"{folder}/*.{pull}/*" for folder in SITE_FOLDERS for pull in systemd_units.PULLS)


def pulled_by_dropins(readings: HostView) -> Iterator[tuple[str, str]]:
    """Units that drop-ins of targets, or units of the site, name in Wants=, Requires= and similar,
    and those targets and units."""
    started = {conf_dirs.name_of(link) for link in readings.files(*LINKS)}
    for file in readings.files(*PULLING):
        name = conf_dirs.name_of(file)
        if file.kind != "f" or file.masked:
            continue
        if not name.endswith((".conf", ".target")) and name not in started:
            continue  # nothing starts it
        for line in file.lines:
            matched = re.match(
                r"\s*(Wants|Requires|Requisite|BindsTo|Upholds)\s*=(.*)", line, re.ASCII
            )
            for name in split_words(matched[2]) if matched else ():
                if name.endswith(".swap"):
                    folder, own = file.path.split("/")[-2:]
                    yield name, folder.removesuffix(".d") if own.endswith(".conf") else own


def of_generators(readings: HostView) -> Iterator[SwapTrigger]:
    """What generators created at this boot and will create again.

    Units of fstab and zram-generator are left out: their configuration is judged directly, and
    the generated units may be outdated.
    """
    wanted = {
        conf_dirs.name_of(f)
        for f in readings.files(
            *(f"{folder}/*.{kind}/*.swap" for folder in GENERATED for kind in systemd_units.PULLS)
        )
    }
    for file in readings.files(*(f"{folder}/*.swap" for folder in GENERATED)):
        if file.kind != "f" or conf_dirs.name_of(file) not in wanted:
            continue
        text = "\n".join(file.lines)
        if f"SourcePath={FSTAB}" in text or "zram-generator" in text:
            continue
        made = re.search(r"generated by (\S+)", text, re.ASCII)
        by = made[1] if made else "a generator"
        kind = TriggerKind.GPT_PARTITION if GPT_GENERATOR in by else TriggerKind.UNIT
        source = ConfigLine(file.path, 0, conf_dirs.name_of(file), changed=file.changed)
        mask = mask_of(readings, source.text) or systemd_units.mask(readings, TARGET)
        if mask:
            yield trigger(kind, source, f"was made by {by}, but {mask.path} masks it", False)
        else:
            yield trigger(kind, source, f"was made by {by}, as at every boot", True)


def of_partitions(readings: HostView, whatever_fstab_says: bool = False) -> Iterator[SwapTrigger]:
    """Swap partitions that systemd-gpt-auto-generator would enable once fstab names no swap.

    It examines the disk of the root file system, and nothing while fstab has any swap.
    """
    installed, roots = host_of(readings)
    if GPT_GENERATOR not in installed:
        return
    if any(_fstab_swaps(readings)) and not whatever_fstab_says:
        return
    if switched_off(readings, "systemd.gpt_auto") or systemd_units.mask(readings, TARGET):
        return
    if swap_argument(readings, GPT_SINCE):
        return
    if any(
        file.kind == "f" and GPT_GENERATOR in "\n".join(file.lines)
        for file in readings.files(*(f"{folder}/*.swap" for folder in GENERATED))
    ):
        return  # _generated reports it
    devices = {
        conf_dirs.name_of(f)[1:]: _properties(f) for f in readings.files(DEVICES) if f.kind == "f"
    }
    disks = {devices.get(root, {}).get("ID_PART_ENTRY_DISK") for root in roots} - {None}
    for number, entry in devices.items():
        if entry.get("ID_PART_ENTRY_TYPE", "").lower() != GPT_SWAP:
            continue
        if int(entry.get("ID_PART_ENTRY_FLAGS", "0"), 16) & NO_AUTO:
            continue
        if disks and entry.get("ID_PART_ENTRY_DISK") not in disks:
            continue
        uuid = entry.get("ID_PART_ENTRY_UUID", "")
        name = f"/dev/disk/by-partuuid/{uuid}" if uuid else f"block device {number}"
        note = "is a swap partition by its GPT type: systemd-gpt-auto-generator turns it on"
        yield trigger(TriggerKind.GPT_PARTITION, ConfigLine(name, 0, GPT_SWAP), note, True)


def _properties(file: File) -> Mapping[str, str]:
    pairs = (line[2:].partition("=") for line in file.lines if line.startswith("E:"))
    return {name: value for name, _, value in pairs}
