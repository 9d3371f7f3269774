"""Which stanzas of /etc/network/interfaces a boot brings up. Not a subject.

Sources: interfaces(5) (auto, allow-hotplug, iface); ifup(8).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from facts.parsers.blanks import split_words

# Lines that say which interface is whose, and what may bring one up by itself: for a host's grep.
LINES = (
    "^[[:blank:]]*(auto|allow-[a-z]+|iface|mapping|template|source(-directory)?)[[:blank:]]"
    "|(^|[^A-Za-z0-9_.-])ifup([^A-Za-z0-9_.-]|$)"
)
_FOLDER = "/etc/network/interfaces"
# `ifup -a`, which networking.service runs, brings up what `auto` names.
_IFUP = re.compile(r"(?:^|[^\w.-])ifup(?![\w.-])(?![ \t]+(?:-a|--all)\b)", re.ASCII)


class FileLine(NamedTuple):
    """A line of a file."""

    path: str
    number: int
    text: str


def starts_interface(pattern: str, interface: str) -> bool:
    """Whether `auto PATTERN` brings it up."""
    if pattern.startswith("/"):  # `auto /eth*`, `auto /eth*/1`
        return fnmatchcase(interface, pattern[1:].partition("/")[0])
    return pattern.rpartition("=")[2] == interface  # `auto eth0=home` takes `iface home`


def idle_lines(lines: Sequence[FileLine]) -> frozenset[tuple[str, int]]:
    """File and number of the lines of interfaces that nothing brings up at boot.

    lines: those that match LINES, and others. Where a command has ifup in it, or another folder's
    files are sourced, none is idle.
    """
    own = [line for line in lines if line.path.startswith(_FOLDER)]
    paths = {line.path for line in own}
    if not own or any(_IFUP.search(line.text) for line in lines if line.path not in paths):
        return frozenset()
    if any(_sourced_elsewhere(line.text) for line in own):
        return frozenset()
    started: list[str] = []
    of = list(_of_interfaces(own, started))
    return frozenset(
        (line.path, line.number)
        for line, interface in of
        if interface and not any(starts_interface(one, interface) for one in started)
    )


def _sourced_elsewhere(text: str) -> bool:
    words = split_words(text)
    return words[:1] in (["source"], ["source-directory"]) and not all(
        word.removeprefix("/etc/network/").startswith("interfaces.d") for word in words[1:]
    )


def _of_interfaces(lines: Iterable[FileLine], started: list[str]) -> Iterator[tuple[FileLine, str]]:
    """Each line with its interface, empty outside of a stanza. started: what `auto` names."""
    path = interface = ""
    for line in lines:
        if line.path != path:
            path, interface = line.path, ""
        word, *rest = split_words(line.text) or [""]
        if word == "iface" and rest:
            interface = rest[0]
        elif word == "auto" or word.startswith("allow-"):
            started += rest
            interface = ""
        elif word in ("mapping", "template"):
            interface = ""
        yield line, interface
