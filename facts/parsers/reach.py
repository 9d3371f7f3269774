"""Connections and echoes to addresses, all at once, and what became of each. Not a subject: facts
about the network use it.

CONNECT is a program of bash that connects to each `ADDRESS/PORT` in its arguments. PATHS is a shell
function that sends echoes of ICMP with the size of the interface's MTU, not to be fragmented.

Sources: connect(2), tcp(7), icmp(7) (how errors of ICMP are reported), bash(1) (/dev/tcp), ping(8)
of iputils, RFC 1191.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import split_words
from hale.model.evidence import Unreadable
from hale.shell import load_script, script_with

CONNECT = load_script(Path(__file__).with_name("reach_connect.sh"))
NAMED = 5  # hosts in a sentence


class Connection(StrEnum):
    """What became of a connection."""

    OPEN = "open"
    CLOSED = "closed"  # the host itself refused
    REJECTED = "rejected"  # an ICMP message refused
    SILENT = "silent"
    FAILED = "failed"  # for a reason of its own
    LATE = "late"  # the host was too busy


class Echo(StrEnum):
    """Which echo came back: one of full size, only a smaller one, none; or none was sent."""

    FULL = "full"
    SMALL = "small"
    NONE = "none"
    UNASKED = "unasked"


class PathToHost(Struct, frozen=True):
    """The interface to a host, its MTU in bytes; direct: without a router on the way."""

    interface: str
    mtu: int
    direct: bool
    echo: Echo


class ReachAnswers(Struct, frozen=True):
    """Connections by address and port, each with the reason of a failure; paths by address."""

    connections: Mapping[tuple[str, int], tuple[Connection, str]]
    paths: Mapping[str, PathToHost]


def paths_shell(mtu: int | None) -> str:
    """The function `path ADDRESS`. mtu: bytes of the packets; 0: what the interface carries; None:
    what the route does, if it has an MTU of its own.
    """
    size = "route" if mtu is None else str(mtu)
    return script_with(Path(__file__).with_name("reach_paths.sh"), bytes=size)


_LINE = re.compile(r"(open|closed|rejected|silent|late|failed) (\S+)/(\d{1,5})(?: (.*))?", re.A)


def answers(lines: Iterable[str]) -> ReachAnswers:
    """What CONNECT and `path` print. Raises Unreadable for any other line."""
    connections: dict[tuple[str, int], tuple[Connection, str]] = {}
    paths: dict[str, PathToHost] = {}
    for line in lines:
        words = split_words(line)
        try:
            if found := _LINE.fullmatch(line):
                connections[found[2], int(found[3])] = Connection(found[1]), found[4] or ""
            elif words:
                word, address, interface, mtu, how, echo = words
                if word != "path":
                    raise ValueError
                paths[address] = PathToHost(interface, int(mtu), how == "direct", Echo(echo))
        except ValueError:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}") from None
    return ReachAnswers(connections, paths)


def listed(hosts: Sequence[str]) -> str:
    """`a, b and c`; of many the first ones."""
    if len(hosts) > NAMED + 1:
        return f"{', '.join(hosts[:NAMED])} and {len(hosts) - NAMED} more hosts"
    return " and ".join(filter(None, [", ".join(hosts[:-1]), hosts[-1]]))
