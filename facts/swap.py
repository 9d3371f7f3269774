"""Swap: what is active now, and what would enable it at boot.

Sources: proc_swaps(5); fstab(5), getmntent(3), systemd-fstab-generator(8); systemd.swap(5);
systemd-gpt-auto-generator(8); zram-generator.conf(5); the packages named in SERVICES; swapon(8);
WALinuxAgent's README (ResourceDisk.Format, ResourceDisk.EnableSwap); amazon-ec2-hibinit-agent,
agent/hibinit-agent (hibernation_enabled, update_kernel_swap_offset).

A kubelet with `failSwapOn: false` runs beside swap, and gives it to pods where `memorySwap` says
so (kubernetes.io, "Swap memory management"). The baseline wants no swap all the same; a site that
uses it says so by the parameter `node_swap`.

A swapon in a unit of any name, in cron's @reboot or in cloud-init's bootcmd counts; one in rc.local
or in a script that these run is UNKNOWN, for scripts have conditions.

Not covered: a swapon in a script that such a script runs, or in a program that is no script; and a
.swap unit that a line of another unit's own file pulls in (lines of targets' drop-ins are covered).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    cloud_init,
    conf_dirs,
    ip_command,
    kernel_cmdline,
    kubelet_config,
    systemd_units,
)
from facts.parsers.blanks import BLANKS, is_decimal, split_words
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
MEMORY = "/proc/meminfo"
FSTAB = "/etc/fstab"
TARGET = "swap.target"
SITE = "/etc/systemd/system"
GPT_GENERATOR = "systemd-gpt-auto-generator"
ZRAM_GENERATOR = "zram-generator"
# The systemd from which each generator knows the kernel argument systemd.swap=: its man page.
FSTAB_SINCE, GPT_SINCE = 246, 254
GENERATED = tuple(f"/run/systemd/generator{late}" for late in ("", ".early", ".late"))
DEVICES = "/run/udev/data/b*"
# The GPT type of a swap partition, and the flag that makes generators skip it.
GPT_SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
NO_AUTO = 1 << 63
# Azure's agent makes a swap file on the resource disk at each boot, if its file says so.
AGENT = "/etc/waagent.conf"
AGENT_SERVICES = ("walinuxagent.service", "waagent.service")
AGENT_SWITCHES = ("ResourceDisk.Format", "ResourceDisk.EnableSwap")
# Amazon's agent exits before it makes a swap file where the instance was not launched for
# hibernation, which nothing changes later; else it makes this file.
HIBERNATION_AGENT = "hibinit-agent"
HIBERNATION = "/var/lib/hibinit-agent/hibernation-enabled"
# Commands that turn swap on, and options with which swapon(8) does not.
COMMANDS = "(^|[^A-Za-z0-9_.-])swapon([^A-Za-z0-9_-]|$)"
ASSIGNMENTS = ("=", "+=", ":=", "==")
QUERIES = ("-s", "--summary", "--show", "-h", "--help", "-V", "--version")
ZRAM_PARENTS = ("/run", "/etc", "/usr/local/lib", "/usr/lib")
ZRAM_MAINS = tuple(f"{parent}/systemd/zram-generator.conf" for parent in ZRAM_PARENTS)
ZRAM_FOLDERS = tuple(f"{parent}/systemd/zram-generator.conf.d/*.conf" for parent in ZRAM_PARENTS)
# Services that enable swap, and their packages.
SERVICES = {
    "zramswap.service": "zram-tools",
    "zram-config.service": "zram-config",
    "zram-swap.service": "zram",
    "dphys-swapfile.service": "dphys-swapfile",
    "swapspace.service": "swapspace",
    "systemd-swap.service": "systemd-swap",
    "swapfile.service": "swapfile",
}
# Patterns for all of them; other matches are dropped. A host searches its folders once for each
# pattern, and would do so again for every name.
SERVICE_NAMES = ("*swap*.service", "zram-config.service")

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
            *select(Selection(_PULLING), *systemd_units.file_patterns("*.target.d/*.conf")),
            *(f"{folder}/*.swap" for folder in GENERATED),
            *(f"{folder}/*.{kind}/*.swap" for folder in GENERATED for kind in systemd_units.PULLS),
            *ZRAM_MAINS,
            *ZRAM_FOLDERS,
            *select(Selection("E:ID_PART_ENTRY_"), DEVICES),
            *select(Selection(r"[[:space:]]*ResourceDisk\."), AGENT),
            *select(EXISTENCE, HIBERNATION),
            *cloud_init.FILES,
        ),
        boot_commands.probe(COMMANDS),
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
        total = _memory(readings, "SwapTotal")
        if total:
            raise Unreadable(f"{ACTIVE} does not exist, but SwapTotal is {total} kB")
        return SwapRuntime((), f"this kernel has no swap: {ACTIVE} does not exist, SwapTotal is 0")
    lines = [line for line in file.lines if line.strip(BLANKS)]
    if not lines or split_words(lines[0]) != ["Filename", "Type", "Size", "Used", "Priority"]:
        raise Unreadable(f"{ACTIVE} does not begin with its header: {lines[:1]}")
    available: int | None = None
    with suppress(Unreadable):
        available = _memory(readings, "MemAvailable")
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
        *_fstab(readings),
        *_units(readings),
        *_generated(readings),
        *_gpt(readings),
        *_zram(readings),
        *_services(readings),
        *_agent(readings),
        *_arguments(readings),
    ]
    known = {trigger.line.path for trigger in found if trigger.kind is TriggerKind.UNIT}
    commands: list[tuple[SwapTrigger, bool]] = []
    try:
        commands += _commands(readings, known)
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
    return SwapPersisted(
        tuple(trigger for trigger in found if trigger.enables),
        tuple(trigger for trigger in found if not trigger.enables),
        dormant_partitions=tuple(_gpt(readings, whatever_fstab_says=True)),
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
    by_dropins = {name for name, _ in _pulled_by_dropins(readings)}
    by_links: dict[str, bool] = {}
    for link in systemd_units.pull_links(readings, "*.swap", *SERVICE_NAMES):
        unit = conf_dirs.name_of(link)
        if _is_ours(unit):
            ours = link.path.startswith(f"{SITE}/") and link.target is not None
            by_links[unit] = by_links.get(unit, True) and ours
    yield from (unit for unit, ours in by_links.items() if ours and unit not in by_dropins)


def _trigger(kind: TriggerKind, line: ConfigLine, note: str, enables: bool) -> SwapTrigger:
    return SwapTrigger(kind, replace(line, note=note), enables)


def _fstab(readings: HostView) -> Iterator[SwapTrigger]:
    """Lines of type swap. `nofail` enables it as well, `noauto` does not."""
    kind = TriggerKind.FSTAB
    target = systemd_units.mask(readings, TARGET)
    for source, what, options in _fstab_swaps(readings):
        mask = _mask(readings, systemd_units.name_of_path(what, "swap"))
        if switched_off := _swap_argument(readings, FSTAB_SINCE):
            note = f"lists {what}, but the kernel argument {switched_off.text} ignores it"
            yield _trigger(kind, source, note, False)
        elif _noauto(options):
            yield _trigger(kind, source, f"lists {what}, but as noauto", False)
        elif target:
            yield _trigger(
                TriggerKind.FSTAB, source, f"lists {what}, but {target.path} masks {TARGET}", False
            )
        elif mask:
            yield _trigger(
                TriggerKind.FSTAB, source, f"lists {what}, but {mask.path} masks its unit", False
            )
        else:
            yield _trigger(kind, source, f"lists {what} as swap", True)


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


def unescaped(text: str) -> str:
    """Decodes `\\040` and similar, as fstab and /proc/swaps write blanks. Source: getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


def _units(readings: HostView) -> Iterator[SwapTrigger]:
    """`.swap` units that something pulls in."""
    kind = TriggerKind.UNIT
    files = systemd_units.in_force(readings, "*.swap")
    pulled: dict[str, list[str]] = {}
    for link in systemd_units.pull_links(readings, "*.swap"):
        pulled.setdefault(conf_dirs.name_of(link), []).append(systemd_units.pulled_by(link))
    for name, by in _pulled_by_dropins(readings):
        pulled.setdefault(name, []).append(by)
    target = systemd_units.mask(readings, TARGET)
    for name, file in files.items():
        source = ConfigLine(file.path, 0, name, changed=file.changed)
        by_whom = list(dict.fromkeys(pulled.get(name, [])))
        if systemd_units.masked(file):
            yield _trigger(kind, source, "is masked", False)
        elif not by_whom:
            yield _trigger(kind, source, "is there, but nothing pulls it in", False)
        elif target and by_whom == [TARGET]:
            yield _trigger(
                TriggerKind.UNIT, source, f"is pulled in by {TARGET} only, which is masked", False
            )
        else:
            yield _trigger(kind, source, f"is pulled in by {', '.join(by_whom)}", True)


def _mask(readings: HostView, unit: str) -> File | None:
    found = systemd_units.in_force(readings, "*.swap").get(unit)
    return found if found and systemd_units.masked(found) else None


def _pulled_by_dropins(readings: HostView) -> Iterator[tuple[str, str]]:
    """Units that drop-ins of targets name in Wants=, Requires= and similar, and those targets."""
    for file in readings.files(*systemd_units.file_patterns("*.target.d/*.conf")):
        if file.kind != "f":
            continue
        for line in file.lines:
            matched = re.match(
                r"\s*(Wants|Requires|Requisite|BindsTo|Upholds)\s*=(.*)", line, re.ASCII
            )
            for name in split_words(matched[2]) if matched else ():
                if name.endswith(".swap"):
                    yield name, file.path.split("/")[-2].removesuffix(".d")


def _generated(readings: HostView) -> Iterator[SwapTrigger]:
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
        mask = _mask(readings, source.text) or systemd_units.mask(readings, TARGET)
        if mask:
            yield _trigger(kind, source, f"was made by {by}, but {mask.path} masks it", False)
        else:
            yield _trigger(kind, source, f"was made by {by}, as at every boot", True)


def _gpt(readings: HostView, whatever_fstab_says: bool = False) -> Iterator[SwapTrigger]:
    """Swap partitions that systemd-gpt-auto-generator would enable once fstab names no swap.

    It examines the disk of the root file system, and nothing while fstab has any swap.
    """
    installed, roots = _host(readings)
    if GPT_GENERATOR not in installed:
        return
    if any(_fstab_swaps(readings)) and not whatever_fstab_says:
        return
    if _switched_off(readings, "systemd.gpt_auto") or systemd_units.mask(readings, TARGET):
        return
    if _swap_argument(readings, GPT_SINCE):
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
        yield _trigger(TriggerKind.GPT_PARTITION, ConfigLine(name, 0, GPT_SWAP), note, True)


def _properties(file: File) -> Mapping[str, str]:
    pairs = (line[2:].partition("=") for line in file.lines if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _host(readings: HostView) -> tuple[set[str], set[str]]:
    """The installed generators, and the device numbers below the root file system."""
    lines = [split_words(line) for line in readings.output("generators").lines]
    return (
        {words[1] for words in lines if words[:1] == ["generator"] and len(words) > 1},
        {words[1] for words in lines if words[:1] == ["root"] and len(words) > 1},
    )


def _zram(readings: HostView) -> Iterator[SwapTrigger]:
    """Devices of zram-generator, with and without the files in /run."""
    installed, _ = _host(readings)
    if ZRAM_GENERATOR not in installed:
        return
    if _switched_off(readings, "systemd.zram"):
        return
    found: dict[str, SwapTrigger] = {}
    for keep in (conf_dirs.persistent, list):
        mains = keep(readings.files(*ZRAM_MAINS))
        files = [
            *[f for f in mains[:1] if f.kind == "f" and not f.masked],
            *conf_dirs.effective(keep(readings.files(*ZRAM_FOLDERS))),
        ]
        for device in _zram_devices(readings, files):
            if device.line.text not in found or device.enables:
                found[device.line.text] = device
    yield from found.values()


def _zram_devices(readings: HostView, files: Sequence[File]) -> Iterator[SwapTrigger]:
    devices: dict[str, ConfigLine] = {}
    options: dict[str, dict[str, str]] = {}
    for file in files:
        section = ""
        for count, line in enumerate(file.lines, 1):
            line = line.strip(BLANKS)
            if opened := re.fullmatch(r"\[(.*)\]", line):
                section = opened[1].strip(BLANKS)
                if re.fullmatch(r"zram\d+", section, re.ASCII):
                    devices.setdefault(
                        section, ConfigLine(file.path, count, section, changed=file.changed)
                    )
            elif section in devices and line[:1] not in ("", "#", ";"):
                key, _, value = line.partition("=")
                options.setdefault(section, {})[key.strip(BLANKS)] = value.strip(BLANKS)
    for name, source in devices.items():
        values = options.get(name, {})
        limit = values.get("host-memory-limit", values.get("memory-limit", "none"))
        swap, file_system = TriggerKind.ZRAM_SWAP, TriggerKind.ZRAM_FILE_SYSTEM
        if values.get("zram-size") == "0":
            yield _trigger(swap, source, f"gives {name} no size", False)
        elif values.get("mount-point") or values.get("fs-type", "swap") != "swap":
            yield _trigger(file_system, source, f"makes {name} a file system", False)
        elif is_decimal(limit) and int(limit) < _memory(readings, "MemTotal") // 1024:
            yield _trigger(swap, source, f"makes {name} only below {limit} MB of memory", False)
        else:
            yield _trigger(swap, source, f"makes {name} a swap", True)


def _services(readings: HostView) -> Iterator[SwapTrigger]:
    """Enabled services that enable swap."""
    kind = TriggerKind.UNIT
    files = systemd_units.in_force(readings, *SERVICE_NAMES)
    links: dict[str, File] = {}
    for pull in systemd_units.pull_links(readings, *SERVICE_NAMES):
        links.setdefault(conf_dirs.name_of(pull), pull)
    for service, package in SERVICES.items():
        if link := links.get(service):
            source = ConfigLine(link.path, 0, service, changed=link.changed)
            unit = files.get(service)
            if unit is None:
                yield _trigger(
                    TriggerKind.UNIT, source, f"enables {service}, which is not there", False
                )
            elif systemd_units.masked(unit):
                yield _trigger(
                    TriggerKind.UNIT, source, f"enables {service}, but {unit.path} masks it", False
                )
            else:
                yield _trigger(kind, source, f"enables {service} ({package})", True)


def _agent(readings: HostView) -> Iterator[SwapTrigger]:
    """A switch counts by its last line; both must be on for a swap file."""
    file = readings.file(AGENT)
    lines: dict[str, tuple[str, ConfigLine]] = {}
    for count, line in enumerate(file.lines if file else (), 1):
        key, equals, value = line.partition("=")
        if file and equals and not line.startswith("#") and key.strip(BLANKS) in AGENT_SWITCHES:
            text = value.partition("#")[0].strip('" \t\r').lower()
            source = ConfigLine(file.path, count, line.strip(BLANKS), changed=file.changed)
            lines[key.strip(BLANKS)] = text, source
    if any(lines.get(name, ("", None))[0] != "y" for name in AGENT_SWITCHES):
        return
    source = lines[AGENT_SWITCHES[1]][1]
    units = [
        name
        for name, file in systemd_units.in_force(readings, *AGENT_SERVICES).items()
        if not systemd_units.masked(file) and systemd_units.pull_links(readings, name)
    ]
    if units:
        note = f"has {units[0]} make a swap file on the resource disk"
        yield _trigger(TriggerKind.AGENT, source, note, True)
    else:
        note = "asks for a swap file, but the agent is not enabled"
        yield _trigger(TriggerKind.AGENT, source, note, False)


def _commands(readings: HostView, known: set[str]) -> Iterator[tuple[SwapTrigger, bool]]:
    """Commands that turn swap on, and whether it is certain that the boot runs them.

    known: the files of units that are judged by their names.
    """
    names = {path.rpartition("/")[2] for path in known}
    for command in boot_commands.commands(readings, COMMANDS):
        file = command.source.path.rpartition("/")[2]
        if file in names or (file == HIBERNATION_AGENT and not readings.file(HIBERNATION)):
            continue
        for words in ip_command.commands(command.text):
            program, *options = ip_command.without_prefixes(words) or [""]
            if _program(program) != "swapon" or any(word in QUERIES for word in options):
                continue
            if options[:1] and options[0] in ASSIGNMENTS:  # a variable of another language
                continue
            note = f"runs `{' '.join((program, *options))}` at boot"
            yield _trigger(TriggerKind.COMMAND, command.source, note, True), command.certain
            break


def _program(word: str) -> str:
    return word.lstrip("`$({-@+!").rpartition("/")[2]


def _arguments(readings: HostView) -> Iterator[SwapTrigger]:
    """Kernel arguments that name a swap device (systemd 254 and later) or create zram0."""
    for source, name, value in _kernel(readings):
        if name == "systemd.swap-extra" and value:
            yield _trigger(TriggerKind.KERNEL_ARGUMENT, source, f"names {value} as swap", True)
        elif name == "systemd.zram" and ZRAM_GENERATOR in _host(readings)[0]:
            on = not _is_no(value)
            note = f"{'makes' if on else 'forbids'} zram devices"
            yield _trigger(TriggerKind.ZRAM_SWAP, source, note, on)


def _kernel(readings: HostView) -> Iterator[tuple[ConfigLine, str, str | None]]:
    file = readings.file(kernel_cmdline.PATH)
    if file is None:
        raise Unreadable(f"{kernel_cmdline.PATH} does not exist: is /proc mounted?")
    for name, value in kernel_cmdline.arguments(" ".join(file.lines)):
        text = name if value is None else f"{name}={value}"
        yield ConfigLine(file.path, 1, text, changed=file.changed), name, value


def _swap_argument(readings: HostView, since: int) -> ConfigLine | None:
    """`systemd.swap=0` where systemd is recent enough to know it there; None if it is not."""
    lines = (split_words(line) for line in readings.output("generators").lines)
    version = next((words[1] for words in lines if words[:1] == ["systemd"] and words[1:]), "")
    if not is_decimal(version) or int(version) < since:
        return None
    given = [(line, value) for line, name, value in _kernel(readings) if name == "systemd.swap"]
    return given[-1][0] if given and _is_no(given[-1][1]) else None


def _switched_off(readings: HostView, argument: str) -> bool:
    values = [value for _, name, value in _kernel(readings) if name == argument]
    return bool(values) and _is_no(values[-1])


def _is_no(value: str | None) -> bool:
    return value is not None and value.lower() in ("0", "no", "n", "false", "f", "off")


def _memory(readings: HostView, name: str) -> int:
    """A line of /proc/meminfo, in KiB."""
    file = readings.file(MEMORY)
    for line in file.lines if file else ():
        if found := re.match(rf"{name}:\s+(\d+) kB", line, re.ASCII):
            return int(found[1])
    raise Unreadable(f"{MEMORY} does not say {name}")
