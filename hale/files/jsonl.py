"""Journals: one JSON object a line, each on disk (fsync) before what it announces begins.

A last line that a crash cut off counts as not written. While a run lives it holds a lock on the
file (flock(2)), so that others can tell one that goes on from one that was cut off. What the
lines say is in hale/apply/journal.py and hale/drill/journal.py.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import msgspec

from hale.model.errors import Location, UserError

Entry = TypeVar("Entry", bound=msgspec.Struct)


class JsonlWriter(Generic[Entry]):
    """Writes; any thread may. Raises HaleError where the disk does not take a line.

    header: the first line of a new journal; None goes on with one that is there.
    """

    def __init__(self, path: Path, header: Entry | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file: BinaryIO = path.open("ab" if header is None else "xb")
            os.fchmod(self._file.fileno(), 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError("this run is still going on.", Location(path)) from None
        except OSError as error:
            raise UserError(
                f"no journal can be kept: {error.strerror}.", Location(path.parent)
            ) from None
        if header is not None:
            self.write(header)
            _sync_folder(path.parent)
        else:
            _terminate_last_line(path, self._file)

    def write(self, entry: Entry) -> None:
        """Put an entry on disk. A run that cannot say what it does must not go on."""
        with self._lock:
            try:
                self._file.write(msgspec.json.encode(entry) + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise UserError(
                    f"the journal cannot be written, so nothing more is done: {error.strerror}.",
                    Location(self.path),
                ) from None

    def close(self) -> None:
        """Give the file free."""
        self._file.close()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _terminate_last_line(path: Path, file: BinaryIO) -> None:
    """Take away a last line that was cut off."""
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        file.truncate(whole)


def is_locked(path: Path) -> bool:
    """Whether the run's own process still holds the journal."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def read_entries(
    path: Path, decoder: "msgspec.json.Decoder[Entry]", schema: str
) -> Iterator[Entry]:
    """The whole lines, the header first. Raises HaleError, with the line, for what is no journal.

    Nothing for one that was cut off before its first line was through.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the journal: {error.strerror}.", Location(path)) from None
    # The last piece is empty, or a line that was cut off.
    for number, line in enumerate(raw.split(b"\n")[:-1], 1):
        where = Location(path, number)
        try:
            entry = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"no line of a journal: {error}.", where) from None
        if number == 1:
            says = getattr(entry, "schema", None)
            if says is None:
                raise UserError("the first line must name the run.", where)
            if says != schema:
                raise UserError(f"schema {says}; this is {schema}.", where)
        yield entry
