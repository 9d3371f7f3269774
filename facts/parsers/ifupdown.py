"""The addresses that ifupdown sets at boot. Not a subject.

Source: interfaces(5).
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from msgspec.structs import replace

from facts.parsers import ip_command
from facts.parsers.address_setting import AddressSetting, line_of, plain
from facts.parsers.blanks import BLANKS, split_words
from hale.model import budgets
from hale.model.evidence import Allowance, ConfigLine, File, HostView, Unreadable, matches

INTERFACES = "/etc/network/interfaces"
INTERFACES_D = "/etc/network/interfaces.d"


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
