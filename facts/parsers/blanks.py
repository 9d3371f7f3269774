"""The white space at which the programs of a host part words and lines: that of ASCII, and no more.

Python's own str.split(), str.strip(), str.splitlines(), str.isdecimal() and regular expressions
also know that of Unicode: the no-break space that comes along with a line from a web page, the
next line (U+0085), U+2028, the ASCII separators U+001C to U+001F; digits of other scripts; and the
Kelvin sign, which is k in small letters. To glibc, systemd, kmod, PAM, ifupdown, haproxy and
keepalived these are letters like any other. So readers of facts/ use what is here, and re.ASCII;
`make lint` holds them to it (lint/blanks.py).

Sources: isspace(3), in the locale C; systemd's src/basic/string-util.h (WHITESPACE).
"""

import re

# isspace(3)
BLANKS = " \t\n\v\f\r"
# A form feed and a vertical tab are letters to systemd.
SYSTEMD_BLANKS = " \t\n\r"

_WORD = re.compile(f"[^{BLANKS}]+")
_BETWEEN = re.compile(f"[{BLANKS}]+")


def split_words(text: str, most: int = -1) -> list[str]:
    """The words of the text. most: as str.split's maxsplit; the blanks after the rest stay."""
    if most < 0:
        return _WORD.findall(text)
    parts = _BETWEEN.split(text.lstrip(BLANKS), maxsplit=most) if most else [text.lstrip(BLANKS)]
    return parts if parts[-1] else parts[:-1]


def split_lines(text: str) -> list[str]:
    """The lines of the text, ended by newlines alone; a carriage return stays."""
    cut = text.split("\n")
    return cut[:-1] if cut[-1] == "" else cut


def lowered(text: str) -> str:
    """The text with A to Z as a to z, as tolower(3) and strcasecmp(3) have it in the locale C."""
    return text.translate(_LOWER)


def is_decimal(text: str) -> bool:
    """Whether the text consists of the digits 0 to 9, at least one, and int() takes it."""
    return text.isascii() and text.isdecimal() and len(text) <= 4300


_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
