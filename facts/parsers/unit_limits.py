"""Limits in systemd's files: the lines that set one, and their values.

Sources: systemd.syntax(7), systemd.exec(5) (LimitNOFILE=); systemd's src/shared/conf-parser.c,
src/basic/rlimit-util.c and src/basic/parse-util.c. memlock is in KiB here. Not a subject:
facts/service_limits.py uses it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from math import inf
from typing import Literal

from msgspec import Struct

from facts.parsers.blanks import SYSTEMD_BLANKS as BLANKS
from hale.model.evidence import ConfigLine, File, Selection, Unreadable

Item = Literal["nofile", "nproc", "memlock"]
# How such a byte is represented here; or the file really contains these characters.
NOT_UTF_8 = re.compile(r"\\x[89a-f][0-9a-f]")


#: Sections, limits, and what may not be UTF-8. A carriage return within a line ends one too.
LINES = Selection(r".*(\[|Limit(NOFILE|NPROC|MEMLOCK)|[^\x01-\x7f])|\xef\xbb\xbf")


class Limit(Struct, frozen=True):
    """Soft and hard together, as systemd sets them; inf for unlimited."""

    soft: float
    hard: float

    def reaches(self, wanted: float) -> bool:
        """Whether both are at least this value."""
        return min(self.soft, self.hard) >= wanted


def assignments(file: File, section: str, key: str) -> Iterator[tuple[ConfigLine, str, bool]]:
    """A key's values in a section, and whether each is exactly one line of the file.

    Raises Unreadable where an earlier line may not be UTF-8: systemd stops reading there.
    """
    inside, doubt = "", 0
    for number, text, complete in logical(file):
        if NOT_UTF_8.search(text):
            doubt = doubt or number
        if text.startswith("["):
            if not text.endswith("]"):
                return  # systemd stops reading the file here
            inside = text[1:-1]
            continue
        name, equals, value = text.partition("=")
        if not equals or inside != section or name.strip(BLANKS) != key:
            continue
        if doubt:
            raise Unreadable(
                f"{file.path}:{doubt}: systemd reads no further if this line is not UTF-8, and "
                f"{key}= stands behind it"
            )
        source = ConfigLine(file.path, number, text, changed=file.changed)
        yield source, value.strip(BLANKS), complete


@lru_cache(maxsize=256)  # each key and each section is looked up by itself
def logical(file: File) -> tuple[tuple[int, str, bool], ...]:
    """Lines as systemd reads them: without comments and empty lines, continued lines joined.

    Each with its number, and whether it is exactly one line of the file. A lone carriage return
    ends a line too. A comment is never continued, and may stand between continued lines.
    """
    return tuple(_logical(file))


def _logical(file: File) -> Iterator[tuple[int, str, bool]]:
    held, began, parts = "", 0, 0
    for number, raw in enumerate(file.lines, 1):
        pieces = raw.removesuffix("\r").split("\r")
        for piece in pieces:
            line = piece.removeprefix("\ufeff") if number == 1 else piece
            if line.lstrip(BLANKS)[:1] in ("#", ";"):
                continue
            began, parts = (began, parts + 1) if held else (number, 1)
            held += line
            if (len(held) - len(held.rstrip("\\"))) % 2:
                held = held[:-1] + " "
                continue
            text, held = held.strip(BLANKS), ""
            if text:
                yield began, text, parts == len(pieces) == 1
    if held.strip(BLANKS):
        yield began, held.strip(BLANKS), False


def parsed(item: Item, value: str) -> Limit | None:
    """The limit in `1024`, `soft:hard` or `infinity`; memlock is in bytes, with K, M, G …

    None: systemd ignores the value.
    """
    words = re.sub(r"\\([^:])", r"\1", value).split(":")
    found = [bound(item, word) for word in words]
    if len(found) > 2 or None in found:
        return None
    soft, hard = found[0], found[-1]
    assert soft is not None
    assert hard is not None
    return Limit(soft, hard) if soft <= hard else None


def bound(item: Item, word: str) -> float | None:
    if word == "infinity":
        return inf
    value = _size(word) if item == "memlock" else _number(word)
    if value is None or value >= 2**64 - 1:
        return None
    return value / 1024 if item == "memlock" else value


def _number(word: str) -> int | None:
    """As strtoull(3) with base 0 (a leading zero is octal), and 0b and 0o as in Python."""
    text = word.lstrip(BLANKS)
    if re.fullmatch(r"0[bB][01]+|0[oO][0-7]+", text):
        return int(text, 0)
    found = re.fullmatch(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if not found:
        return None
    digits = found[2]
    value = int(digits, 16 if "x" in digits.lower() else 8 if digits[0] == "0" else 10)
    return None if value and found[1] == "-" else value


_SUFFIXES = ("E", "P", "T", "G", "M", "K", "B", "")
_PART = re.compile(r"[ \t\r\n]*\+?([0-9]+)(?:\.([0-9]*))?[ \t\r\n]*([EPTGMKB]?)")


def _size(word: str) -> int | None:
    """The bytes in `64K`, `1.5G` or `1G 500M`, larger units first; None if invalid."""
    total, at, rank = 0, 0, 0
    while True:
        found = _PART.match(word, at)
        if not found or _SUFFIXES.index(found[3]) < rank:
            return None
        rank = _SUFFIXES.index(found[3]) + 1
        factor: int = 1024 ** max(0, _SUFFIXES.index("B") + 1 - rank)
        total += int(found[1]) * factor + int(float(f"0.{found[2] or 0}") * factor)
        at = found.end()
        if at == len(word):
            return total
