"""One at a time: locks that the kernel lets go when their holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(
    path: Path, waiting: Callable[[str], None], *, keep: Callable[[], bool] = lambda: True
) -> Iterator[int]:
    """Hold the lock file `path` (flock(2)); yields its file descriptor.

    `waiting` is called with a message if another process holds it. Children that inherit the
    descriptor hold the lock too. The file is removed at the end unless `keep` returns True; a
    process that waited for it notices that and locks the new file.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the folder went between the two lines
            continue
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(f"waiting for another lab command ({path})")
                fcntl.flock(fd, fcntl.LOCK_EX)
            if not _same_file(fd, path):
                continue
            try:
                yield fd
            finally:
                if not keep():
                    path.unlink(missing_ok=True)
            return
        finally:
            os.close(fd)


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
