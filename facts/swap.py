"""Swap: what is active now, and what would enable it at boot.

Sources: proc_swaps(5); fstab(5), getmntent(3), systemd-fstab-generator(8); systemd.swap(5);
systemd-gpt-auto-generator(8); zram-generator.conf(5); the packages named in SERVICES; swapon(8);
WALinuxAgent's README (ResourceDisk.Format, ResourceDisk.EnableSwap); amazon-ec2-hibinit-agent,
agent/hibinit-agent (hibernation_enabled, update_kernel_swap_offset).

A kubelet with `failSwapOn: false` runs beside swap, and gives it to pods where `memorySwap` says
so (kubernetes.io, "Swap memory management"). The baseline wants no swap all the same; a site that
uses it says so by the parameter `node_swap`.

A swapon in a unit of any name, in cron or in cloud-init's bootcmd counts; one in rc.local, in a
rule of udev or in a script that these run is UNKNOWN, for scripts have conditions.

Not covered: a swapon in a program that is no script, or in a script three steps away; and a .swap
unit that a line of a package's unit pulls in (lines of the site's units and drop-ins are covered).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_writes,
    cloud_init,
    conf_dirs,
    kernel_cmdline,
    kubelet_config,
    systemd_units,
)
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from facts.parsers.swap_programs import (
    AGENT,
    AGENT_SERVICES,
    HIBERNATION,
    SERVICE_NAMES,
    SERVICES,
    ZRAM_FOLDERS,
    ZRAM_MAINS,
    of_agent,
    of_commands,
    of_kernel_arguments,
    of_services,
    of_zram,
)
from facts.parsers.swap_triggers import MEMORY, SwapTrigger, TriggerKind, memory, unescaped
from facts.parsers.swap_units import (
    DEVICES,
    FSTAB,
    GENERATED,
    LINKS,
    PULLING,
    TARGET,
    of_fstab,
    of_generators,
    of_partitions,
    of_units,
    pulled_by_dropins,
)
from hale.inventory.ini import Host
from hale.model.evidence import (
    EXISTENCE,
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case
from hale.shell import load_script

ACTIVE = "/proc/swaps"
SITE = "/etc/systemd/system"

_GENERATORS = load_script(Path(__file__).with_suffix(".sh"))


class SwapParameters(Struct, frozen=True):
    """margin_kib: memory in KiB that must remain when a device's content moves back to memory.

    node_swap: whether swap is accepted where the kubelet is configured to run beside it.
    """

    margin_kib: int = 0
    node_swap: bool = False


class Device(Struct, frozen=True):
    """A line of /proc/swaps; sizes in KiB."""

    name: str
    kind: str
    size: int
    used: int

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, {self.size} KiB, {self.used} used)"


class SwapRuntime(Struct, frozen=True):
    """The active swap devices and files. available: memory in KiB, None if unknown.

    kubelet: the line by which the kubelet runs beside swap, None where it does not.
    """

    active: tuple[Device, ...]
    why: str = ""
    sources: tuple[ConfigLine, ...] = ()
    available: int | None = None
    kubelet: ConfigLine | None = None

    @property
    def actual(self) -> str:
        if not self.active:
            return self.why or f"no swap is active ({ACTIVE})"
        active = f"swap is active: {', '.join(map(str, self.active))}"
        return f"{active}; {_beside(self.kubelet)}" if self.kubelet else active

    @property
    def settled(self) -> str:
        """Without the size in use."""
        if not self.active:
            return self.actual
        named = [f"{d.name} ({d.kind}, {d.size} KiB)" for d in self.active]
        return "; ".join(["swap", *named, *([_beside(self.kubelet)] if self.kubelet else [])])


class SwapPersisted(Struct, frozen=True):
    """What enables swap at boot, and what only appears to.

    dormant_partitions: those that would be enabled if fstab named no swap. site_units: files in
    /etc with the name of a unit, and a link's target. disable_suffices: units that `systemctl
    disable` keeps from starting at boot, because only links in /etc pull them in. kubelet: as in
    SwapRuntime.
    """

    enables_swap: tuple[SwapTrigger, ...]
    harmless: tuple[SwapTrigger, ...] = ()
    dormant_partitions: tuple[SwapTrigger, ...] = ()
    site_units: Mapping[str, str | None] = {}
    disable_suffices: frozenset[str] = frozenset()
    kubelet: ConfigLine | None = None

    @property
    def zram_filesystems(self) -> tuple[SwapTrigger, ...]:
        """File systems on zram, which a mask of the generator would remove."""
        return tuple(t for t in self.harmless if t.kind is TriggerKind.ZRAM_FILE_SYSTEM)

    @property
    def sources(self) -> tuple[ConfigLine, ...]:
        on = (replace(trigger.line, wins=True) for trigger in self.enables_swap)
        return (*on, *(trigger.line for trigger in self.harmless))

    @property
    def actual(self) -> str:
        if self.enables_swap:
            on = f"swap is turned on at boot: {'; '.join(map(str, self.enables_swap))}"
            return f"{on}; {_beside(self.kubelet)}" if self.kubelet else on
        but = "; ".join(map(str, self.harmless))
        return "nothing turns swap on at boot" + (f" ({but})" if but else "")


_PULLING = "[[:space:]]*(Wants|Requires|Requisite|BindsTo|Upholds)[[:space:]]*="


def probes(host: Host, cases: Sequence[Case[SwapParameters]]) -> tuple[Probe, ...]:
    """The kernel's list of swap devices, and every file that enables swap."""
    return (
        FileProbe(
            ACTIVE,
            MEMORY,
            # A mount's options may hold a password.
            *select(Selection(r"[^#]*([[:space:]]swap([[:space:]]|$)|\\[0-7])"), FSTAB),
            kernel_cmdline.PATH,
            *kubelet_config.PATTERNS,
            *systemd_units.existence("*.swap", TARGET, *SERVICE_NAMES, *AGENT_SERVICES),
            *select(Selection(_PULLING), *PULLING),
            *select(EXISTENCE, *LINKS),
            *(f"{folder}/*.swap" for folder in GENERATED),
            *(f"{folder}/*.{kind}/*.swap" for folder in GENERATED for kind in systemd_units.PULLS),
            *ZRAM_MAINS,
            *ZRAM_FOLDERS,
            *select(Selection("E:ID_PART_ENTRY_"), DEVICES),
            *select(Selection(r"[[:space:]]*ResourceDisk\."), AGENT),
            *select(EXISTENCE, HIBERNATION),
            *cloud_init.FILES,
        ),
        boot_commands.probe(),
        boot_files.PROBE,
        CommandProbe("generators", _GENERATORS),
    )


def read_runtime(readings: HostView, case: Case[SwapParameters]) -> SwapRuntime:
    """The swap devices in /proc/swaps.

    Raises Unreadable where its format is unknown, and NotApplicable where the site accepts swap
    beside this kubelet.
    """
    kubelet = _kubelet(readings, case.parameters)
    file = readings.file(ACTIVE)
    if file is None:
        total = memory(readings, "SwapTotal")
        if total:
            raise Unreadable(f"{ACTIVE} does not exist, but SwapTotal is {total} kB")
        return SwapRuntime((), f"this kernel has no swap: {ACTIVE} does not exist, SwapTotal is 0")
    lines = [line for line in file.lines if line.strip(BLANKS)]
    if not lines or split_words(lines[0]) != ["Filename", "Type", "Size", "Used", "Priority"]:
        raise Unreadable(f"{ACTIVE} does not begin with its header: {lines[:1]}")
    available: int | None = None
    with suppress(Unreadable):
        available = memory(readings, "MemAvailable")
    return SwapRuntime(tuple(map(_device, lines[1:])), available=available, kubelet=kubelet)


def _kubelet(readings: HostView, parameters: SwapParameters) -> ConfigLine | None:
    """The line by which the kubelet runs beside swap, if any.

    Raises NotApplicable where there is one and the site accepts it. Where the site does not, the
    kubelet decides no verdict: a user who cannot read its files still learns whether swap is off.
    """
    try:
        found = kubelet_config.effective(readings, "fail-swap-on", "failSwapOn")
    except Unreadable:
        if parameters.node_swap:
            raise
        return None
    if found is None or found[0].lower() != "false":
        return None
    if parameters.node_swap:
        raise NotApplicable(f"{_beside(found[1])}, and the inventory accepts that (node_swap)")
    return found[1]


def _beside(line: ConfigLine) -> str:
    return f"the kubelet runs beside it on purpose ({line}: {line.text})"


def _device(line: str) -> Device:
    fields = [field for field in re.split("[ \t]+", line) if field]  # blanks of names are escaped
    if len(fields) != 5 or not is_decimal(fields[2] + fields[3]):
        raise Unreadable(f"{ACTIVE}: {line!r}")
    return Device(unescaped(fields[0]), fields[1], int(fields[2]), int(fields[3]))


def read_persisted(readings: HostView, case: Case[SwapParameters]) -> SwapPersisted:
    """All that enables swap at boot: fstab, units, generators, services.

    Raises Unreadable, and NotApplicable where the site accepts swap beside this kubelet.
    """
    kubelet = _kubelet(readings, case.parameters)
    found = [
        *of_fstab(readings),
        *of_units(readings),
        *of_generators(readings),
        *of_partitions(readings),
        *of_zram(readings),
        *of_services(readings),
        *of_agent(readings),
        *of_kernel_arguments(readings),
    ]
    known = {trigger.line.path for trigger in found if trigger.kind is TriggerKind.UNIT}
    commands: list[tuple[SwapTrigger, bool]] = []
    try:
        commands += of_commands(readings, known)
    except Unreadable:
        if not any(t.enables for t in found):
            raise
    found += [trigger for trigger, sure in commands if sure]
    if not any(t.enables for t in found) and (doubt := next((t for t, _ in commands), None)):
        raise Unreadable(f"{doubt}: whether it comes to that is unknown, see the script")
    fstab = readings.file(FSTAB)
    if not any(t.enables for t in found) and (
        lost := boot_files.losses(readings, [fstab] if fstab else [])
    ):
        raise Unreadable(f"{boot_files.sentence(lost)}; whether it has swap then is unknown")
    if not any(t.enables for t in found):
        interest = boot_writes.Interest(("swap",), removals=False)
        for line in boot_writes.writes(readings, FSTAB, interest):
            raise Unreadable(boot_writes.sentence(line, FSTAB))
    return SwapPersisted(
        tuple(trigger for trigger in found if trigger.enables),
        tuple(trigger for trigger in found if not trigger.enables),
        dormant_partitions=tuple(of_partitions(readings, whatever_fstab_says=True)),
        site_units={f.path: f.target for f in _own_units(readings)},
        disable_suffices=frozenset(_disable_suffices(readings)),
        kubelet=kubelet,
    )


def _own_units(readings: HostView) -> list[File]:
    files = readings.files(*(f"{SITE}/{name}" for name in ("*.swap", TARGET, *SERVICE_NAMES)))
    return [file for file in files if _is_ours(conf_dirs.name_of(file))]


def _is_ours(unit: str) -> bool:
    return unit in SERVICES or not unit.endswith(".service")


def _disable_suffices(readings: HostView) -> Iterator[str]:
    """Units that only links in /etc pull in."""
    by_dropins = {name for name, _ in pulled_by_dropins(readings)}
    by_links: dict[str, bool] = {}
    for link in systemd_units.pull_links(readings, "*.swap", *SERVICE_NAMES):
        unit = conf_dirs.name_of(link)
        if _is_ours(unit):
            ours = link.path.startswith(f"{SITE}/") and link.target is not None
            by_links[unit] = by_links.get(unit, True) and ours
    yield from (unit for unit, ours in by_links.items() if ours and unit not in by_dropins)
