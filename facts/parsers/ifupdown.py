"""The addresses that ifupdown sets at boot. Not a subject.

Sources: interfaces(5); ifup(8), EXCLUDE_INTERFACES; Debian's networking.service.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from msgspec.structs import replace

from facts.parsers import ip_command, unit_settings
from facts.parsers.address_setting import AddressSetting, line_of, plain
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.idle_interfaces import starts_interface
from hale.model import budgets
from hale.model.evidence import (
    Allowance,
    ConfigLine,
    File,
    HostView,
    Selection,
    Unreadable,
    matches,
    select,
)

INTERFACES = "/etc/network/interfaces"
INTERFACES_D = "/etc/network/interfaces.d"
# Variables of networking.service.
DEFAULTS = "/etc/default/networking"
FILES = select(Selection("[[:space:]]*EXCLUDE_INTERFACES="), DEFAULTS)


def settings(readings: HostView) -> list[AddressSetting]:
    """The addresses of /etc/network/interfaces and what it sources. Raises Unreadable."""
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
    excluded = _excluded(readings)
    return [replace(s, idle=_idle(s.interface, started, excluded)) for s in found]


def _idle(interface: str, started: list[str], excluded: list[tuple[ConfigLine, str]]) -> str:
    """Why a boot does not bring the interface up; empty where it does."""
    if not any(starts_interface(one, interface) for one in started):
        return f"no `auto {interface}` brings it up at boot"
    for source, pattern in excluded:
        if fnmatchcase(interface, pattern):
            return f"{source} excludes {interface} ({source.text})"
    return ""


def _excluded(readings: HostView) -> list[tuple[ConfigLine, str]]:
    file = readings.file(DEFAULTS)
    found = [
        (source, value)
        for source, name, value in (unit_settings.variables_of(file) if file else ())
        if name == "EXCLUDE_INTERFACES"
    ]
    return [(source, word) for source, value in found[-1:] for word in split_words(value)]


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
            yield line_of(file, first, text), words
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
