"""What a change page shows: one shape for the plan of a fix or an install, and for each run.

The rooms that own a journal build it (hale/plan, hale/apply, hale/install, hale/drill); page.py
renders it. Times are UTC in ISO 8601, as in results.json.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from hale.model.change import Impact
from hale.report.change.comparison import BeforeAndAfter


class Operation(StrEnum):
    """The command that makes the change."""

    FIX = "fix"
    UNDO = "undo"
    INSTALL = "install"
    RESET = "reset"
    JOIN = "join"
    LEAVE = "leave"
    DRILL = "drill"


class ChangeState(StrEnum):
    """How a change stands.

    NOT_BEGUN: the run ended before its journal began. RUNNING: the run's process was alive when the
    page was made. INTERRUPTED: by the operator or an error, and the journal has an end. CRASHED:
    the journal has no end, and the process is gone.
    """

    PLANNED = "planned"
    NOT_BEGUN = "not begun"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"


class Outcome(StrEnum):
    """What became of one action.

    UNCHANGED: the host was already as wanted. SKIPPED: the run stopped before it. NOT_APPLIED: it
    was begun, and recovery found that it changed nothing. NOT_KNOWN: it was begun, and the journal
    has no entry of its end. NOT_REVERTED: a drill's fault that is not known to be reverted.
    """

    PLANNED = "planned"
    DONE = "done"
    UNCHANGED = "already so"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_APPLIED = "not applied"
    NOT_BEGUN = "not begun"
    NOT_KNOWN = "not known"
    NOT_REVERTED = "not reverted"


class PlanSource(StrEnum):
    """Where the plan of a run came from. DIGEST: a file, with the SHA-256 of its approval."""

    UNRECORDED = "unrecorded"
    MADE_NOW = "made by the run itself"
    FILE = "read from a file"
    DIGEST = "approved by its SHA-256"


class SignatureCheck(StrEnum):
    """The approver's signature on the plan of a run, as it was when the run began.

    UNRECORDED: the run made its plan itself, or an earlier version made the run. NOT_VERIFIED: the
    site had no list of those who may approve.
    """

    UNRECORDED = "unrecorded"
    NOT_SIGNED = "not signed"
    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"


class Reversal(StrEnum):
    """How a change is undone."""

    UNDO = "undo"
    UNDONE_BY_RESET = "reset"
    INSTALL_AGAIN = "install"
    LEAVE = "leave"
    JOIN_AGAIN = "join"
    DRILL_REVERT = "revert"
    NOT_NEEDED = "not needed"


class TrialState(StrEnum):
    """How a run on trial stands on a host; the words of trial.sh.

    UNDOING: the host is undoing the run. UNDONE: it has done so. INCOMPLETE: it could not undo all
    of it. CONFIRMED: the changes stay. CANCELLED: by `invoke undo`. NONE: the host has no record.
    """

    PENDING = "pending"
    UNDOING = "undoing"
    UNDONE = "undone"
    INCOMPLETE = "incomplete"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    NONE = "none"


class EventKind(StrEnum):
    """A line of the timeline; its value is how the page names it."""

    RUN_STARTED = "run started"
    RUN_ENDED = "run ended"
    HOST_ENDED = "host ended"
    BEGUN = "step begun, end not known"
    ENDED = "step ended"
    NOT_DONE = "step not done"
    TRIAL_STARTED = "trial started"
    TRIAL_ENDED = "trial ended"
    PHASE = "phase"
    CORDONED = "node cordoned"
    UNCORDONED = "node uncordoned"
    SAMPLERS = "client and watcher started"
    INJECTED = "fault injected"
    REVERTED = "fault reverted"
    WORKLOAD_CREATED = "workload created"
    WORKLOAD_DELETED = "workload deleted"


@dataclass(frozen=True)
class ChangeAction:
    """One change of one host, and what became of it.

    group: the phase of an install, "" elsewhere. diff: unified, secrets masked; "" where the change
    is none of a file. detail: why it was refused, failed or skipped. seconds: None where no
    duration is known.
    """

    title: str
    outcome: Outcome
    group: str = ""
    requirements: tuple[str, ...] = ()
    reason: str = ""
    effects: tuple[Impact, ...] = ()
    diff: str = ""
    detail: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class ManualTask:
    """A failed result that only a person can fix. `requirement` with its aspect."""

    requirement: str
    instructions: str


@dataclass(frozen=True)
class HostChange:
    """What a change does on one host. state, detail: how it ended there; "" where it did not."""

    host: str
    actions: tuple[ChangeAction, ...] = ()
    manual: tuple[ManualTask, ...] = ()
    unknown: tuple[str, ...] = ()  # results without a verdict: nothing is planned for them
    state: str = ""
    detail: str = ""


@dataclass(frozen=True)
class HostTrial:
    """How a run on trial stands on a host. until: the end of its window. since: when it ended, by
    the host's clock, "" while it goes on. problems: what the host could not undo."""

    host: str
    state: TrialState
    until: str
    since: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rehearsal:
    """A complete undo of the same changes. run: its folder's name. seconds: without its audits."""

    run: str
    at: str
    seconds: float
    hosts: int


@dataclass(frozen=True)
class ChangeEvent:
    """A line of the timeline. what: the step or phase; detail: a reason, or a host's message."""

    at: str
    kind: EventKind
    host: str = ""
    what: str = ""
    detail: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Approval:
    """What was approved, by whom, and who carried it out. Empty fields are not recorded.

    signer: of the plan, as allowed_signers has it. signer_key: the fingerprint. sign: the command
    that signs a plan.
    """

    plan_sha256: str = ""
    author: str = ""
    planned_at: str = ""
    source: PlanSource = PlanSource.UNRECORDED
    signature: SignatureCheck = SignatureCheck.UNRECORDED
    signer: str = ""
    signer_key: str = ""
    sign: str = ""
    approver: str = ""
    ticket: str = ""
    window: str = ""
    operator: str = ""
    source_host: str = ""
    started: str = ""
    ended: str = ""


@dataclass(frozen=True)
class ChangeReport:
    """The page.

    run: the name of the run's folder, "" for a plan. of: the run that an undo undoes. apply: the
    command that carries a plan out. revert: the command that undoes the change. order: batches, one
    after the other. remaining: what is still there of a cluster, or unhealthy, at the end.
    """

    kind: Operation
    state: ChangeState
    made_at: str
    inventory: str
    approval: Approval
    run: str = ""
    of: str = ""
    profile: str = ""
    hosts: tuple[HostChange, ...] = ()
    comparison: BeforeAndAfter | None = None
    events: tuple[ChangeEvent, ...] = ()
    reversal: Reversal = Reversal.NOT_NEEDED
    rehearsal: Rehearsal | None = None
    revert: str = ""
    apply: str = ""
    order: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = field(default=())  # name and path beside the page
    trials: tuple[HostTrial, ...] = ()

    @property
    def actions(self) -> Iterable[ChangeAction]:
        """The actions of all hosts."""
        return (action for host in self.hosts for action in host.actions)

    def count(self, *outcomes: Outcome) -> int:
        """How many actions ended in one of these ways."""
        return sum(action.outcome in outcomes for action in self.actions)
