"""A drill's journal: said before something is taken away, and after it is back.

Beside the journals of `hale.apply`, in a file of another name, because what stands in it is given
back by `invoke drill --revert` and not by `invoke undo`.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hale.apply.lock import Owner
from hale.drill.fault import Fault
from hale.files import jsonl

SCHEMA = "hale.drill/1"
NAME = "drill.jsonl"


class DrillHeader(msgspec.Struct, frozen=True, tag="drill"):
    """Who drills what. `owner` is what the locks on the hosts say."""

    schema: str
    owner: Owner
    inventory: str
    parts: tuple[str, ...]
    on_production: bool


class SamplersStarted(msgspec.Struct, frozen=True, tag="loops"):
    """On these hosts a loop is about to run: client and watcher."""

    hosts: tuple[str, ...]
    at: str


class WorkloadEvent(msgspec.Struct, frozen=True, tag="spread"):
    """The Deployment is about to be made, by kubectl on this master; or (gone) is deleted."""

    host: str
    gone: bool
    at: str


class FaultInjected(msgspec.Struct, frozen=True, tag="take"):
    """A part is about to be taken away."""

    part: str
    host: str
    reboots: bool
    at: str

    @property
    def outage(self) -> Fault:
        return Fault(self.part, self.host, self.reboots)


class FaultReverted(msgspec.Struct, frozen=True, tag="given"):
    """What was taken from that host is there again."""

    part: str
    host: str
    at: str


class DrillEnd(msgspec.Struct, frozen=True, tag="end"):
    """Nothing is left to give back. state: finished, failed, interrupted or restored."""

    state: str
    at: str


Entry = DrillHeader | SamplersStarted | WorkloadEvent | FaultInjected | FaultReverted | DrillEnd


class DrillJournal(jsonl.JsonlWriter[Entry]):
    """Writes the journal of the drill whose folder this is; header: of a new one."""

    def __init__(self, folder: Path, header: DrillHeader | None) -> None:
        super().__init__(folder / NAME, header)


class DrillHistory(msgspec.Struct):
    """What a journal tells."""

    folder: Path
    header: DrillHeader
    entries: list[Entry] = []

    @property
    def end(self) -> DrillEnd | None:
        """How it ended; None where it was cut off, or goes on."""
        return next((e for e in self.entries if isinstance(e, DrillEnd)), None)

    @property
    def state(self) -> str:
        """finished, failed, interrupted, restored, or running."""
        if self.end:
            return self.end.state
        return "running" if jsonl.is_locked(self.folder / NAME) else "interrupted"

    @property
    def parts(self) -> Sequence[str]:
        """What was taken, in its order."""
        return list(dict.fromkeys(e.part for e in self.entries if isinstance(e, FaultInjected)))

    @property
    def hosts(self) -> Sequence[str]:
        """Hosts that a part was taken from."""
        return list(dict.fromkeys(e.host for e in self.entries if isinstance(e, FaultInjected)))

    @property
    def taken(self) -> list[FaultInjected]:
        """What was taken and is not known to be back, the last first."""
        left: dict[tuple[str, str], FaultInjected] = {}
        for entry in self.entries:
            if isinstance(entry, FaultInjected):
                left[entry.part, entry.host] = entry
            elif isinstance(entry, FaultReverted):
                left.pop((entry.part, entry.host), None)
        return list(reversed(left.values()))

    @property
    def spread(self) -> str:
        """The master on which the Deployment was made that is not known to be deleted, or ""."""
        made = [e for e in self.entries if isinstance(e, WorkloadEvent)]
        return made[-1].host if made and not made[-1].gone else ""

    @property
    def loops(self) -> Sequence[str]:
        """Hosts on which files of a loop may be left."""
        hosts = [h for e in self.entries if isinstance(e, SamplersStarted) for h in e.hosts]
        return list(dict.fromkeys(hosts))


def load_drill(folder: Path) -> DrillHistory | None:
    """Read a journal; None for one that was cut off before it named the drill.

    Raises HaleError, with the line, for what is no journal.
    """
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    story: DrillHistory | None = None
    for entry in jsonl.read_entries(folder / NAME, decoder, SCHEMA):
        if isinstance(entry, DrillHeader):
            story = DrillHistory(folder, entry)
        elif story is not None:
            story.entries.append(entry)
    return story


def load_drills(reports: Path) -> list[DrillHistory]:
    """All drills that have a journal, the newest first; not those that named nothing yet."""
    found = [load_drill(p.parent) for p in sorted(reports.glob(f"*/{NAME}"), reverse=True)]
    return [story for story in found if story is not None]


def unfinished(reports: Path, inventory: str) -> list[DrillHistory]:
    """The drills of that inventory that were cut off, the newest first."""
    return [
        story
        for story in load_drills(reports)
        if story.state == "interrupted" and not story.end and story.header.inventory == inventory
    ]
