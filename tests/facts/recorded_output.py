"""A recorded output as a base and its differences, so that a case shows what it is about.

The base is tests/facts/<subject>/recorded/NAME.txt, the differences are the hunks that
`diff -u BASE OUTPUT` prints.
"""

import re
from collections.abc import Iterator
from pathlib import Path

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


def output_of(base: Path, diff: str) -> str:
    """The text of the base with the hunks applied. Raises ValueError for one that does not fit."""
    return "".join(f"{line}\n" for line in _patched(base, diff))


def _patched(base: Path, diff: str) -> Iterator[str]:
    lines = base.read_text().split("\n")[:-1]
    at = 0
    for number, line in enumerate(diff.split("\n")[:-1], 1):
        if hunk := _HUNK.fullmatch(line):
            start = int(hunk[1]) - (",0 " not in line.partition(" +")[0] + " ")
            if not at <= start <= len(lines):
                raise ValueError(f"{base.name}: line {number} of the differences: {line}")
            yield from lines[at:start]
            at = start
            continue
        sign, text = line[:1], line[1:]
        if sign in (" ", "-"):
            if lines[at : at + 1] != [text]:
                raise ValueError(f"{base.name}: line {at + 1} is not {text!r}")
            at += 1
        elif sign != "+":
            raise ValueError(f"line {number} of the differences: {line!r}")
        if sign in (" ", "+"):
            yield text
    yield from lines[at:]
