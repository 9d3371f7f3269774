"""One process at a time for a file that is read, changed and written again."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hale.model.errors import Location, UserError
from hale.polling import wait_until

PATIENCE = 10.0  # seconds that a change by another process may take


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Hold the lock of the file's folder (flock(2)), which leaves no file behind.

    Waits for another process that holds it. Raises UserError where that takes longer than PATIENCE,
    and where there is no such folder.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}.", Location(path)) from None
    try:
        if wait_until(lambda: _is_held(folder), PATIENCE, 0.05):
            raise UserError(
                "another command is changing it. Nothing was written; type it again.",
                Location(path),
            )
        yield
    finally:
        os.close(folder)


def _is_held(folder: int) -> bool:
    """Whether another process holds it; if none does, this one does now.

    A file system without locks (ENOLCK) has none that another process could hold.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
