"""A drill's journal: said before something is taken away, and after it is back.

Beside the journals of `hale.apply`, in a file of another name, because what stands in it is given
back by `invoke drill restore` and not by `invoke undo`.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hale import journal
from hale.apply.lock import Owner
from hale.drill.outage import Outage

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


class Journal(journal.Writer[Entry]):
    """Writes the journal of the drill whose folder this is; header: of a new one."""

    def __init__(self, folder: Path, header: Header | None) -> None:
        super().__init__(folder / NAME, header)


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
    def state(self) -> str:
        """finished, failed, interrupted, restored, or running."""
        if self.end:
            return self.end.state
        return "running" if journal.running(self.folder / NAME) else "interrupted"

    @property
    def parts(self) -> Sequence[str]:
        """What was taken, in its order."""
        return list(dict.fromkeys(e.part for e in self.entries if isinstance(e, Take)))

    @property
    def hosts(self) -> Sequence[str]:
        """Hosts that a part was taken from."""
        return list(dict.fromkeys(e.host for e in self.entries if isinstance(e, Take)))

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


def load(folder: Path) -> Story | None:
    """Read a journal; None for one that was cut off before it named the drill.

    Raises HaleError, with the line, for what is no journal.
    """
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    story: Story | None = None
    for entry in journal.read(folder / NAME, decoder, SCHEMA):
        if isinstance(entry, Header):
            story = Story(folder, entry)
        elif story is not None:
            story.entries.append(entry)
    return story


def stories(reports: Path) -> list[Story]:
    """All drills that have a journal, the newest first; not those that named nothing yet."""
    found = [load(p.parent) for p in sorted(reports.glob(f"*/{NAME}"), reverse=True)]
    return [story for story in found if story is not None]


def unfinished(reports: Path, inventory: str) -> list[Story]:
    """The drills of that inventory that were cut off, the newest first."""
    return [
        story
        for story in stories(reports)
        if story.state == "interrupted" and not story.end and story.header.inventory == inventory
    ]
