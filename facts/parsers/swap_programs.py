"""Swap by programs: zram-generator, services, agents, commands and kernel arguments. Not a subject.

Sources: zram-generator.conf(5); the packages named in SERVICES; swapon(8); WALinuxAgent's README
(ResourceDisk.Format, ResourceDisk.EnableSwap); amazon-ec2-hibinit-agent, agent/hibinit-agent
(hibernation_enabled, update_kernel_swap_offset).
"""

import re
from collections.abc import Iterator, Sequence

from facts.parsers import boot_commands, conf_dirs, ip_command, systemd_units
from facts.parsers.blanks import BLANKS, is_decimal
from facts.parsers.swap_triggers import (
    SwapTrigger,
    TriggerKind,
    host_of,
    is_no,
    kernel_arguments,
    memory,
    switched_off,
    trigger,
)
from hale.model.evidence import ConfigLine, File, HostView

ZRAM_GENERATOR = "zram-generator"
# Azure's agent makes a swap file on the resource disk at each boot, if its file says so.
AGENT = "/etc/waagent.conf"
AGENT_SERVICES = ("walinuxagent.service", "waagent.service")
AGENT_SWITCHES = ("ResourceDisk.Format", "ResourceDisk.EnableSwap")
# Amazon's agent exits before it makes a swap file where the instance was not launched for
# hibernation, which nothing changes later; else it makes this file.
HIBERNATION_AGENT = "hibinit-agent"
HIBERNATION = "/var/lib/hibinit-agent/hibernation-enabled"
# Commands that turn swap on, and options with which swapon(8) does not.
COMMANDS = (
    "(^|[^A-Za-z0-9_.-])swapon([^A-Za-z0-9_-]|$)"
    r"|systemctl[ \t].*(start|isolate|--now).*(swap|zram)"
)
STARTS = ("start", "restart", "try-restart", "reload-or-restart", "--now")
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


def of_zram(readings: HostView) -> Iterator[SwapTrigger]:
    """Devices of zram-generator, with and without the files in /run."""
    installed, _ = host_of(readings)
    if ZRAM_GENERATOR not in installed:
        return
    if switched_off(readings, "systemd.zram"):
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
            yield trigger(swap, source, f"gives {name} no size", False)
        elif values.get("mount-point") or values.get("fs-type", "swap") != "swap":
            yield trigger(file_system, source, f"makes {name} a file system", False)
        elif is_decimal(limit) and int(limit) < memory(readings, "MemTotal") // 1024:
            yield trigger(swap, source, f"makes {name} only below {limit} MB of memory", False)
        else:
            yield trigger(swap, source, f"makes {name} a swap", True)


def of_services(readings: HostView) -> Iterator[SwapTrigger]:
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
                yield trigger(
                    TriggerKind.UNIT, source, f"enables {service}, which is not there", False
                )
            elif systemd_units.masked(unit):
                yield trigger(
                    TriggerKind.UNIT, source, f"enables {service}, but {unit.path} masks it", False
                )
            else:
                yield trigger(kind, source, f"enables {service} ({package})", True)


def of_agent(readings: HostView) -> Iterator[SwapTrigger]:
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
        yield trigger(TriggerKind.AGENT, source, note, True)
    else:
        note = "asks for a swap file, but the agent is not enabled"
        yield trigger(TriggerKind.AGENT, source, note, False)


def of_commands(readings: HostView, known: set[str]) -> Iterator[tuple[SwapTrigger, bool]]:
    """Commands that turn swap on, and whether it is certain that the boot runs them.

    known: the files of units that are judged by their names.
    """
    names = {path.rpartition("/")[2] for path in known}
    for command in boot_commands.commands(readings, COMMANDS):
        file = command.source.path.rpartition("/")[2]
        if file in names or (file == HIBERNATION_AGENT and not readings.file(HIBERNATION)):
            continue
        for words in ip_command.commands(command.text):
            run = _swap_command(words)
            if run is None:
                continue
            certain, text = run
            note = f"{text} {command.when}"
            sure = certain and command.certain
            yield trigger(TriggerKind.COMMAND, command.source, note, True), sure
            break


def _swap_command(words: Sequence[str]) -> tuple[bool, str] | None:
    """Whether it is certain that the command turns swap on, and what it does; None where it does
    not."""
    at = ip_command.program_at(words, "swapon")
    if at >= 0:
        options = words[at + 1 :]
        if any(word in QUERIES for word in options):
            return None
        # Without arguments it lists; and of another language, it may be the name of a variable.
        if options[0] in ASSIGNMENTS if options else "xargs" not in map(_name, words[:at]):
            return None
        return True, f"runs `{' '.join(words[at:])}`"
    for word in words:  # `SWAPON=/sbin/swapon`
        name, equals, value = word.partition("=")
        if equals and value.endswith("/swapon") and name.isidentifier():
            return False, f"has the variable {name} for swapon, which may run"
    at = ip_command.program_at(words, "systemctl")
    if at >= 0 and any(word in STARTS for word in words[at + 1 :]):
        units = [w for w in words[at + 1 :] if w.endswith(".swap") or _is_service(w)]
        if units:
            return True, f"starts {units[0]}"
    return None


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _is_service(word: str) -> bool:
    return f"{word.removesuffix('.service')}.service" in SERVICES


def of_kernel_arguments(readings: HostView) -> Iterator[SwapTrigger]:
    """Kernel arguments that name a swap device (systemd 254 and later) or create zram0."""
    for source, name, value in kernel_arguments(readings):
        if name == "systemd.swap-extra" and value:
            yield trigger(TriggerKind.KERNEL_ARGUMENT, source, f"names {value} as swap", True)
        elif name == "systemd.zram" and ZRAM_GENERATOR in host_of(readings)[0]:
            on = not is_no(value)
            note = f"{'makes' if on else 'forbids'} zram devices"
            yield trigger(TriggerKind.ZRAM_SWAP, source, note, on)
