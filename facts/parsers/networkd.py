"""The addresses that systemd-networkd sets at boot. Not a subject.

Source: systemd.network(5).
"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from facts.parsers.address_setting import AddressSetting, is_true, line_of, macs_at_boot, plain
from facts.parsers.blanks import SYSTEMD_BLANKS, split_words
from facts.parsers.unit_limits import logical
from hale.model.evidence import ConfigLine, File, HostView, Unreadable

FOLDERS = (
    "/etc/systemd/network",
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)


def settings(readings: HostView) -> list[AddressSetting]:
    """The addresses of the .network files that match an interface. Raises Unreadable."""
    chosen: dict[str, File] = {}
    for folder in FOLDERS:
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
        unmanaged = any(s == "Link" and k == "Unmanaged" and is_true(v) for s, k, v, _ in lines)
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
            on = is_true(value) or value.lower() in ("both", "ipv4", "ipv6", "v4", "v6")
            dhcp = [AddressSetting("systemd-networkd", "", None, source)] if on else []
    return [*found, *dhcp]


def _dropins(readings: HostView, name: str) -> list[File]:
    chosen: dict[str, File] = {}
    for folder in FOLDERS:
        for file in readings.files(f"{folder}/*.network.d/*.conf"):
            if file.path.startswith(f"{folder}/{name}.d/"):
                chosen.setdefault(file.path.rpartition("/")[2], file)
    return [chosen[n] for n in sorted(chosen) if not chosen[n].masked and chosen[n].kind == "f"]


def _matched(
    readings: HostView, lines: Sequence[tuple[str, str, str, ConfigLine]]
) -> tuple[list[str], str]:
    """The host's interfaces that [Match] selects, or the condition that files cannot decide."""
    macs = macs_at_boot(readings)
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
                line_of(file, number, text),
            )
