"""The addresses that a host's network configuration sets at boot. Not a subject.

A manager's files count only where the manager itself starts at boot. What only the running manager
knows (an interface matched by its driver, two profiles of one priority, a file sourced from
elsewhere) raises Unreadable.

Sources: interfaces(5); systemd.network(5); netplan's YAML reference and netplan-generate(8);
nm-settings-keyfile(5), nm-settings-ifcfg-rh(5), NetworkManager's "autoconnect-priority".
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import boot_target, card_names, ip_command
from facts.parsers.blanks import BLANKS, SYSTEMD_BLANKS, split_words
from facts.parsers.unit_limits import logical
from hale.model import budgets
from hale.model.evidence import (
    EXISTENCE,
    Allowance,
    ConfigLine,
    File,
    HostView,
    Selection,
    Unreadable,
    matches,
    select,
)

WANTS = ("/etc/systemd/system/*.wants", "/run/systemd/generator*/*.wants")
INTERFACES = "/etc/network/interfaces"
INTERFACES_D = "/etc/network/interfaces.d"
NETWORKD = (
    "/etc/systemd/network",
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)
NETPLAN_PROGRAM = "/usr/sbin/netplan"
NETPLAN = ("/run/netplan", "/etc/netplan", "/lib/netplan")
KEYFILES = (
    "/etc/NetworkManager/system-connections/*",
    "/usr/lib/NetworkManager/system-connections/*.nmconnection",
)
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-*"
INITSCRIPT = "/etc/rc.d/rc3.d/S*network"

CONFIGURATION = (
    INTERFACES,
    f"{INTERFACES_D}/*",
    *(f"{folder}/*.network" for folder in NETWORKD),
    *(f"{folder}/*.network.d/*.conf" for folder in NETWORKD),
    *(f"{folder}/*.yaml" for folder in NETPLAN),
    *KEYFILES,
    IFCFG,
)
# Files that may hold keys of a network, and the lines of them that are read.
_LINES = (
    (
        (INTERFACES, f"{INTERFACES_D}/*"),
        "[[:space:]]*(auto|allow-|iface|mapping|template|source|address"
        "|(pre-|post-)?up[[:space:]](.*[^A-Za-z0-9_])?(ip|ifconfig)[[:space:]])",
    ),
    (
        KEYFILES,
        r"[[:space:]]*(\[|(interface-name|mac-address|autoconnect|autoconnect-priority|method"
        r"|address(es)?[0-9]*)[[:space:]]*=)",
    ),
    (
        (IFCFG,),
        "[[:space:]]*(export[[:space:]]+)?(IPADDR[0-9]*|IPV6ADDR|IPV6ADDR_SECONDARIES|BOOTPROTO"
        "|HWADDR|DEVICE|AUTOCONNECT_PRIORITY|ONBOOT)=",
    ),
)
_SELECTED = tuple(p for patterns, only in _LINES for p in select(Selection(only), *patterns))
UNITS = ("networking", "systemd-networkd", "NetworkManager")
FILES = (
    *(f"{folder}/{unit}.service" for folder in WANTS for unit in UNITS),
    *(f"/etc/systemd/system/{unit}.service" for unit in UNITS),  # masked
    *_SELECTED,
    *(pattern for pattern in CONFIGURATION if pattern not in _SELECTED),
    *select(EXISTENCE, NETPLAN_PROGRAM),
    INITSCRIPT,
    *card_names.FILES,
    *boot_target.FILES,
)
KNOWN = "ifupdown, netplan, systemd-networkd, NetworkManager"

# nm-settings-ifcfg-rh(5) and NetworkManager's utils_should_ignore_file()
IGNORED = re.compile(
    r"(^ifcfg-lo$)|~$|\.(bak|tmp|orig|rej|swp|augnew|augtmp|rpmnew|rpmsave|rpmorig)$|;[0-9a-f]{8}$"
)


# Managers whose settings name the interface itself.
_BY_NAME = ("ifupdown", "NetworkManager")


class AddressSetting(Struct, frozen=True):
    """A line that sets an address; address: None for DHCP.

    idle: why it has no effect at boot, empty where it has one.
    """

    manager: str
    interface: str
    address: str | None
    source: ConfigLine
    idle: str = ""


def settings(readings: HostView) -> tuple[AddressSetting, ...]:
    """The addresses that the managers started at boot would set. Raises Unreadable."""
    found: list[AddressSetting] = []
    netplan = _netplan(readings) if readings.file(NETPLAN_PROGRAM) else []
    if _starts(readings, "networking"):
        found += _ifupdown(readings)
    found += netplan
    if _starts(readings, "systemd-networkd"):
        found += _networkd(readings)
    network_manager = _starts(readings, "NetworkManager")
    if network_manager or readings.files(INITSCRIPT):
        found += _network_manager(readings, network_manager)
    found = list(_on_cards(readings, found))
    if found and (line := boot_target.obstacle(readings)):
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


def plain(text: str) -> str:
    """The address of `10.0.0.1/24` or `10.0.0.1`, normalized; empty if invalid."""
    try:
        return str(ipaddress.ip_interface(text.strip(BLANKS)).ip)
    except ValueError:
        return ""


def _starts(readings: HostView, unit: str) -> bool:
    masked = readings.file(f"/etc/systemd/system/{unit}.service")
    if masked and masked.masked:
        return False
    return bool(readings.files(*(f"{folder}/{unit}.service" for folder in WANTS)))


def _source(file: File, number: int, text: str) -> ConfigLine:
    return ConfigLine(file.path, number, text.strip(BLANKS), changed=file.changed)


# --- ifupdown ---


def _ifupdown(readings: HostView) -> list[AddressSetting]:
    file = readings.file(INTERFACES)
    found: list[AddressSetting] = []
    started: list[str] = []
    interface = method = ""
    for source, words in _interface_lines(readings, file) if file else ():
        word, *rest = words
        if word == "auto" or word.startswith("allow-"):
            started += rest
            interface = ""
        elif word == "iface" and len(rest) >= 3:
            interface, method = rest[0], rest[2]
            if "inherits" in rest:
                raise Unreadable(f"{source}: what it inherits is not read")
            if method == "dhcp":
                found.append(AddressSetting("ifupdown", interface, None, source))
        elif word in ("mapping", "template", "iface"):
            interface = ""
        elif interface and word == "address" and method == "static" and rest:
            found.append(AddressSetting("ifupdown", interface, plain(rest[0]), source))
        elif interface and word in ("up", "post-up", "pre-up"):
            found += [
                AddressSetting("ifupdown", interface, plain(added), source)
                for added in ip_command.added_addresses(" ".join(rest))
                if plain(added)
            ]
    return [
        setting
        if any(_starts_interface(one, setting.interface) for one in started)
        else replace(setting, idle=f"no `auto {setting.interface}` brings it up at boot")
        for setting in found
    ]


def _starts_interface(pattern: str, interface: str) -> bool:
    if pattern.startswith("/"):  # `auto /eth*`, `auto /eth*/1`
        return fnmatchcase(interface, pattern[1:].partition("/")[0])
    return pattern.rpartition("=")[2] == interface  # `auto eth0=home` takes `iface home`


def _interface_lines(
    readings: HostView, file: File, depth: int = 0, allowance: Allowance | None = None
) -> Iterator[tuple[ConfigLine, list[str]]]:
    """Non-empty lines, with continued lines joined and sourced files inserted."""
    allowance = allowance or Allowance(budgets.INCLUDES, "files source each other")
    held, first = "", 0
    for number, line in enumerate(file.lines, 1):
        if not held and line.lstrip(BLANKS).startswith("#"):
            continue
        first = first if held else number
        held += line
        if held.endswith("\\"):
            held = held[:-1]
            continue
        words, text, held = split_words(held), held, ""
        if not words:
            continue
        if words[0] not in ("source", "source-directory"):
            yield _source(file, first, text), words
            continue
        for pattern in words[1:]:
            for other in _sourced(readings, words[0], pattern, f"{file.path}:{first}"):
                if depth > 8:
                    raise Unreadable(f"{file.path}:{first}: files source each other")
                allowance.spend(where=f"{file.path}:{first}")
                yield from _interface_lines(readings, other, depth + 1, allowance)


def _sourced(readings: HostView, word: str, pattern: str, where: str) -> list[File]:
    full = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
    files = [f for f in readings.files(f"{INTERFACES_D}/*") if f.kind == "f"]
    if word == "source-directory" and full.rstrip("/") == INTERFACES_D:
        return [f for f in files if re.fullmatch(r"[A-Za-z0-9_-]+", f.path.rpartition("/")[2])]
    if word == "source" and full.rpartition("/")[0] == INTERFACES_D:
        return [f for f in files if matches(f.path, full)]
    raise Unreadable(f"{where}: {word} {pattern}: only {INTERFACES_D} is read")


# --- systemd-networkd ---


def _networkd(readings: HostView) -> list[AddressSetting]:
    chosen: dict[str, File] = {}
    for folder in NETWORKD:
        for file in readings.files(f"{folder}/*.network"):
            name = file.path.rpartition("/")[2]
            if not (folder.startswith("/run/") and "netplan" in name):  # netplan regenerates it
                chosen.setdefault(name, file)
    taken: dict[str, str] = {}  # interface -> the file that has it
    unsure: list[str] = []
    found: list[AddressSetting] = []
    for name in sorted(chosen):
        file = chosen[name]
        if file.masked or file.kind != "f":
            continue
        lines = [*_unit(file), *(line for f in _dropins(readings, name) for line in _unit(f))]
        hits, doubt = _matched(readings, lines)
        mine = [i for i in hits if i not in taken]
        taken |= dict.fromkeys(mine, file.path)
        settings_here = list(_network_settings(lines))
        if doubt:
            if settings_here:
                raise Unreadable(f"{file.path}: cannot tell whether its {doubt} matches")
            unsure.append(file.path)
            continue
        if not mine:
            why = f"{taken[hits[0]]} has {hits[0]} before it" if hits else "it matches no interface"
            found += [replace(s, idle=why) for s in settings_here]
            continue
        if unsure and settings_here:
            raise Unreadable(f"{unsure[0]} may have {mine[0]} before {file.path}")
        unmanaged = any(s == "Link" and k == "Unmanaged" and _true(v) for s, k, v, _ in lines)
        why = "its interface is Unmanaged" if unmanaged else ""
        found += [replace(s, interface=" ".join(mine), idle=why) for s in settings_here]
    return found


def _network_settings(lines: Iterable[tuple[str, str, str, ConfigLine]]) -> list[AddressSetting]:
    found: list[AddressSetting] = []
    dhcp: list[AddressSetting] = []
    for section, key, value, source in lines:
        if (section, key) == ("Network", "Address") and not value and found:
            raise Unreadable(f"{source}: systemd's releases differ about an empty Address=")
        if key == "Address" and section in ("Network", "Address"):
            found.append(AddressSetting("systemd-networkd", "", plain(value), source))
        elif (section, key) == ("Network", "DHCP"):
            on = _true(value) or value.lower() in ("both", "ipv4", "ipv6", "v4", "v6")
            dhcp = [AddressSetting("systemd-networkd", "", None, source)] if on else []
    return [*found, *dhcp]


def _dropins(readings: HostView, name: str) -> list[File]:
    chosen: dict[str, File] = {}
    for folder in NETWORKD:
        for file in readings.files(f"{folder}/*.network.d/*.conf"):
            if file.path.startswith(f"{folder}/{name}.d/"):
                chosen.setdefault(file.path.rpartition("/")[2], file)
    return [chosen[n] for n in sorted(chosen) if not chosen[n].masked and chosen[n].kind == "f"]


def _matched(
    readings: HostView, lines: Sequence[tuple[str, str, str, ConfigLine]]
) -> tuple[list[str], str]:
    """The host's interfaces that [Match] selects, or the condition that files cannot decide."""
    macs = _macs(readings)
    conditions: dict[str, list[str]] = {}
    for section, key, value, _ in lines:
        if section == "Match":  # a repeated key has all its values; an empty one resets them
            conditions[key] = [*conditions.get(key, ()), *split_words(value)] if value else []
    # A file without a condition is ignored; lo does not connect a host to others.
    names = [name for name in macs if name != "lo" and any(conditions.values())]
    for key, words in conditions.items():
        if key == "Name" and words:
            no = words[0].startswith("!")
            globs = [w.lstrip("!") for w in words]
            names = [n for n in names if any(fnmatchcase(n, g) for g in globs) is not no]
        elif key in ("MACAddress", "PermanentMACAddress") and words:
            wanted = {w.lower().replace("-", ":") for w in words}
            names = [n for n in names if macs[n] in wanted]
    doubts = [
        k
        for k in conditions
        if conditions[k] and k not in ("Name", "MACAddress", "PermanentMACAddress")
    ]
    return (names, "") if not doubts or not names else ([], f"[Match] {doubts[0]}=")


def _macs(readings: HostView) -> Mapping[str, str]:
    """The hardware address of each card, by its name at the next boot."""
    return card_names.at_boot(readings).macs


def _unit(file: File) -> Iterator[tuple[str, str, str, ConfigLine]]:
    """Section, key, value and line of a unit file, as systemd reads it."""
    section = ""
    for number, text, _ in logical(file):
        key, equals, value = text.partition("=")
        if text[0] == "[" and text[-1] == "]":
            section = text[1:-1]
        elif equals:
            yield (
                section,
                key.strip(SYSTEMD_BLANKS),
                value.strip(SYSTEMD_BLANKS),
                _source(file, number, text),
            )


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
            yield section, key.strip(BLANKS), value.strip(BLANKS), _source(file, number, text)


def _true(value: str) -> bool:
    return value.lower() in ("yes", "true", "on", "1", "y", "t")


# --- netplan ---


def _netplan(readings: HostView) -> list[AddressSetting]:
    chosen: dict[str, File] = {}
    for folder in NETPLAN:
        for file in readings.files(f"{folder}/*.yaml"):
            chosen.setdefault(file.path.rpartition("/")[2], file)
    found: list[AddressSetting] = []
    off: dict[str, str] = {}
    for name in sorted(chosen):
        for path, value, source in _yaml(chosen[name]):
            # network, ethernets, eth0, addresses
            if len(path) < 4 or path[0] != "network":
                continue
            interface, key = path[2], path[3]
            if key == "addresses" and len(path) == 4 and plain(value):
                found.append(AddressSetting("netplan", interface, plain(value), source))
            elif key in ("dhcp4", "dhcp6") and _true(value):
                found.append(AddressSetting("netplan", interface, None, source))
            elif key == "activation-mode" and value in ("manual", "off"):
                off[interface] = f"{source} leaves {interface} down"
    return [replace(s, idle=off.get(s.interface, "")) for s in found]


def _yaml(file: File) -> Iterator[tuple[tuple[str, ...], str, ConfigLine]]:
    """Scalars with the keys above them: the subset of YAML that netplan's files use.

    Raises Unreadable for flow mappings, anchors and block scalars.
    """
    above: list[tuple[int, str]] = []
    held = ""
    for number, line in enumerate(file.lines, 1):
        text = re.sub(r"(^|\s)#.*$", "", line.rstrip(BLANKS), flags=re.ASCII)
        text = text.replace("********", "masked")  # hale/redact.py's stars are no alias
        text = held + text.strip(BLANKS) if held else text
        if not text.strip(BLANKS) or text.strip(BLANKS) == "---":
            continue
        if text.count("[") > text.count("]"):  # a list over several lines
            held = text + " "
            continue
        held = ""
        source = _source(file, number, line)
        if re.search(r"[:\-\[,]\s*[{&*|>!]", text, re.ASCII) and not re.search(
            r"\{\s*\}\s*$", text, re.ASCII
        ):
            raise Unreadable(f"{source}: this YAML is not understood: {text.strip(BLANKS)}")
        indent = len(text) - len(text.lstrip(BLANKS))
        content = text.strip(BLANKS)
        dash = content.startswith("- ") or content == "-"
        while above and (above[-1][0] > indent or (above[-1][0] == indent and not dash)):
            above.pop()
        keys = tuple(key for _, key in above)
        if dash:
            item = content[1:].strip(BLANKS)
            if pair := re.match(r"""(["']?[\w.:/-]+["']?):(\s|$)""", item, re.ASCII):
                yield keys, _unquoted(pair[1]), source  # `- 10.0.0.1/24: {label: …}`, `- to: …`
            else:
                yield keys, _unquoted(item), source
            continue
        key, colon, value = content.partition(":")
        if not colon:
            raise Unreadable(f"{source}: this YAML is not understood: {content}")
        above.append((indent, _unquoted(key)))
        value = value.strip(BLANKS)
        inside = value[1:-1].split(",") if value.startswith("[") else [value]
        for part in inside:
            if part.strip(BLANKS):
                yield (*keys, _unquoted(key)), _unquoted(part.strip(BLANKS)), source


def _unquoted(text: str) -> str:
    return text.strip(BLANKS).strip("\"'")


# --- NetworkManager, and the old network script, which reads the same ifcfg files ---


class _Profile(Struct, frozen=True):
    where: str
    interface: str  # empty: any
    priority: int
    auto: bool
    settings: tuple[AddressSetting, ...]


def _network_manager(readings: HostView, runs: bool) -> list[AddressSetting]:
    by_mac = {mac: name for name, mac in _macs(readings).items()}
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


def _ifcfg(file: File, by_mac: dict[str, str]) -> _Profile:
    values: dict[str, tuple[str, ConfigLine]] = {}
    for number, line in enumerate(file.lines, 1):
        if hit := re.match(r"\s*(?:export\s+)?([A-Z0-9_]+)=(.*)$", line, re.ASCII):
            text = re.sub(r"\s+#.*$", "", hit[2], flags=re.ASCII).strip(BLANKS).strip("\"'")
            values[hit[1]] = (text, _source(file, number, line))

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
    source = _source(file, 0, priority)
    on = value("ONBOOT", "yes").lower() not in ("no", "false", "off", "0", "n")
    return _Profile(file.path, interface, _integer(priority, source), on, tuple(found))


def _integer(text: str, source: ConfigLine) -> int:
    try:
        return int(text)
    except ValueError:
        raise Unreadable(f"{source}: {text!r} is not a number") from None
