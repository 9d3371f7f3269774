"""Reads the files that an operator names or keeps: regular ones, and no larger than is sensible.

Opening a FIFO would wait for a writer, and a device may have no end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

MIB = 1 << 20
MOST = 1024 * MIB  # of evidence: 16 hosts that have answered all that one may

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


class UnfitFile(Exception):
    """It is no regular file, or too large; the text completes `it is …`."""


def open_file(path: Path) -> BinaryIO:
    """Open it to read, at once. Raises OSError, ValueError (a NUL byte in the path), UnfitFile."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    kind = _KINDS.get(stat.S_IFMT(os.fstat(file.fileno()).st_mode))
    if kind:
        file.close()
        raise UnfitFile(kind)
    return file


def read_file(path: Path, most: int = MOST) -> bytes:
    """Its bytes, `most` at most. Raises as open_file does."""
    with open_file(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise UnfitFile(f"larger than {most // MIB} MiB")
    return raw
