"""Lines of a chapter's file, for errors: of tables, of their keys, and of what msgspec refuses."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from hale.model.errors import Location, UserError

_OPENED = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?:"([^"]*)"|([^\s"=.]+))\s*[=.]""")


def invalid(path: Path, text: str, table: str, error: msgspec.ValidationError) -> UserError:
    """msgspec says `… - at `$.aspects``, or names an unknown or missing field: find its line."""
    raw_message = str(error)
    at = re.search(r"at `\$\.?([\w.\[\]]*)", raw_message)
    unknown = re.search(r"unknown field `(\w+)`", raw_message)
    keys = [k for k in (at[1] if at else "").split(".") if k]
    if unknown:
        keys.append(unknown[1])
    where = locate(path, text, table)
    if not where.line:
        where = header(path, text, table.partition(".")[0])
    for depth in range(len(keys)):
        inside = ".".join([table, *keys[:depth]])
        found = locate(path, text, f"{inside}.{keys[depth]}")
        key = keys[depth].partition("[")[0]  # an element of a list has no line of its own
        found = found if found.line else locate(path, text, inside, key)
        where = found if found.line else where
    message = raw_message.replace("Object contains", "there is an").replace(
        "Object missing required", "missing the"
    )
    return UserError(f"{table}: {message}", where)


def header(path: Path, text: str, name: str) -> Location:
    """The line of `[NAME]`, or of `NAME = { … }`."""
    found = locate(path, text, name)
    return found if found.line else locate(path, text, "", name)


def locate(path: Path, text: str, table: str, key: str = "") -> Location:
    """The line of `[table]`, or of `key = …` in it; line 0 if there is neither.

    The tables of an array `[[NAME]]` are `NAME[0]`, `NAME[1]` …
    """
    lines = _line_index(text)
    return Location(path, lines.get((table, key)) or lines.get((table, ""), 0))


@lru_cache(maxsize=1)  # dozens of a file's lines are looked up, one file after the other
def _line_index(text: str) -> Mapping[tuple[str, str], int]:
    """The line of every `key = …` by table and key, and of the table itself by the key ""."""
    found: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    table = ""  # what stands before the first one
    for number, line in enumerate(text.splitlines(), 1):
        if opened := _OPENED.match(line):
            table = opened[2].replace('"', "")
            found[table, ""] = number
            if opened[1] == "[[":
                count[table] = count.get(table, -1) + 1
                table = f"{table}[{count[table]}]"
                found[table, ""] = number
        elif key := _KEY.match(line):
            found.setdefault((table, key[1] or key[2]), number)
    return found
