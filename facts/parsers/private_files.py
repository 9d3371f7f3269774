"""Files and folders that a daemon which runs as a user of its own cannot read. Not a subject:
facts/address.py and facts/time_sync.py ask for them.

Sources: find(1), -perm; systemd-networkd.service(8), systemd-timesyncd.service(8).
"""

from collections.abc import Iterable
from pathlib import Path

from hale.shell import load_script

#: The shell function `private USER PATH...`.
SHELL = load_script(Path(__file__).with_suffix(".sh"))
_WORD = "private "


def is_private(line: str) -> bool:
    """Whether the function has printed this line."""
    return line.startswith(_WORD)


def paths(lines: Iterable[str]) -> list[str]:
    """The paths that the function has printed among these lines."""
    return [line.removeprefix(_WORD) for line in lines if is_private(line)]
