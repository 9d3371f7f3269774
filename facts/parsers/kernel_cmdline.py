"""The kernel's arguments.

Sources: kernel-command-line(7); the kernel's "The kernel's command-line parameters", lib/cmdline.c
(next_arg) and lib/ctype.c.
"""

from functools import lru_cache

from facts.parsers.blanks import BLANKS
from hale.model.evidence import Unreadable

PATH = "/proc/cmdline"


@lru_cache  # a dozen requirements parse the same text
def arguments(text: str) -> tuple[tuple[str, str | None], ...]:
    """Names and values in order; the value is None where there is no `=`.

    Double quotes protect blanks and are removed. Arguments after `--` are init's; systemd reads
    all arguments, so they are included. Raises Unreadable for a byte A0 (the last one of a no-break
    space in UTF-8), which is a blank to the kernel and a letter to systemd.
    """
    if "\\xa0" in text or b"\xa0" in text.encode():
        raise Unreadable(
            f"kernel arguments with a no-break space or another byte A0, where the kernel ends a "
            f"word and systemd does not: {text!r}"
        )
    words: list[str] = []
    word: list[str] = []
    quoted, started = False, False
    for character in text:
        if character == '"':
            quoted, started = not quoted, True
        elif character in BLANKS and not quoted:
            if started:
                words.append("".join(word))
            word, started = [], False
        else:
            word.append(character)
            started = True
    if started:
        words.append("".join(word))
    return tuple(
        (name, value if equals else None)
        for name, equals, value in (w.partition("=") for w in words)
    )


def same_name(one: str, other: str) -> bool:
    """Whether the names are equal; `-` and `_` are the same in names of arguments and modules."""
    return one.replace("-", "_") == other.replace("-", "_")
