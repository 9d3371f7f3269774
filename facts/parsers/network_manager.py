"""The addresses that NetworkManager sets at boot, or the old network script, which reads the same
ifcfg files. Not a subject.

Sources: nm-settings-keyfile(5), nm-settings-ifcfg-rh(5), NetworkManager's "autoconnect-priority".
"""

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers.address_setting import AddressSetting, line_of, macs_at_boot, plain
from facts.parsers.blanks import BLANKS, split_words
from hale.model.evidence import ConfigLine, File, HostView, Unreadable

KEYFILES = (
    "/etc/NetworkManager/system-connections/*",
    "/usr/lib/NetworkManager/system-connections/*.nmconnection",
)
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-*"

# nm-settings-ifcfg-rh(5) and NetworkManager's utils_should_ignore_file()
IGNORED = re.compile(
    r"(^ifcfg-lo$)|~$|\.(bak|tmp|orig|rej|swp|augnew|augtmp|rpmnew|rpmsave|rpmorig)$|;[0-9a-f]{8}$"
)


class _Profile(Struct, frozen=True):
    where: str
    interface: str  # empty: any
    priority: int
    auto: bool
    settings: tuple[AddressSetting, ...]


def settings(readings: HostView, runs: bool) -> list[AddressSetting]:
    """The addresses of the profiles. runs: whether NetworkManager starts. Raises Unreadable."""
    by_mac = {mac: name for name, mac in macs_at_boot(readings).items()}
    profiles = [
        _keyfile(f, by_mac)
        for f in readings.files(*KEYFILES)
        if runs and f.kind == "f" and not IGNORED.search(f.path.rpartition("/")[2])
    ]
    profiles += [
        _ifcfg(f, by_mac)
        for f in readings.files(IFCFG)
        if f.kind == "f" and not IGNORED.search(f.path.rpartition("/")[2])
    ]
    found: list[AddressSetting] = []
    for profile in profiles:
        rivals = [
            p
            for p in profiles
            if p is not profile and p.auto and _same_interface(p.interface, profile.interface)
        ]
        idle = "" if profile.auto else f"{profile.where} is not started at boot"
        for rival in rivals:
            if profile.auto and profile.settings and rival.priority == profile.priority:
                raise Unreadable(
                    f"{profile.where} and {rival.where} are both for "
                    f"{profile.interface or rival.interface or 'any interface'}, "
                    "with one priority: NetworkManager takes the one it used last"
                )
            if rival.priority > profile.priority:
                idle = idle or f"{rival.where} has a higher priority"
        found += [replace(s, interface=profile.interface, idle=idle) for s in profile.settings]
    return found


def _same_interface(one: str, other: str) -> bool:
    return not one or not other or one == other


def _keyfile(file: File, by_mac: dict[str, str]) -> _Profile:
    interface, priority, auto = "", 0, True
    methods: dict[str, tuple[str, ConfigLine]] = {}
    addresses: list[tuple[str, str, ConfigLine]] = []
    for section, key, value, source in _ini(file):
        if (section, key) == ("connection", "interface-name"):
            interface = value
        elif section in ("ethernet", "802-3-ethernet") and key == "mac-address":
            interface = interface or by_mac.get(value.lower(), value)
        elif (section, key) == ("connection", "autoconnect"):
            auto = value.lower() not in ("false", "no", "off", "0")
        elif (section, key) == ("connection", "autoconnect-priority"):
            priority = _integer(value, source)
        elif section in ("ipv4", "ipv6") and key == "method":
            methods[section] = (value, source)
        elif section in ("ipv4", "ipv6") and re.fullmatch(r"address(es)?\d*", key, re.ASCII):
            addresses += [(section, plain(one.split(",")[0]), source) for one in value.split(";")]
    found = [
        AddressSetting("NetworkManager", interface, address, source)
        for family, address, source in addresses
        if address and family in methods and methods[family][0] in ("manual", "auto", "dhcp")
    ]
    found += [
        AddressSetting("NetworkManager", interface, None, source)
        for method, source in methods.values()
        if method in ("auto", "dhcp")
    ]
    return _Profile(file.path, interface, priority, auto, tuple(found))


def _ini(file: File) -> Iterator[tuple[str, str, str, ConfigLine]]:
    """Section, key, value and line of a keyfile."""
    section = ""
    for number, line in enumerate(file.lines, 1):
        text = line.strip(BLANKS)
        if not text or text[0] in "#;":
            continue
        if text[0] == "[" and text[-1] == "]":
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if equals:
            yield section, key.strip(BLANKS), value.strip(BLANKS), line_of(file, number, text)


def _ifcfg(file: File, by_mac: dict[str, str]) -> _Profile:
    values: dict[str, tuple[str, ConfigLine]] = {}
    for number, line in enumerate(file.lines, 1):
        if hit := re.match(r"\s*(?:export\s+)?([A-Z0-9_]+)=(.*)$", line, re.ASCII):
            text = re.sub(r"\s+#.*$", "", hit[2], flags=re.ASCII).strip(BLANKS).strip("\"'")
            values[hit[1]] = (text, line_of(file, number, line))

    def value(key: str, default: str = "") -> str:
        return values[key][0] if key in values else default

    found = []
    for key, (text, source) in values.items():
        if re.fullmatch(r"IPADDR\d*|IPV6ADDR|IPV6ADDR_SECONDARIES", key, re.ASCII):
            found += [
                AddressSetting("NetworkManager", "", plain(one), source)
                for one in split_words(text)
                if one
            ]
    if value("BOOTPROTO").lower() in ("dhcp", "bootp"):
        found.append(AddressSetting("NetworkManager", "", None, values["BOOTPROTO"][1]))
    mac = value("HWADDR").lower()
    interface = value("DEVICE") or by_mac.get(mac, mac)
    priority = value("AUTOCONNECT_PRIORITY", "0")
    source = line_of(file, 0, priority)
    on = value("ONBOOT", "yes").lower() not in ("no", "false", "off", "0", "n")
    return _Profile(file.path, interface, _integer(priority, source), on, tuple(found))


def _integer(text: str, source: ConfigLine) -> int:
    try:
        return int(text)
    except ValueError:
        raise Unreadable(f"{source}: {text!r} is not a number") from None
