"""Writes of files that are there in full, or not at all."""

import os
import stat
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from hale.model.errors import Location, UserError


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace the file atomically; safe against a crash at any moment (rename(2), fsync(2)).

    mode: whatever the umask is. Raises UserError, on a full disk or a read-only folder for example;
    the file is then as it was.
    """
    try:
        _replace(path, content, mode)
    except OSError as error:
        raise _unwritten(path, error) from None


def write_named(path: Path, content: bytes) -> None:
    """Write a file that the operator named: it may be a pipe or a device, which is not replaced.

    Raises UserError. A regular file that could not be written in full is removed.
    """
    regular = False
    try:
        with path.open("wb") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            file.write(content)
    except OSError as error:
        if regular:
            path.resolve().unlink(missing_ok=True)
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot be written: {error.strerror}.", Location(path))


def _replace(path: Path, content: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class BackgroundWriter:
    """Writes files in order, in a thread: disks are slower than tests."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writer")
        self._pending: list[Future[None]] = []

    def write(self, path: Path, content: bytes, mode: int = 0o600) -> None:
        """Queue `write(path, content, mode)` and return at once."""
        self._pending.append(self._thread.submit(write, path, content, mode))

    def write_named(self, path: Path, content: bytes) -> None:
        """Call `write_named(path, content)` after what is queued, and return once it has ended."""
        future = self._thread.submit(write_named, path, content)
        self._pending.append(future)
        wait([future])

    def flush(self) -> None:
        """Wait until all files are written. Raises UserError for the first that could not be."""
        pending, self._pending = self._pending, []
        failed = [error for future in pending if (error := future.exception())]
        if failed:
            raise failed[0]
