"""Text for people: host names folded, control characters made visible, a yes-or-no question."""

import re
import sys
from collections.abc import Sequence
from typing import Any


def escape_controls(text: str) -> str:
    """A host's text with every control character made visible: it must not drive a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_lines(text: str) -> str:
    """A host's text of several lines: as escape_controls makes it, but newlines and tabs stay."""
    if text.replace("\n", "").replace("\t", "").isprintable():  # nearly always, and fast
        return text
    return "".join(c if c in "\n\t" else escape_controls(c) for c in text)


def shorten(text: str, most: int) -> str:
    """At most `most` characters of a host's text, in one line without control characters."""
    text = escape_controls(text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def format_value(value: Any) -> str:
    """A parameter's value for people: a list without brackets and quotes."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_NUMBERED = re.compile(r"(.*?)(\d+)")


def fold_hostnames(names: Sequence[str]) -> str:
    """`k8s-node-01, k8s-node-02, k8s-node-03, web` as `k8s-node-[01-03], web`."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name in names:
        found = _NUMBERED.fullmatch(name)
        # A name without a number is a group of its own; widths keep 9 and 09 apart.
        key = (found[1], len(found[2])) if found else (name, 0)
        groups.setdefault(key, []).append(found[2] if found else "")
    return ", ".join(_folded(stem, numbers) for (stem, _), numbers in groups.items())


def _folded(stem: str, numbers: Sequence[str]) -> str:
    runs: list[list[str]] = []
    for number in sorted(numbers):
        if runs and number and int(number) == int(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [p for run in runs for p in (run if len(run) < 3 else [f"{run[0]}-{run[-1]}"])]
    inside = ",".join(parts)
    return f"{stem}[{inside}]" if len(numbers) > 1 else f"{stem}{inside}"


def confirm(question: str) -> bool:
    """Ask the operator. False without a terminal."""
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def encode(report: str) -> bytes:
    """In UTF-8; bytes of a path or an argument that are no text (surrogates) are spelled out."""
    return report.encode(errors="backslashreplace")
