"""The kernel's arguments.

Sources: kernel-command-line(7); the kernel's "The kernel's command-line parameters".
"""

from functools import lru_cache

PATH = "/proc/cmdline"


@lru_cache  # a dozen requirements look at the same text
def arguments(text: str) -> tuple[tuple[str, str | None], ...]:
    """Names and values in their order; the value is None where there is no `=`.

    Double quotes hold blanks together and are taken off. After `--` come init's arguments,
    which systemd reads as well, so they are kept.
    """
    words: list[str] = []
    word, quoted, started = "", False, False
    for character in text:
        if character == '"':
            quoted, started = not quoted, True
        elif character.isspace() and not quoted:
            if started:
                words.append(word)
            word, started = "", False
        else:
            word, started = word + character, True
    if started:
        words.append(word)
    return tuple(
        (name, value if equals else None)
        for name, equals, value in (w.partition("=") for w in words)
    )


def same_name(one: str, other: str) -> bool:
    """`-` and `_` are alike in the names of arguments and modules."""
    return one.replace("-", "_") == other.replace("-", "_")
