"""Journals: one JSON object a line, on disk (fsync) before the action it announces starts.

A truncated last line counts as not written. A run holds a lock on its file (flock(2)), so that
others can tell whether it still runs or was interrupted. hale/apply/journal.py and
hale/drill/journal.py define the entries.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from hale.files import regular, versioned
from hale.model.errors import Location, UserError

MOST = 256 * regular.MIB

Entry = TypeVar("Entry", bound=msgspec.Struct)


class JsonlWriter(Generic[Entry]):
    """Appends entries, from any thread. Raises UserError if an entry cannot be written.

    header: the first line of a new journal; None appends to an existing one.
    """

    def __init__(self, path: Path, header: Entry | None) -> None:
        self.path = path
        self._lock = threading.Lock()  # of the file's end
        self._syncing = threading.Lock()  # taken before the other one
        self._on_disk = 0  # bytes
        self._failed: OSError | None = None
        try:
            self._file = path.open("ab" if header is None else "xb", buffering=0)
            os.fchmod(self._file.fileno(), 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError("this run is still in progress.", Location(path)) from None
        except OSError as error:
            raise UserError(
                f"cannot create the journal: {error.strerror}.", Location(path.parent)
            ) from None
        if header is not None:
            self.write(header)
            _sync_folder(path.parent)
        else:
            _terminate_last_line(path, self._file)
            self._on_disk = self._size()

    def write(self, entry: Entry) -> None:
        """Put an entry on disk, or nothing of it. A run that cannot record its actions stops.

        Entries that threads write at the same time share an fsync: it covers all that was in the
        file when it began, so those who waited for it find theirs on disk.
        """
        rest = msgspec.json.encode(entry) + b"\n"
        try:
            with self._lock:
                if self._failed is not None:
                    raise self._failed
                before = self._size()
                try:
                    while rest:
                        rest = rest[self._file.write(rest) :]
                except OSError:
                    self._cut(before)
                    raise
                end = self._size()
            self._sync(end)
        except OSError as error:
            raise UserError(
                f"cannot write the journal, so the run stops here: {error.strerror}.",
                Location(self.path),
            ) from None

    def _sync(self, end: int) -> None:
        """Return once the file is on disk up to `end` (bytes). Raises OSError.

        After an fsync that failed it is unknown what is on disk (fsync(2)): all that it was to
        cover is removed, and no more is written.
        """
        with self._syncing:
            if self._failed is not None:
                raise self._failed
            if self._on_disk >= end:
                return
            with self._lock:  # no part of an entry
                size = self._size()
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                with self._lock:
                    self._failed = error
                    self._cut(self._on_disk)
                raise
            self._on_disk = size

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _cut(self, size: int) -> None:
        with contextlib.suppress(OSError):
            self._file.truncate(size)
            self._file.seek(size)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self._file.close()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _terminate_last_line(path: Path, file: FileIO) -> None:
    """Remove a truncated last line."""
    raw = path.read_bytes()
    complete = raw.rfind(b"\n") + 1
    if complete < len(raw):
        file.truncate(complete)


def is_locked(path: Path) -> bool:
    """Whether the run's process still holds the journal."""
    try:
        with regular.open_file(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except regular.UnfitFile:
        pass
    return False


def read_entries(
    path: Path, decoder: "msgspec.json.Decoder[Entry]", schema: str
) -> Iterator[Entry]:
    """The complete lines, the header first; none if the header is truncated.

    Raises UserError, with the line, if this is not a journal.
    """
    raw = versioned.read(path, "journal", MOST)
    # The last piece is empty, or a truncated line.
    for number, line in enumerate(raw.split(b"\n")[:-1], 1):
        where = Location(path, number)
        entry = versioned.decode(line, decoder, "not a line of a journal", where)
        if number == 1:
            found = getattr(entry, "schema", None)
            if found is None:
                raise UserError("the first line must name the run.", where)
            versioned.check_schema(found, schema, where)
        yield entry
