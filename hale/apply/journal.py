"""The journal of a run: said before a step is done, and after. It is all that undo needs."""

import time
from pathlib import Path

import msgspec

from hale import journal, results
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


class Journal(journal.Writer[Entry]):
    """Writes the journal of the run whose folder this is; header: of a new one."""

    def __init__(self, folder: Path, header: Header | None) -> None:
        super().__init__(folder / NAME, header)


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
    return journal.running(folder / NAME)


def load(folder: Path) -> Story:
    """Read a run's journal. Raises HaleError, with the line, for what is no journal."""
    path = folder / NAME
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    story: Story | None = None
    for entry in journal.read(path, decoder, SCHEMA):
        if isinstance(entry, Header):
            story = Story(folder, entry)
        elif story is not None:
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
