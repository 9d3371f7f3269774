"""The table that systemd-sysctl makes of the lines of sysctl.d. Not a subject.

Sources: sysctl.d(5), src/sysctl/sysctl.c of systemd; the kernel's kernel/sysctl.c.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from hale.model import budgets
from hale.model.evidence import Allowance, ConfigLine, File, Unreadable, matches

ROOT = "/proc/sys"
_NUMBER = re.compile(r"\s*(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n]|$)", re.ASCII)


class TableEntry(Struct, frozen=True):
    """A key's last line in systemd-sysctl's table; `value` None excludes it from patterns."""

    value: str | None
    source: ConfigLine


def table_of(files: Sequence[File]) -> tuple[dict[str, TableEntry], list[tuple[str, ConfigLine]]]:
    """systemd-sysctl's table in its order, and the lines that a later line of the key replaced.

    A key that is set again to the same value keeps its place in the order.
    """
    table: dict[str, TableEntry] = {}
    replaced: list[tuple[str, ConfigLine]] = []
    for source, key, value in assignments(files):
        old = table.get(key)
        if old:
            replaced.append((key, old.source))
            if old.value != value:
                del table[key]
        table[key] = TableEntry(value, source)
    return table, replaced


def assignments(files: Sequence[File]) -> Iterator[tuple[ConfigLine, str, str | None]]:
    """Every line, its key as a path below /proc/sys, and its value, in reading order.

    The value is None for an exclusion (`-key`). Other lines without `=` are ignored.
    """
    for file in files:
        yield from _assignments(file)


@lru_cache(maxsize=4096)  # every requirement reads all of them, three times
def _assignments(file: File) -> tuple[tuple[ConfigLine, str, str | None], ...]:
    found: list[tuple[ConfigLine, str, str | None]] = []
    allowance = Allowance(budgets.PATTERNS, "patterns")
    for count, raw in enumerate(file.lines, 1):
        for line in raw.split("\r"):  # systemd ends a line at a carriage return too
            line = line.strip(" \t")
            if not line or line[0] in "#;":
                continue
            key, equals, value = line.partition("=")
            if not equals and not key.startswith("-"):
                continue
            name = normalized(key.removeprefix("-").strip(" \t"))
            source = ConfigLine(file.path, count, raw.strip(BLANKS), changed=file.changed)
            if is_pattern(name):
                allowance.spend(where=source)
            found.append((source, name, value.strip(" \t") if equals else None))
    return tuple(found)


def writes_of(
    table: Mapping[str, TableEntry], names: Sequence[str]
) -> Iterator[tuple[ConfigLine, str]]:
    """What is written to the parameter, in order; a pattern skips keys that have a line."""
    for key, entry in table.items():
        if entry.value is None:
            continue
        if is_pattern(key):
            if any(name not in table and matches_key(name, key) for name in names):
                yield entry.source, entry.value
        elif key in names:
            yield entry.source, entry.value


def concerns(key: str, names: Sequence[str]) -> bool:
    """Whether the key, or a pattern, is one of these parameters."""
    return any(matches_key(n, key) for n in names) if is_pattern(key) else key in names


def is_pattern(key: str) -> bool:
    """Whether the key has wildcards."""
    return any(c in key for c in "*?[")


def matches_key(name: str, pattern: str) -> bool:
    """Whether the pattern matches the parameter. Raises Unreadable for one that is too long."""
    if len(pattern) > budgets.PATTERN_CHARACTERS:
        limit = budgets.PATTERN_CHARACTERS
        raise Unreadable(
            f"a pattern of sysctl.d is longer than {limit} characters: {pattern[:40]}…"
        )
    return matches(f"/{name}", f"/{pattern}")


def normalized(key: str) -> str:
    """The path below /proc/sys. The first `.` or `/` decides which of them is the separator.

    `net.ipv4.conf.eth0/1.x` and `net/ipv4/conf/eth0.1/x` are the same.
    """
    first = next((c for c in key if c in "./"), "/")
    path = key if first == "/" else key.translate(str.maketrans("./", "/."))
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def path_of(key: str) -> str:
    """The parameter's file; a pattern for a key with `*`."""
    return f"{ROOT}/{normalized(key)}"


def number(text: str) -> int | None:
    """The kernel's value for a text written to an integer parameter; None: it rejects the text.

    The first number counts (decimal, 0x… or octal 0…) and must be followed by a blank or the end;
    it must fit into 32 bits and, with leading zeros, into 20 characters.
    Source: the kernel's kernel/sysctl.c, proc_get_long.
    """
    found = _NUMBER.match(text)
    if not found:
        return None
    digits = found[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    value = -int(digits, base) if found[1] else int(digits, base)
    fits = -0x80000000 <= value <= 0x7FFFFFFF and len(found[1] + digits) <= 20
    return value if fits else None
