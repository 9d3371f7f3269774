"""The journal of a run: said before a step is done, and after. It is all that undo needs.

One JSON object a line, each on disk (fsync) before what it announces begins. A last line that
a crash cut off counts as not written. While the run lives it holds a lock on the file
(flock(2)), so that others can tell a run that goes on from one that was cut off.
"""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from hale import results
from hale.change import Change
from hale.errors import HaleError, Where
from hale.plan import Step

SCHEMA = "hale.journal/1"
NAME = "journal.jsonl"


class Header(msgspec.Struct, frozen=True, tag="run"):
    """Who runs what. kind: fix, undo, install or reset. of: the run that is taken back."""

    schema: str
    run: str
    kind: str
    operator: str
    source_host: str
    inventory: str
    plan_sha256: str
    at: str
    of: str = ""
    approved_by: str = ""
    ticket: str = ""


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """A step is about to be done; its original is kept. after: SHA-256 that a file will have."""

    host: str
    number: int
    step: Step
    after: str
    told: tuple[str, ...]
    at: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A step is done; `undo` takes it back. Without changes: it was found not to be done."""

    host: str
    number: int
    undo: tuple[Change, ...]
    at: str


class Skipped(msgspec.Struct, frozen=True, tag="skipped"):
    """A step that was not begun. state: already so, refused, failed or stopped."""

    host: str
    number: int
    state: str
    why: str
    at: str


class HostEnd(msgspec.Struct, frozen=True, tag="host"):
    """A host is through: done, refused, failed or stopped, and why."""

    host: str
    state: str
    why: str
    at: str


class Phase(msgspec.Struct, frozen=True, tag="phase"):
    """A phase of an install: begun, done, skipped (it was done before), or failed, and why."""

    name: str
    state: str
    why: str
    seconds: float
    at: str


class Act(msgspec.Struct, frozen=True, tag="act"):
    """A step of an install is over: done, failed, or there was nothing to do.

    kubeadm: it was kubeadm's own work on the way to the cluster (init, a join).
    """

    phase: str
    host: str
    title: str
    state: str
    seconds: float
    kubeadm: bool
    at: str


class End(msgspec.Struct, frozen=True, tag="end"):
    """The run is over: finished, or failed where a host did not get all its changes."""

    state: str
    at: str


Entry = Header | Begin | Done | Skipped | HostEnd | Phase | Act | End


def now() -> str:
    """The time in UTC, as it stands in results and journals."""
    return results.utc(time.time())


class Journal:
    """Writes; any thread may. Raises HaleError where the disk does not take a line."""

    def __init__(self, folder: Path, header: Header | None) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        try:
            self._file: BinaryIO = self.path.open("ab" if header is None else "xb")
            os.fchmod(self._file.fileno(), 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise HaleError("this run is still going on.", Where(self.path)) from None
        except OSError as error:
            raise HaleError(f"no journal can be kept: {error.strerror}.", Where(folder)) from None
        if header is not None:
            self.write(header)
            _sync(folder)
        else:
            _end_line(self.path, self._file)

    def write(self, entry: Entry) -> None:
        """Put an entry on disk. A run that cannot say what it does must not go on."""
        with self._lock:
            try:
                self._file.write(msgspec.json.encode(entry) + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise HaleError(
                    f"the journal cannot be written, so nothing more is done: {error.strerror}.",
                    Where(self.path),
                ) from None

    def close(self) -> None:
        """Give the file free."""
        self._file.close()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _end_line(path: Path, file: BinaryIO) -> None:
    """Take away a last line that was cut off."""
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        file.truncate(whole)


class Story(msgspec.Struct):
    """What a journal tells."""

    folder: Path
    header: Header
    begun: dict[tuple[str, int], Begin] = {}
    done: dict[tuple[str, int], Done] = {}
    skipped: list[Skipped] = []
    hosts: dict[str, HostEnd] = {}
    phases: dict[str, Phase] = {}  # of an install, each as it was told last
    acts: list[Act] = []
    end: End | None = None

    @property
    def open(self) -> list[Begin]:
        """Steps that were begun and of which nobody knows how they ended."""
        return [b for key, b in self.begun.items() if key not in self.done]

    @property
    def state(self) -> str:
        """finished, failed, running, or interrupted."""
        if self.end:
            return self.end.state
        return "running" if running(self.folder) else "interrupted"


def running(folder: Path) -> bool:
    """Whether the run's own process still holds the journal."""
    try:
        with (folder / NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def load(folder: Path) -> Story:
    """Read a run's journal. Raises HaleError, with the line, for what is no journal."""
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise HaleError(f"cannot read the journal: {error.strerror}.", Where(path)) from None
    lines = raw.split(b"\n")[:-1]  # the last piece is empty, or a line that was cut off
    decoder = msgspec.json.Decoder(Entry)
    story: Story | None = None
    for number, line in enumerate(lines, 1):
        try:
            entry = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HaleError(f"no line of a journal: {error}.", Where(path, number)) from None
        if isinstance(entry, Header):
            if entry.schema != SCHEMA:
                raise HaleError(f"schema {entry.schema}; this is {SCHEMA}.", Where(path, number))
            story = Story(folder, entry)
        elif story is None:
            raise HaleError("the first line must name the run.", Where(path, number))
        else:
            _tell(story, entry)
    if story is None:
        raise HaleError("the journal is empty: nothing was begun.", Where(path))
    return story


def _tell(story: Story, entry: Begin | Done | Skipped | HostEnd | Phase | Act | End) -> None:
    match entry:
        case Begin():
            story.begun[entry.host, entry.number] = entry
        case Done():
            story.done[entry.host, entry.number] = entry
        case Skipped():
            story.skipped.append(entry)
        case Phase():
            story.phases[entry.name] = entry
        case Act():
            story.acts.append(entry)
        case HostEnd():
            story.hosts[entry.host] = entry
        case End():
            story.end = entry
