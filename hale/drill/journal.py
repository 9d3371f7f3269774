"""A drill's journal: an entry before each fault is injected, and one after it is reverted.

It has another file name than the journals of `hale.apply`, because its entries are reverted by
`invoke drill --revert` and not by `invoke undo`.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from hale.apply.lock import Owner
from hale.drill.fault import Fault
from hale.files import jsonl
from hale.model.drill import FaultKind

SCHEMA = "hale.drill/1"
NAME = "drill.jsonl"


class DrillHeader(msgspec.Struct, frozen=True, tag="drill", rename={"kinds": "parts"}):
    """Who runs which drills. owner: as in the locks on the hosts.

    member_inventory: of the federation's member that is disconnected, or empty.
    """

    schema: str
    owner: Owner
    inventory: str
    kinds: tuple[FaultKind, ...]
    on_production: bool
    member_inventory: str = ""


class SamplersStarted(msgspec.Struct, frozen=True, tag="loops"):
    """Samplers are about to start on these hosts: client and watcher."""

    hosts: tuple[str, ...]
    at: str


class WorkloadEvent(msgspec.Struct, frozen=True, tag="spread", rename={"deleted": "gone"}):
    """The workload is about to be created by kubectl on this master, or has been deleted.

    federated: in Karmada, for a member.
    """

    host: str
    deleted: bool
    at: str
    federated: bool = False


class FaultInjected(msgspec.Struct, frozen=True, tag="take", rename={"kind": "part"}):
    """A fault is about to be injected."""

    kind: FaultKind
    host: str
    reboots: bool
    at: str

    @property
    def fault(self) -> Fault:
        return Fault(self.kind, self.host, self.reboots)


class FaultReverted(msgspec.Struct, frozen=True, tag="given", rename={"kind": "part"}):
    """The fault on that host has been reverted."""

    kind: FaultKind
    host: str
    at: str


class DrillState(StrEnum):
    """How a drill stands. REVERTED: by `invoke drill --revert`, after an interruption."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REVERTED = "restored"


class DrillEnd(msgspec.Struct, frozen=True, tag="end"):
    """Nothing is left to revert."""

    state: DrillState
    at: str


Entry = DrillHeader | SamplersStarted | WorkloadEvent | FaultInjected | FaultReverted | DrillEnd


class DrillJournal(jsonl.JsonlWriter[Entry]):
    """Appends to the journal of a drill's folder. header: to start a new one."""

    def __init__(self, folder: Path, header: DrillHeader | None) -> None:
        super().__init__(folder / NAME, header)


class DrillHistory(msgspec.Struct):
    """A journal that has been read."""

    folder: Path
    header: DrillHeader
    entries: list[Entry] = []

    @property
    def end(self) -> DrillEnd | None:
        """How the drill ended; None if it was interrupted or is still running."""
        return next((e for e in self.entries if isinstance(e, DrillEnd)), None)

    @property
    def state(self) -> DrillState:
        """As the journal says; without a last entry, by whether its process is alive."""
        if self.end:
            return self.end.state
        locked = jsonl.is_locked(self.folder / NAME)
        return DrillState.RUNNING if locked else DrillState.INTERRUPTED

    @property
    def kinds(self) -> Sequence[FaultKind]:
        """The injected faults, in order."""
        return list(dict.fromkeys(e.kind for e in self.entries if isinstance(e, FaultInjected)))

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts on which a fault was injected."""
        return list(dict.fromkeys(e.host for e in self.entries if isinstance(e, FaultInjected)))

    @property
    def active_faults(self) -> list[FaultInjected]:
        """The faults that are not known to be reverted, the latest first."""
        active: dict[tuple[FaultKind, str], FaultInjected] = {}
        for entry in self.entries:
            if isinstance(entry, FaultInjected):
                active[entry.kind, entry.host] = entry
            elif isinstance(entry, FaultReverted):
                active.pop((entry.kind, entry.host), None)
        return list(reversed(active.values()))

    @property
    def workload_host(self) -> str:
        """The master that created the workload; empty if it is deleted or was never created."""
        return self._workload_host(federated=False)

    @property
    def federated_workload_host(self) -> str:
        """The same, of the workload of the member drill."""
        return self._workload_host(federated=True)

    def _workload_host(self, *, federated: bool) -> str:
        events = [
            e for e in self.entries if isinstance(e, WorkloadEvent) and e.federated is federated
        ]
        return events[-1].host if events and not events[-1].deleted else ""

    @property
    def sampler_hosts(self) -> Sequence[str]:
        """The hosts on which files of a sampler may be left."""
        hosts = [h for e in self.entries if isinstance(e, SamplersStarted) for h in e.hosts]
        return list(dict.fromkeys(hosts))


def load_drill(folder: Path) -> DrillHistory | None:
    """Read a journal; None for one without a complete header.

    Raises UserError, with the line, if the file is not a drill journal.
    """
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    history: DrillHistory | None = None
    for entry in jsonl.read_entries(folder / NAME, decoder, SCHEMA):
        if isinstance(entry, DrillHeader):
            history = DrillHistory(folder, entry)
        elif history is not None:
            history.entries.append(entry)
    return history


def load_drills(reports: Path) -> list[DrillHistory]:
    """All drills with a journal that has a header, the newest first."""
    histories = [load_drill(p.parent) for p in sorted(reports.glob(f"*/{NAME}"), reverse=True)]
    return [history for history in histories if history is not None]


def unfinished(reports: Path, inventory: str) -> list[DrillHistory]:
    """The interrupted drills of that inventory, the newest first."""
    return _without_end(reports, inventory, DrillState.INTERRUPTED)


def running(reports: Path, inventory: str) -> list[DrillHistory]:
    """The drills of that inventory whose process is alive, the newest first."""
    return _without_end(reports, inventory, DrillState.RUNNING)


def _without_end(reports: Path, inventory: str, state: DrillState) -> list[DrillHistory]:
    return [
        history
        for history in load_drills(reports)
        if not history.end and history.header.inventory == inventory and history.state is state
    ]
