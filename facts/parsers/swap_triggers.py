"""What enables swap at boot, or appears to: its kinds, and what its readers share. Not a subject.

Sources: as in facts/swap.py.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import kernel_cmdline, systemd_units
from facts.parsers.blanks import is_decimal, split_words
from hale.model.evidence import ConfigLine, File, HostView, Unreadable

MEMORY = "/proc/meminfo"


class TriggerKind(StrEnum):
    """How something enables swap at boot, which also determines how to prevent it."""

    FSTAB = "a line of fstab"
    UNIT = "a unit"
    GPT_PARTITION = "a swap partition by its GPT type"
    ZRAM_SWAP = "a swap device of zram-generator"
    ZRAM_FILE_SYSTEM = "a file system of zram-generator"
    COMMAND = "a command that a boot runs"
    AGENT = "a setting of Azure's agent"
    KERNEL_ARGUMENT = "a kernel argument that names a swap device"


class SwapTrigger(Struct, frozen=True):
    """Something that enables swap at boot, or appears to: `line.note` says how, or why not."""

    kind: TriggerKind
    line: ConfigLine
    enables: bool

    def __str__(self) -> str:
        return f"{self.line} {self.line.note}"


def trigger(kind: TriggerKind, line: ConfigLine, note: str, enables: bool) -> SwapTrigger:
    """The trigger of a line with its note. enables: whether a boot turns swap on by it."""
    return SwapTrigger(kind, replace(line, note=note), enables)


def mask_of(readings: HostView, unit: str) -> File | None:
    """The link that masks a `.swap` unit; None without one."""
    found = systemd_units.in_force(readings, "*.swap").get(unit)
    return found if found and systemd_units.masked(found) else None


def host_of(readings: HostView) -> tuple[set[str], set[str]]:
    """The installed generators, and the device numbers below the root file system."""
    lines = [split_words(line) for line in readings.output("generators").lines]
    return (
        {words[1] for words in lines if words[:1] == ["generator"] and len(words) > 1},
        {words[1] for words in lines if words[:1] == ["root"] and len(words) > 1},
    )


def kernel_arguments(readings: HostView) -> Iterator[tuple[ConfigLine, str, str | None]]:
    """Each argument of the current boot: its line, name and value. Raises Unreadable."""
    file = readings.file(kernel_cmdline.PATH)
    if file is None:
        raise Unreadable(f"{kernel_cmdline.PATH} does not exist: is /proc mounted?")
    for name, value in kernel_cmdline.arguments(" ".join(file.lines)):
        text = name if value is None else f"{name}={value}"
        yield ConfigLine(file.path, 1, text, changed=file.changed), name, value


def swap_argument(readings: HostView, since: int) -> ConfigLine | None:
    """`systemd.swap=0` where systemd is recent enough to know it there; None if it is not."""
    lines = (split_words(line) for line in readings.output("generators").lines)
    version = next((words[1] for words in lines if words[:1] == ["systemd"] and words[1:]), "")
    if not is_decimal(version) or int(version) < since:
        return None
    given = [
        (line, value) for line, name, value in kernel_arguments(readings) if name == "systemd.swap"
    ]
    return given[-1][0] if given and is_no(given[-1][1]) else None


def switched_off(readings: HostView, argument: str) -> bool:
    """Whether the last kernel argument of that name is a "no"."""
    values = [value for _, name, value in kernel_arguments(readings) if name == argument]
    return bool(values) and is_no(values[-1])


def is_no(value: str | None) -> bool:
    """Whether systemd reads the value as false."""
    return value is not None and value.lower() in ("0", "no", "n", "false", "f", "off")


def memory(readings: HostView, name: str) -> int:
    """A line of /proc/meminfo, in KiB."""
    file = readings.file(MEMORY)
    for line in file.lines if file else ():
        if found := re.match(rf"{name}:\s+(\d+) kB", line, re.ASCII):
            return int(found[1])
    raise Unreadable(f"{MEMORY} does not say {name}")


def unescaped(text: str) -> str:
    """Decodes `\\040` and similar, as fstab and /proc/swaps write blanks. Source: getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
