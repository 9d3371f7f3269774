"""The host's planned address and the VIP: on its interfaces now, and in its boot configuration.

Now: the planned address must be on an interface that is up. The VIP may be present as well, but
only where its manager can have put it: on a master, and if the endpoint is external on one whose
keepalived.service is active and has it in its configuration; a process of that name proves nothing,
because any user may start one. That exactly one master has it is another
requirement (HA-VIP-OWNER); a worker must never have it.

At boot: only the host's own network configuration counts, and neither it nor a command that a boot
runs (facts/parsers/boot_commands.py) may set the VIP; nor, on a host that is no master, a
keepalived that starts at boot, or kube-vip's manifest. An address from DHCP does not count: the
next lease cannot be read from the host, so the case FAILs and the manual step explains why. A site
whose DHCP server reserves the addresses keeps evidence of that beside the report, because Hale
cannot verify it on the host.

Sources: ip-address(8); keepalived.conf(5), virtual_ipaddress; facts/parsers/boot_network.py.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    address_setting,
    boot_commands,
    boot_files,
    boot_network,
    boot_target,
    boot_writes,
    cloud_init,
    ip_command,
    private_files,
    systemd_units,
    unit_command,
    unit_settings,
    vip_config,
)
from facts.parsers.address_setting import AddressSetting
from facts.parsers.blanks import split_words
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import arguments, load_script

# An IPv6 address that another host has, or that is still being checked, is not usable.
# Commands that may set an address, or take one away.
COMMANDS = "(^|[^A-Za-z0-9_.-])(ip|ifconfig|ifup|ifdown)[ \t]"
USELESS = ("dadfailed", "tentative")
# A keepalived of the site's, behind an external endpoint: what HA-VIP-OWNER reads of Hale's.
STATE = f"systemctl show --property=ActiveState -- {vip_config.SERVICE}"
_OF_THE_SITE = (*unit_command.patterns(vip_config.SERVICE), *vip_config.FILES)
# What starts a manager of the VIP on a host that is no master.
_MANAGERS = (
    *unit_command.patterns(vip_config.SERVICE),
    *unit_settings.condition_patterns(vip_config.SERVICE),
    *systemd_units.existence(vip_config.SERVICE),
    *boot_target.FILES,
    *vip_config.FILES,
    *vip_config.KUBE_VIP_FILES,
)


class AddressParameters(Struct, frozen=True):
    """None: the inventory has the addresses and the VIP."""


class AddressRuntime(Struct, frozen=True):
    """Interfaces with the planned address, up or down, and interfaces with the VIP."""

    planned: str
    vip: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    vip_on: tuple[str, ...]
    may_hold_vip: bool
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if self.up:
            text = f"{self.planned} is on {' and '.join(self.up)}, which is up"
        elif self.down:
            text = f"{self.planned} is on {' and '.join(self.down)}, which is not up"
        else:
            text = f"no interface has {self.planned}"
        if not self.vip_on:
            return text
        where = f"the VIP {self.vip} is on {' and '.join(self.vip_on)}"
        return f"{text}; {where}" + ("" if self.may_hold_vip else ", where nothing may put it")


class AddressPersisted(Struct, frozen=True):
    """The lines that set the planned address at boot, and those that set the VIP."""

    planned: str
    vip: str
    setters: tuple[ConfigLine, ...]
    vip_setters: tuple[ConfigLine, ...]
    dhcp: tuple[ConfigLine, ...] = ()
    idle: tuple[ConfigLine, ...] = ()  # with the reason as note
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if self.setters:
            parts = [f"{' and '.join(map(str, self.setters))} sets {self.planned} at boot"]
        else:
            parts = [f"nothing on this host sets {self.planned} at boot"]
            parts += [f"{s} would, but {s.note}" for s in self.idle]
            parts += [f"{s} asks DHCP, which may give another one" for s in self.dhcp]
            if not self.idle and not self.dhcp:
                parts.append(f"looked at: {boot_network.KNOWN}")
        parts += [f"{s} sets the VIP {self.vip}: {s.text}" for s in self.vip_setters]
        return "; ".join(parts)


def probes(host: Host, cases: Sequence[Case[AddressParameters]]) -> tuple[Probe, ...]:
    """ip(8) for these two addresses, which files networkd cannot read, and all managers' files."""
    aspects = {case.aspect for case in cases}
    wanted: list[Probe] = []
    if "persisted" in aspects:
        wanted += [
            FileProbe(*boot_network.FILES, *cloud_init.FILES),
            boot_files.PROBE,
            boot_commands.probe(),
        ]
        if not host.is_master:
            wanted.append(FileProbe(*_MANAGERS))
    planned = _address(host)
    if planned:
        endpoint = cases[0].inventory.endpoint
        wanted.append(CommandProbe("ip", _script(planned, endpoint.vip)))
        if "runtime" in aspects and host.is_master and endpoint.kind == "external":
            wanted += [CommandProbe("manager", STATE), FileProbe(*_OF_THE_SITE)]
    return tuple(wanted)


def read_runtime(readings: HostView, case: Case[AddressParameters]) -> AddressRuntime:
    """What ip(8) reports for both addresses. Raises Unreadable, NotApplicable."""
    planned = _planned(case)
    endpoint = case.inventory.endpoint
    on: dict[str, list[str]] = {}
    for line in readings.output("ip").lines:
        words = split_words(line)
        if words[:1] == ["of"]:
            on[" ".join(words)] = []
        elif on and len(words) > 3 and words[2] in ("inet", "inet6"):
            key = next(reversed(on))
            useless = any(word in words for word in USELESS)
            if address_setting.plain(words[3]) == split_words(key)[-1] and not useless:
                on[key].append(words[1].partition("@")[0])
        elif words and not private_files.is_private(line):
            raise Unreadable(f"ip: {line!r} is not an address")
    try:
        up, every = on[f"of up {planned}"], on[f"of any {planned}"]
        vip_on = on[f"of any {endpoint.vip}"]
    except KeyError:
        raise Unreadable("ip: its answer is truncated") from None
    return AddressRuntime(
        planned,
        endpoint.vip,
        tuple(up),
        tuple(name for name in every if name not in up),
        tuple(vip_on),
        bool(case.host and case.host.is_master)
        and (endpoint.kind != "external" or (bool(vip_on) and _has_vip(readings, endpoint.vip))),
    )


def _has_vip(readings: HostView, vip: str) -> bool:
    """Whether a keepalived of the site's runs here that may hold the VIP. Raises Unreadable."""
    if readings.output("manager").lines != ["ActiveState=active"]:
        return False
    return not isinstance(vip_config.keepalived(readings, vip_config.SERVICE, vip), str)


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[AddressParameters]) -> AddressPersisted:
    """The addresses that the configuration sets at boot. Raises Unreadable, NotApplicable."""
    planned = _planned(case)
    vip = case.inventory.endpoint.vip
    every = [_readable(readings, setting) for setting in boot_network.settings(readings)]
    active = [s for s in every if not s.idle]
    setters = tuple(replace(s.source, wins=True) for s in active if s.address == planned)
    vip_setters = tuple(s.source for s in active if s.address == vip)
    try:
        vip_setters += tuple(_by_command(readings, vip))
        if case.host and not case.host.is_master:
            vip_setters += tuple(_by_manager(readings, vip))
    except Unreadable:
        if setters and not vip_setters:
            raise
    if setters and not vip_setters:
        _refuse_removals(readings, planned, {s.interface for s in active if s.address == planned})
        boot_writes.refuse_files(readings, [source.path for source in setters])
    dhcp = tuple(s.source for s in active if s.address is None)
    idle = tuple(replace(s.source, note=s.idle) for s in every if s.idle and s.address == planned)
    return AddressPersisted(
        planned, vip, setters, vip_setters, dhcp, idle, (*setters, *vip_setters, *idle)
    )


def _readable(readings: HostView, setting: AddressSetting) -> AddressSetting:
    """The setting, idle where systemd-networkd cannot read its file, or a drop-in of that.

    Raises Unreadable.
    """
    path = setting.source.path
    if setting.manager != "systemd-networkd" or setting.idle:
        return setting
    file = re.sub(r"\.d/[^/]*$", "", path)
    for private in private_files.paths(readings.output("ip").lines):
        if private == file or private.startswith(f"{file}.d/"):
            return replace(setting, idle=f"systemd-networkd cannot read {private} (`chmod 644`)")
    return setting


def _by_command(readings: HostView, vip: str) -> Iterator[ConfigLine]:
    """Commands of a boot, outside of the network's configuration, that set the VIP.

    Raises Unreadable for a unit's command whose address is not written out.
    """
    for command in boot_commands.commands(readings, COMMANDS):
        for added in ip_command.added_addresses(command.text, command.values):
            if address_setting.plain(added) == vip:
                yield command.source
            elif added.startswith("$") and command.certain:
                raise Unreadable(f"{command.source}: whether {added} is the VIP is unknown")


def _by_manager(readings: HostView, vip: str) -> Iterator[ConfigLine]:
    """The file by which a manager of the VIP puts it on this host once it starts at boot.

    Raises Unreadable where that is unknown.
    """
    if not vip_config.kube_vip(readings, vip):
        yield ConfigLine(vip_config.KUBE_VIP, 0, "kube-vip, which the kubelet starts")
    unit = vip_config.SERVICE
    if boot_target.boot_problems(readings, unit):
        return
    instance = vip_config.keepalived(readings, unit, vip)
    if not isinstance(instance, str):
        unit_settings.refuse_conditions(readings, unit)
        yield ConfigLine(instance.file, 0, f"{unit}, which starts at boot")


def _refuse_removals(readings: HostView, planned: str, cards: Collection[str]) -> None:
    """Raises Unreadable where a command of a boot takes the address or its interface down, and none
    of its file brings it up again."""
    every = list(boot_commands.commands(readings, COMMANDS))
    again = {
        command.source.path
        for command in every
        if "ifup" in command.text
        or planned
        in map(address_setting.plain, ip_command.added_addresses(command.text, command.values))
    }
    for command in every:
        for taken in ip_command.removals(command.text, command.values):
            hit = taken == "-a" or taken in cards or address_setting.plain(taken) == planned
            if hit and command.source.path not in again:
                raise Unreadable(
                    f"{command.source} may take {planned} away after a boot ({command.source.text})"
                )


def _planned(case: Case[AddressParameters]) -> str:
    if case.host is None or not case.host.in_inventory:
        raise NotApplicable("the inventory does not name this host, so it plans no address for it")
    planned = _address(case.host)
    if not planned:
        raise NotApplicable("the inventory plans no address for it: ansible_host is no IP address")
    return planned


def _address(host: Host) -> str:
    try:
        return str(ipaddress.ip_address(host.address or ""))
    except ValueError:
        return ""


def _script(planned: str, vip: str) -> str:
    script = load_script(Path(__file__).with_suffix(".sh"))
    return f"{private_files.SHELL}{arguments(planned, vip)}{script}"
