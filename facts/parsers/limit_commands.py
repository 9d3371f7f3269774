"""Commands of a unit that change the limits of its process: ulimit of a shell, prlimit(1). Not a
subject.

Sources: sh(1), `ulimit`; prlimit(1); systemd.service(5), ExecStart=, ExecStartPost=.
"""

import re
from collections.abc import Sequence

from facts.parsers import exec_resets
from facts.parsers.blanks import BLANKS, is_decimal
from facts.parsers.unit_limits import Item, logical
from hale.model.evidence import ConfigLine, File, Selection

# The lines with such commands, those that go on in the next line, and empty settings, which take
# out the commands before them.
LINES = Selection(
    r"[[:space:]]*Exec[A-Za-z]*[[:space:]]*="
    r"([[:space:]]*$|.*[^A-Za-z0-9_](ulimit|prlimit)[^A-Za-z0-9_]|.*[\\][[:space:]]*$)"
)
_LETTERS: dict[Item, str] = {"nofile": "n", "nproc": "u", "memlock": "l"}
# `ulimit -l` counts in KiB, prlimit in bytes.
_UNITS = {"ulimit": 1, "prlimit": 1024}
# A shell of another command, as of ExecStartPre=, has limits of its own.
_OWN_PROCESS = re.compile(r"[ \t]*ExecStart[ \t]*=")


def lowering(files: Sequence[File], item: Item, least: float) -> ConfigLine | None:
    """The first line by which the process of a unit gets less than this, or may. files: the unit's
    own and its drop-ins, in reading order; least: in KiB for memlock."""
    every = [(file, number, text) for file in files for number, text, _ in logical(file)]
    for file, number, text in exec_resets.without(every, lambda at: (at[0].path, at[1], at[2])):
        if any(_less(program, value, item, least) for program, value in _set(text, item)):
            return ConfigLine(file.path, number, text.strip(BLANKS), changed=file.changed)
    return None


def _set(text: str, item: Item) -> list[tuple[str, str]]:
    """The programs of a line that set the limit, and their values."""
    if not re.match(r"[ \t]*Exec[A-Za-z]+[ \t]*=", text):
        return []
    letter = _LETTERS[item]
    found = []
    if _OWN_PROCESS.match(text):
        found = re.findall(
            rf"\b(ulimit)[ \t]+(?:-[SH]+[ \t]+)*-[SH]*{letter}[SH]*[ \t]*[\"']?([\w$]+)",
            text,
            re.ASCII,
        )
    for words in re.findall(r"\bprlimit[ \t]+([^;&|]*)", text, re.ASCII):
        values = re.findall(
            rf"(?:^|[ \t])(?:--{item}|-{letter})(?:=|[ \t]+)?[\"']?([\w:$]+)", words, re.ASCII
        )
        found += [("prlimit", value) for value in values]
    return found


def _less(program: str, value: str, item: Item, least: float) -> bool:
    """Whether one of the values of `soft:hard` is below that, or no number."""
    unit = _UNITS[program] if item == "memlock" else 1
    return any(
        part != "unlimited" and (not is_decimal(part) or int(part[:20]) / unit < least)
        for part in value.split(":")
    )
