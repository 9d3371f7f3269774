"""Commands of units that a drop-in takes out by an empty `ExecStart=`. Not a subject.

Sources: systemd.service(5), ExecStart= ("If the empty string is assigned …"); systemd.unit(5),
drop-ins.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

# The empty settings: for grep, and for Python, in which they are stripped.
LINES = "^[[:blank:]]*Exec[A-Za-z]*[[:blank:]]*=[[:blank:]]*$"
_EMPTY = re.compile(r"[ \t]*(Exec[A-Za-z]+)[ \t]*=[ \t]*")
_SETTING = re.compile(r"[ \t]*(Exec[A-Za-z]+)[ \t]*=.*")
LineT = TypeVar("LineT")


def without(lines: Sequence[LineT], parts: Callable[[LineT], tuple[str, int, str]]) -> list[LineT]:
    """The lines without the commands that a later empty setting of their unit takes out, and
    without those settings. parts: a line's file, number and text.

    A setting of a drop-in concerns all files of that unit; another file's that file alone, which
    another of its name may replace. A command that goes on in another line is taken out with its
    first line alone.
    """
    resets: dict[tuple[str, str], tuple[str, int]] = {}
    for line in lines:
        path, number, text = parts(line)
        if found := _EMPTY.fullmatch(text):
            unit, place = _place(path)
            key = unit if place else path, found[1]
            resets[key] = max(resets.get(key, ("", 0)), (place, number))
    if not resets:
        return list(lines)
    kept = []
    for line in lines:
        path, number, text = parts(line)
        unit, place = _place(path)
        found = _SETTING.fullmatch(text)
        if not found or all(
            (place, number) > resets.get((of, found[1]), ("", 0)) for of in (unit, path)
        ):
            kept.append(line)
    return kept


def _place(path: str) -> tuple[str, str]:
    """The unit's name, and the file's place in the order in which its files are read."""
    folder, _, name = path.rpartition("/")
    if folder.endswith(".d"):
        return folder.rpartition("/")[2].removesuffix(".d"), name
    return name, ""
