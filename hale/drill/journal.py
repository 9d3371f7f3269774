"""A drill's journal: said before something is taken away, and after it is back.

One JSON object a line, on disk before what it announces begins, as the journal of
`hale.apply`; in a file of another name, because what stands in it is given back by
`invoke drill restore` and not by `invoke undo`.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from hale.apply.lock import Owner
from hale.drill.outage import Outage
from hale.errors import HaleError, Where

SCHEMA = "hale.drill/1"
NAME = "drill.jsonl"


class Header(msgspec.Struct, frozen=True, tag="drill"):
    """Who drills what. `owner` is what the locks on the hosts say."""

    schema: str
    owner: Owner
    inventory: str
    parts: tuple[str, ...]
    on_production: bool


class Loops(msgspec.Struct, frozen=True, tag="loops"):
    """On these hosts a loop is about to run: client and watcher."""

    hosts: tuple[str, ...]
    at: str


class Spread(msgspec.Struct, frozen=True, tag="spread"):
    """The Deployment is about to be made, by kubectl on this master; or (gone) is deleted."""

    host: str
    gone: bool
    at: str


class Take(msgspec.Struct, frozen=True, tag="take"):
    """A part is about to be taken away."""

    part: str
    host: str
    reboots: bool
    at: str

    @property
    def outage(self) -> Outage:
        return Outage(self.part, self.host, self.reboots)


class Given(msgspec.Struct, frozen=True, tag="given"):
    """What was taken from that host is there again."""

    part: str
    host: str
    at: str


class End(msgspec.Struct, frozen=True, tag="end"):
    """Nothing is left to give back. state: finished, failed, interrupted or restored."""

    state: str
    at: str


Entry = Header | Loops | Spread | Take | Given | End


class Journal:
    """Writes. While it is open it holds a lock on its file (flock(2)): the drill lives."""

    def __init__(self, folder: Path, header: Header | None) -> None:
        self.path = folder / NAME
        try:
            self._file: BinaryIO = self.path.open("ab" if header is None else "xb")
            os.fchmod(self._file.fileno(), 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise HaleError("this drill is still going on.", Where(self.path)) from None
        except OSError as error:
            raise HaleError(f"no journal can be kept: {error.strerror}.", Where(folder)) from None
        if header is not None:
            self.write(header)
        else:  # a last line that was cut off counts as not written
            raw = self.path.read_bytes()
            self._file.truncate(raw.rfind(b"\n") + 1)

    def write(self, entry: Entry) -> None:
        """Put an entry on disk. A drill that cannot say what it takes must not take it."""
        try:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise HaleError(
                f"the journal cannot be written: {error.strerror}.", Where(self.path)
            ) from None

    def close(self) -> None:
        """Give the file free."""
        self._file.close()


class Story(msgspec.Struct):
    """What a journal tells."""

    folder: Path
    header: Header
    entries: list[Entry] = []

    @property
    def end(self) -> End | None:
        """How it ended; None where it was cut off, or goes on."""
        return next((e for e in self.entries if isinstance(e, End)), None)

    @property
    def taken(self) -> list[Take]:
        """What was taken and is not known to be back, the last first."""
        left: dict[tuple[str, str], Take] = {}
        for entry in self.entries:
            if isinstance(entry, Take):
                left[entry.part, entry.host] = entry
            elif isinstance(entry, Given):
                left.pop((entry.part, entry.host), None)
        return list(reversed(left.values()))

    @property
    def spread(self) -> str:
        """The master on which the Deployment was made that is not known to be deleted, or ""."""
        made = [e for e in self.entries if isinstance(e, Spread)]
        return made[-1].host if made and not made[-1].gone else ""

    @property
    def loops(self) -> Sequence[str]:
        """Hosts on which files of a loop may be left."""
        hosts = [h for e in self.entries if isinstance(e, Loops) for h in e.hosts]
        return list(dict.fromkeys(hosts))


def running(folder: Path) -> bool:
    """Whether the drill's own process still holds the journal."""
    try:
        with (folder / NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def load(folder: Path) -> Story | None:
    """Read a journal; None for one that was cut off before it named the drill.

    Raises HaleError, with the line, for what is no journal.
    """
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise HaleError(f"cannot read the journal: {error.strerror}.", Where(path)) from None
    decoder = msgspec.json.Decoder(Entry)
    story: Story | None = None
    for number, line in enumerate(raw.split(b"\n")[:-1], 1):
        try:
            entry = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HaleError(
                f"no line of a drill's journal: {error}.", Where(path, number)
            ) from None
        if isinstance(entry, Header):
            if entry.schema != SCHEMA:
                raise HaleError(f"schema {entry.schema}; this is {SCHEMA}.", Where(path, number))
            story = Story(folder, entry)
        elif story is None:
            raise HaleError("the first line must name the drill.", Where(path, number))
        else:
            story.entries.append(entry)
    return story


def unfinished(reports: Path, inventory: str) -> list[Story]:
    """The drills of that inventory that were cut off, the newest first."""
    found = []
    for path in sorted(reports.glob(f"*/{NAME}"), reverse=True):
        if running(path.parent):
            continue
        story = load(path.parent)
        if story and story.end is None and story.header.inventory == inventory:
            found.append(story)
    return found
