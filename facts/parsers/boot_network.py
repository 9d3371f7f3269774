"""The addresses that a host's network configuration sets at boot. Not a subject.

A manager's files count only where the manager itself starts at boot. What only the running manager
knows (an interface matched by its driver, two profiles of one priority, a file sourced from
elsewhere) raises Unreadable.

Sources: those of the modules that it imports.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from facts.parsers import (
    boot_target,
    card_names,
    ifupdown,
    netplan,
    network_manager,
    networkd,
    systemd_units,
    unit_settings,
)
from facts.parsers.address_setting import AddressSetting
from hale.model.evidence import EXISTENCE, HostView, Selection, Unreadable, select

WANTS = ("/etc/systemd/system/*.wants", "/run/systemd/generator*/*.wants")
INITSCRIPT = "/etc/rc.d/rc3.d/S*network"

CONFIGURATION = (
    ifupdown.INTERFACES,
    f"{ifupdown.INTERFACES_D}/*",
    *(f"{folder}/*.network" for folder in networkd.FOLDERS),
    *(f"{folder}/*.network.d/*.conf" for folder in networkd.FOLDERS),
    *(f"{folder}/*.yaml" for folder in netplan.FOLDERS),
    *network_manager.KEYFILES,
    network_manager.IFCFG,
)
# Files that may hold keys of a network, and the lines of them that are read.
_LINES = (
    (
        (ifupdown.INTERFACES, f"{ifupdown.INTERFACES_D}/*"),
        "[[:space:]]*(auto|allow-|iface|mapping|template|source|address"
        "|(pre-|post-)?up[[:space:]](.*[^A-Za-z0-9_])?(ip|ifconfig)[[:space:]])",
    ),
    (
        network_manager.KEYFILES,
        r"[[:space:]]*(\[|(interface-name|mac-address|autoconnect|autoconnect-priority|method"
        r"|address(es)?[0-9]*)[[:space:]]*=)",
    ),
    (
        (network_manager.IFCFG,),
        "[[:space:]]*(export[[:space:]]+)?(IPADDR[0-9]*|IPV6ADDR|IPV6ADDR_SECONDARIES|BOOTPROTO"
        "|HWADDR|DEVICE|AUTOCONNECT_PRIORITY|ONBOOT)=",
    ),
)
_SELECTED = tuple(p for patterns, only in _LINES for p in select(Selection(only), *patterns))
# Each manager's unit, and what it runs.
UNITS = {
    "networking": ("ifup", "/etc/init.d/networking"),
    "systemd-networkd": ("systemd-networkd",),
    "NetworkManager": ("NetworkManager",),
}
FILES = (
    *(f"{folder}/{unit}.service" for folder in WANTS for unit in UNITS),
    *(pattern for unit in UNITS for pattern in unit_settings.patterns(f"{unit}.service")),
    *ifupdown.FILES,
    *_SELECTED,
    *(pattern for pattern in CONFIGURATION if pattern not in _SELECTED),
    *select(EXISTENCE, netplan.PROGRAM),
    INITSCRIPT,
    *card_names.FILES,
    *boot_target.FILES,
)
KNOWN = "ifupdown, netplan, systemd-networkd, NetworkManager"
# Managers whose settings name the interface itself.
_BY_NAME = ("ifupdown", "NetworkManager")


def settings(readings: HostView) -> tuple[AddressSetting, ...]:
    """The addresses that the managers started at boot would set. Raises Unreadable."""
    found: list[AddressSetting] = []
    of_netplan = netplan.settings(readings) if readings.file(netplan.PROGRAM) else []
    if _starts(readings, "networking"):
        found += _run(readings, "networking", ifupdown.settings(readings))
    found += of_netplan
    if _starts(readings, "systemd-networkd"):
        found += _run(readings, "systemd-networkd", networkd.settings(readings))
    runs = _starts(readings, "NetworkManager")
    if runs or readings.files(INITSCRIPT):
        of_manager = network_manager.settings(readings, runs)
        found += _run(readings, "NetworkManager", of_manager) if runs else of_manager
    found = list(_on_cards(readings, found))
    line = boot_target.obstacle(readings, mounts=False) if found else None
    if found and not line:
        with suppress(Unreadable):  # who reads commands of a boot reports it
            line = boot_target.missing_mount(readings)
    if line:
        idle = boot_target.sentence(line)
        found = [replace(setting, idle=setting.idle or idle) for setting in found]
    return tuple(found)


def _on_cards(readings: HostView, found: Iterable[AddressSetting]) -> Iterator[AddressSetting]:
    """Settings for a card that has another name at boot, or that the host does not have, are idle.

    Raises Unreadable where a card may have another name.
    """
    names = card_names.at_boot(readings)
    for setting in found:
        card = setting.interface.partition(":")[0]
        gone = card not in names.macs
        idle = setting.idle
        if gone and card in names.renamed:
            line = names.renamed[card]
            idle = idle or f"{line} names that card otherwise at boot ({line.text})"
        elif card in names.doubts and not idle:
            line = names.doubts[card]
            raise Unreadable(f"{line} may name {card} otherwise at boot: {line.text}")
        elif gone and names.macs and setting.manager in _BY_NAME and card_names.is_card(card):
            idle = idle or f"this host has no card {card}"
        yield replace(setting, idle=idle)


def _run(
    readings: HostView, unit: str, found: Sequence[AddressSetting]
) -> Sequence[AddressSetting]:
    """The settings, idle where a boot does not run the manager by its unit. Raises Unreadable."""
    if not any(setting.address and not setting.idle for setting in found):
        return found
    why = unit_settings.not_run(readings, f"{unit}.service", *UNITS[unit])
    return [replace(setting, idle=setting.idle or why) for setting in found]


def _starts(readings: HostView, unit: str) -> bool:
    if systemd_units.mask(readings, f"{unit}.service"):
        return False
    return bool(readings.files(*(f"{folder}/{unit}.service" for folder in WANTS)))
