"""How pam_limits reads a line of limits.conf: its users, and its value.

Sources: limits.conf(5); Linux-PAM's modules/pam_limits/pam_limits.c; Debian's pam, whose patch
exempts root from `*` and groups. Not a subject: facts/limits.py uses it.
"""

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from math import inf

from msgspec import Struct

from facts.parsers.blanks import BLANKS, is_decimal, split_words
from hale.model.evidence import ConfigLine, File, Unreadable


class Rank(IntEnum):
    """How specifically a line's domain matches; in pam_limits' order, the lower value wins."""

    MINE = 0
    GROUP = 1
    DEFAULT = 2


class User(Struct, frozen=True):
    """The user of a login."""

    name: str
    uid: int
    gid: int
    groups: frozenset[str]
    gids: frozenset[int]


class LimitsEntry(Struct, frozen=True):
    """A line that sets the soft limit, the hard limit or both."""

    source: ConfigLine
    domain: str
    soft: bool
    hard: bool
    value: float | None  # None: pam_limits may reject it


def identity(text: str) -> User | None:
    """The user in id(1)'s output, `uid=1000(ops) gid=1000(ops) groups=1000(ops),27(sudo)`.

    None for empty output. Raises Unreadable.
    """
    if not text.strip(BLANKS):
        return None
    who = re.search(r"uid=(\d+)\(([^)]*)\)", text, re.ASCII)
    main = re.search(r"gid=(\d+)", text, re.ASCII)
    groups = re.findall(r"(\d+)\(([^)]*)\)", text.partition("groups=")[2], re.ASCII)
    if not who or not main:
        raise Unreadable(f"id printed {text.strip(BLANKS)!r}")
    return User(
        who[2],
        int(who[1]),
        int(main[1]),
        frozenset(name for _, name in groups),
        frozenset(int(gid) for gid, _ in groups),
    )


def entries(files: Sequence[File], item: str) -> Iterator["LimitsEntry | ConfigLine"]:
    """The lines that affect this limit, in reading order.

    A ConfigLine stands for a line `<who> -`, which exempts its users from all limits.
    """
    for file in files:
        yield from _of_file(file, item)


@lru_cache(maxsize=4096)  # both aspects read each file, for the domain and for the user
def _of_file(file: File, item: str) -> tuple["LimitsEntry | ConfigLine", ...]:
    found: list[LimitsEntry | ConfigLine] = []
    for count, raw in enumerate(file.lines, 1):
        fields = split_words(raw.lstrip(BLANKS).partition("#")[0], 3)
        if len(fields) < 2:  # nearly all lines
            continue
        source = ConfigLine(file.path, count, raw.strip(BLANKS), changed=file.changed)
        if len(fields) == 2 and fields[1].startswith("-"):
            found.append(source)
        if len(fields) < 4 or fields[2].lower() != item:
            continue
        kind, value = fields[1].lower(), number(fields[3])
        if kind in ("soft", "hard", "-"):
            found.append(LimitsEntry(source, fields[0], kind != "hard", kind != "soft", value))
    return tuple(found)


def number(text: str) -> float | None:
    """pam_limits' number for a value: the leading digits count; None: the value is ignored.

    A word must stand alone: before Linux-PAM 1.6, a carriage return or another word could follow
    `unlimited`; since then, neither can.
    """
    word = text.lower().strip(" \t")
    if word in ("-1", "-", "unlimited", "infinity"):
        return inf
    found = re.match(r"\s*([+-]?)(\d+)", word, re.ASCII)
    if not found:
        return None
    most = 2**64 - 1
    value = int(found[2])
    if found[1] == "-" and value <= most:
        value = (most + 1 - value) % (most + 1)  # strtoull(3) negates it, modulo 2^64
    return inf if value >= most else float(value)


def rank_of(domain: str, user: User | None, spares_root: bool) -> Rank | None:
    """How specifically a line's domain matches; None if it does not match."""
    if user is None:
        return Rank.DEFAULT if domain == "*" else None
    if domain == user.name:
        return Rank.MINE
    plain = user.uid != 0 or not spares_root
    if domain == "*":
        return Rank.DEFAULT if plain else None
    if domain.startswith("@"):
        return Rank.GROUP if plain and _in_group(domain[1:], user) else None
    low, colon, high = domain.partition(":")
    return Rank.MINE if colon and _in_range(low, high, user.uid) else None


def _in_group(name: str, user: User) -> bool:
    low, colon, high = name.partition(":")
    if not colon:
        return name in user.groups
    if not low:
        return is_decimal(high) and int(high) in user.gids
    return _in_range(low, high, user.gid)


def _in_range(low: str, high: str, number: int) -> bool:
    if not is_decimal(low + high):
        return False
    if not low:
        return number == int(high)
    return int(low) <= number and (not high or number <= int(high))
