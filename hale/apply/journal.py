"""The journal of a run: an entry before each step and one after. Undo needs nothing else."""

import re
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from hale.files import jsonl
from hale.model import results
from hale.model.change import Remedy
from hale.model.errors import Location, UserError
from hale.plan.plan import Step
from hale.report.change.model import PlanSource, SignatureCheck, TrialState

SCHEMA = "hale.journal/1"
NAME = "journal.jsonl"
RUN_NAME = re.compile(r"\w[\w.:+-]*", re.ASCII)  # of a run's folder, on the hosts too


class StepState(StrEnum):
    """How a step ended. UNCHANGED: the host was as wanted. STOPPED: it was not begun."""

    DONE = "done"
    UNCHANGED = "already so"
    NOT_APPLIED = "not done"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"


class HostState(StrEnum):
    """How a run ended on a host. REFUSED: a precondition or a gate; STOPPED: for another host."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"


class RunState(StrEnum):
    """How a run ended, or stands. FAILED: a host did not get all its changes."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunHeader(msgspec.Struct, frozen=True, tag="run"):
    """Who runs what. kind: fix, undo, install, reset, join or leave. of: the run that is undone.

    member, host_inventory: of a join or a leave alone, the member's name and the inventory of the
    cluster with Karmada.
    """

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
    member: str | msgspec.UnsetType = msgspec.UNSET
    host_inventory: str | msgspec.UnsetType = msgspec.UNSET


class RunApproval(msgspec.Struct, frozen=True, tag="approval"):
    """What was approved beyond the header. window: when the change may be made, as typed.

    signature: of the approver; signer: as allowed_signers has it; signer_key: the fingerprint.
    """

    source: PlanSource
    window: str
    at: str
    signature: SignatureCheck = SignatureCheck.UNRECORDED
    signer: str = ""
    signer_key: str = ""


class StepStarted(msgspec.Struct, frozen=True, tag="begin", rename={"notes": "told"}):
    """A step is about to be applied, its backup is on disk. after: a file's SHA-256 after it."""

    host: str
    number: int
    step: Step
    after: str
    notes: tuple[str, ...]
    at: str


class StepDone(msgspec.Struct, frozen=True, tag="done"):
    """A step is over. undo: the changes that undo it; none where it was not applied."""

    host: str
    number: int
    undo: tuple[Remedy, ...]
    at: str


class StepSkipped(msgspec.Struct, frozen=True, tag="skipped", rename={"reason": "why"}):
    """A step that changed nothing, and why."""

    host: str
    number: int
    state: StepState
    reason: str
    at: str


class HostFinished(msgspec.Struct, frozen=True, tag="host", rename={"reason": "why"}):
    """The run is over on a host."""

    host: str
    state: HostState
    reason: str
    at: str


class NodeCordoned(msgspec.Struct, frozen=True, tag="cordon"):
    """The host's node is about to be cordoned."""

    host: str
    node: str
    at: str


class NodeUncordoned(msgspec.Struct, frozen=True, tag="uncordon"):
    """The host's node is schedulable again."""

    host: str
    node: str
    at: str


class TrialStarted(msgspec.Struct, frozen=True, tag="trial"):
    """The host is about to begin its trial of `seconds`. until: its end, by this machine's clock;
    a boot of the host begins again."""

    host: str
    seconds: int
    until: str
    at: str


class TrialEnded(msgspec.Struct, frozen=True, tag="trial-end"):
    """How the trial ended on the host. since: when, by the host's clock, "" if it is not known.

    problems: what the host could not undo, and why.
    """

    host: str
    state: TrialState
    since: str
    problems: tuple[str, ...]
    at: str


class PhaseState(StrEnum):
    """How a phase of an install stands."""

    STARTED = "begun"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class InstallStepState(StrEnum):
    """How a step of an install stands. UNCHANGED: there was nothing to do."""

    STARTED = "begun"
    DONE = "done"
    UNCHANGED = "nothing"
    FAILED = "failed"


class PhaseEvent(msgspec.Struct, frozen=True, tag="phase", rename={"reason": "why"}):
    """A phase of an install: begun, done, skipped (it was done before), or failed, and why."""

    name: str
    state: PhaseState
    reason: str
    seconds: float
    at: str


class InstallStepStarted(msgspec.Struct, frozen=True, tag="act-begin"):
    """A step of an install is about to run. path: of the file that it writes, "" of a script.

    interrupts: it interrupts what runs on a host that has joined.
    """

    phase: str
    host: str
    title: str
    path: str
    interrupts: bool
    at: str


class InstallStepDone(msgspec.Struct, frozen=True, tag="act"):
    """A step of an install is over: done, failed, or there was nothing to do.

    kubeadm: it was kubeadm's own work on the way to the cluster (init, a join).
    """

    phase: str
    host: str
    title: str
    state: InstallStepState
    seconds: float
    kubeadm: bool
    at: str


class RunFinished(msgspec.Struct, frozen=True, tag="end"):
    """The run is over on all hosts."""

    state: RunState
    at: str


Event = (
    RunApproval
    | StepStarted
    | StepDone
    | StepSkipped
    | HostFinished
    | NodeCordoned
    | NodeUncordoned
    | TrialStarted
    | TrialEnded
    | PhaseEvent
    | InstallStepStarted
    | InstallStepDone
    | RunFinished
)
Entry = RunHeader | Event


def open_acts(entries: Iterable[Entry]) -> tuple[InstallStepStarted, ...]:
    """The steps of an install that were begun and have no entry of their end."""
    begun: dict[tuple[str, str, str], InstallStepStarted] = {}
    for entry in entries:
        if isinstance(entry, InstallStepStarted):
            begun[entry.phase, entry.host, entry.title] = entry
        elif isinstance(entry, InstallStepDone):
            begun.pop((entry.phase, entry.host, entry.title), None)
    return tuple(begun.values())


def now() -> str:
    """The time in UTC, as it stands in results and journals."""
    return results.utc(time.time())


class Journal(jsonl.JsonlWriter[Entry]):
    """Writes the journal of the run whose folder this is; header: of a new one."""

    def __init__(self, folder: Path, header: RunHeader | None) -> None:
        super().__init__(folder / NAME, header)


class RunHistory(msgspec.Struct):
    """A run as its journal has it. Steps are keyed by host and number."""

    folder: Path
    header: RunHeader
    approval: RunApproval | None = None
    begun: dict[tuple[str, int], StepStarted] = {}
    done: dict[tuple[str, int], StepDone] = {}
    skipped: list[StepSkipped] = []
    hosts: dict[str, HostFinished] = {}
    cordoned: dict[str, str] = {}  # host -> its node, until it is uncordoned
    cordoned_at: dict[str, str] = {}  # host -> when that was last journaled, in UTC
    trials: dict[str, TrialStarted] = {}  # host -> its trial
    trial_ends: dict[str, TrialEnded] = {}
    phases: dict[str, PhaseEvent] = {}  # of an install: the last event of each phase
    acts: list[InstallStepDone] = []
    end: RunFinished | None = None

    @property
    def open(self) -> list[StepStarted]:
        """Steps that were begun and have no entry of how they ended."""
        return [b for key, b in self.begun.items() if key not in self.done]

    @property
    def open_trials(self) -> list[str]:
        """The hosts whose trial has no entry of its end."""
        return [host for host in self.trials if host not in self.trial_ends]

    @property
    def state(self) -> RunState:
        """As the journal says; without a last entry, by whether its process is alive."""
        if self.end:
            return self.end.state
        return RunState.RUNNING if is_running(self.folder) else RunState.INTERRUPTED


def is_running(folder: Path) -> bool:
    """Whether the run's own process still holds the journal."""
    return jsonl.is_locked(folder / NAME)


def load_run(folder: Path) -> RunHistory:
    """Read a run's journal. Raises UserError, with the line, for a file that is not a journal."""
    history = read_run(folder)
    if history is None:
        raise UserError("the journal is empty: nothing was begun.", Location(folder / NAME))
    return history


def read_entries(folder: Path) -> Iterator[Entry]:
    """The entries of a run's journal, in order. Raises as load_run does."""
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    return jsonl.read_entries(folder / NAME, decoder, SCHEMA)


def read_run(folder: Path) -> RunHistory | None:
    """Read a run's journal; None if nothing was begun. Raises as load_run does."""
    history: RunHistory | None = None
    for entry in read_entries(folder):
        if isinstance(entry, RunHeader):
            if not RUN_NAME.fullmatch(entry.run):
                raise UserError(f"{entry.run!r} is no name of a run.", Location(folder / NAME, 1))
            history = RunHistory(folder, entry)
        elif history is not None:
            _replay(history, entry)
    return history


def _replay(history: RunHistory, event: Event) -> None:
    match event:
        case RunApproval():
            history.approval = event
        case StepStarted():
            history.begun[event.host, event.number] = event
        case StepDone():
            history.done[event.host, event.number] = event
        case StepSkipped():
            history.skipped.append(event)
        case PhaseEvent():
            history.phases[event.name] = event
        case InstallStepStarted():
            pass  # its end is what counts; open_acts has those without one
        case InstallStepDone():
            history.acts.append(event)
        case NodeCordoned():
            history.cordoned[event.host] = event.node
            history.cordoned_at[event.host] = event.at
        case NodeUncordoned():
            history.cordoned.pop(event.host, None)
        case TrialStarted():
            history.trials[event.host] = event
        case TrialEnded():
            history.trial_ends[event.host] = event
        case HostFinished():
            history.hosts[event.host] = event
        case RunFinished():
            history.end = event
