"""Reads the files that an operator names or keeps: regular ones, and no larger than is sensible.

Opening a FIFO would wait for a writer, and a device may have no end.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path

MIB = 1 << 20
MOST = 1024 * MIB  # of evidence: 16 hosts that have answered all that one may

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


class UnfitFile(Exception):
    """It is no regular file, or too large; the text completes `it is …`."""


def kind_of(mode: int) -> str:
    """What a file of that `st_mode` is, if it is neither a regular file nor a folder, else ""."""
    return _KINDS.get(stat.S_IFMT(mode), "")


def open_file(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open it to read, at once. Raises OSError, ValueError (a NUL byte in the path), UnfitFile.

    follow: a symbolic link; if not, one is an OSError (ELOOP).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    file = os.fdopen(os.open(path, flags), "rb")
    kind = kind_of(os.fstat(file.fileno()).st_mode)
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
