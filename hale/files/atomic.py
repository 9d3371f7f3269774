"""Atomic writes of files."""

import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace the file atomically; safe against a crash at any moment (rename(2), fsync(2)).

    mode: whatever the umask is.
    """
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

    def flush(self) -> None:
        """Wait until all files are written. Raises what a write has raised."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()
