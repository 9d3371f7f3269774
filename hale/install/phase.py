"""The phases of an install, and the steps that they are made of.

A phase is pure: it turns observations of the hosts and the inventory into steps, which are data;
only the engine executes them. Whether a phase is done is always read from the hosts, never from
what an earlier run recorded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from hale.install.cluster_context import ClusterContext
from hale.install.secrets import Secret
from hale.inventory.ini import Host
from hale.model.evidence import Evidence, HostView, Probe

Probes = Mapping[str, tuple[Probe, ...]]  # by the subject whose facts parse the output


@dataclass(frozen=True)
class Observations:
    """The evidence of the hosts, by host name."""

    hosts: Mapping[str, Evidence] = field(default_factory=dict)

    def of(self, host: str, subject: str) -> HostView:
        """One subject's view of one host. Reading missing evidence raises Unreadable."""
        missing = Evidence(host, unreachable=f"{host} was not observed")
        return HostView(self.hosts.get(host, missing), subject)


NO_FILE = "none"


@dataclass(frozen=True)
class WriteFile:
    """Replace a file atomically: write a temporary file beside it, validate, rename. Owner: root.

    check: a command that must accept the new file, `$new`. then: a command, such as a reload or
    restart, that runs if the file was changed. keep: back up the file as it was before Hale's first
    change, so that `invoke reset` can restore it. replaces: on a host that has joined, the SHA-256
    of the file as it was observed, NO_FILE where there was none; any other content is kept, and
    the step fails. None: whatever is there is replaced.
    """

    host: str
    title: str
    path: str
    content: str | bytes
    mode: int = 0o644
    check: str = ""
    then: str = ""
    keep: bool = True
    replaces: str | None = None


@dataclass(frozen=True)
class RunScript:
    """A script for /bin/sh as root, under `set -eu`. It must be safe to repeat.

    interrupts: on a host that has joined, what runs there is interrupted; a worker is drained
    first. stdin: its standard input; a Secret is never shown. timeout: seconds. is_kubeadm_work:
    kubeadm's own part of the install; the bench compares its time with the total. uploads: which of
    TOKEN and CERTIFICATES it uploads to the cluster; runs once per run. watch_peers: a condition
    that the script depends on while it runs; the operator is notified when it does not hold.
    awaited: the requirements that it brings about on its host; of a control-plane node that has
    joined they must pass before the next one is changed.
    """

    host: str
    title: str
    script: str
    stdin: Secret | str | None = None
    timeout: float = 120.0
    is_kubeadm_work: bool = False
    uploads: frozenset[str] = frozenset()
    watch_peers: "WaitFor | None" = None
    interrupts: bool = False
    awaited: frozenset[str] = frozenset()


class PhaseProblem(NamedTuple):
    """Something that is not done yet. host: its name; empty for the cluster."""

    detail: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.host}: {self.detail}" if self.host else self.detail


Problems = tuple[PhaseProblem, ...]


class ProbeSource(Protocol):
    """Anything that can be observed: a phase, a WaitFor, the module of `reset`."""

    @property
    def probes(self) -> Callable[[ClusterContext, Host], Probes]:
        """What to read on a host, by subject."""


@dataclass(frozen=True)
class WaitFor:
    """Observe `hosts` until `remaining` returns nothing.

    timeout, interval: seconds in total and between two observations.
    """

    title: str
    hosts: tuple[str, ...]
    probes: Callable[[ClusterContext, Host], Probes]
    remaining: Callable[[ClusterContext, Observations], Problems]
    timeout: float = 120.0
    interval: float = 0.5


@dataclass(frozen=True)
class WaitForPhase:
    """Observe until nothing remains of the phase itself. timeout: seconds."""

    title: str
    timeout: float


Step = WriteFile | RunScript


@dataclass(frozen=True)
class Batch:
    """Steps that may run at once: hosts in parallel, the steps of one host in order.

    wait_for: what must hold before the next batch starts; only a phase's last batch may have a
    WaitForPhase.
    """

    steps: tuple[Step, ...] = ()
    wait_for: WaitFor | WaitForPhase | None = None


class Phase(ABC):
    """One phase: how to observe whether it is done, and the steps that complete it.

    name: what the operator types. DEPENDS_ON: phases that must be done before it starts; `images`
    means the same host group of that phase (all of it where either phase has no groups),
    `images/first` that group of it.

    HOST_GROUPS: a phase with groups runs once for each of them, in this order: `first` (the first
    control-plane node), `masters` (each of the others by itself), `workers` (all together). It then
    acts on `site.current_hosts` only. STAGGER_SECONDS: a group starts at the latest that long after
    the group before it, earlier once that is done. CHAINS_INTO: host group -> the phase which that
    group must complete as well before the next group starts. GATED: its steps change programs and
    files that a host which has joined runs with, so they go through the gate. PREPARES_HOSTS: its
    steps prepare hosts for a cluster; those that have joined are left alone by a run that only adds
    workers. REMEDIATES: the requirements that guard a change and cannot pass until the phase is
    done; they close no gate of a run that completes it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    DEPENDS_ON: ClassVar[tuple[str, ...]] = ()
    HOST_GROUPS: ClassVar[tuple[str, ...]] = ()
    CHAINS_INTO: ClassVar[Mapping[str, str]] = {}
    STAGGER_SECONDS: ClassVar[float] = 0.0
    GATED: ClassVar[bool] = False
    PREPARES_HOSTS: ClassVar[bool] = False
    REMEDIATES: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        """Raises TypeError for a public name that is no hook: a misspelt one would never run."""
        super().__init_subclass__()
        for name in vars(cls):
            if not name.startswith("_") and name not in _HOOKS:
                raise TypeError(f"{cls.__qualname__}.{name}: a phase has no such hook")

    @abstractmethod
    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """What to read on this host, by subject."""

    @abstractmethod
    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """What is not done yet; empty when the phase is done.

        Raises Unreadable.
        """

    @abstractmethod
    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The steps that complete it. Raises Unreadable and UserError."""

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What is not as Hale would make it, and stays so: on hosts that have joined, files that
        Hale did not write; objects that were applied before. Reported to the operator.

        Raises Unreadable.
        """
        return ()

    def unfinished(self, site: ClusterContext, observations: Observations, host: str) -> bool:
        """Whether the phase has never been completed on this host, although it has joined.

        Only phases with PREPARES_HOSTS. Raises Unreadable.
        """
        return False

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """What `gate_problems` reads, on hosts on which nothing has been installed yet."""
        return {}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """Reasons why the phase can never complete on these hosts, each with the next step.

        The gate reads them before any phase changes a host. Raises Unreadable.
        """
        return ()

    def exemption_problems(
        self, site: ClusterContext, observations: Observations, exempt: Collection[str]
    ) -> tuple[str, ...]:
        """Reasons why these hosts cannot be left alone, by `gate_probes`. Raises Unreadable."""
        return ()

    def preflight_probes(self, site: ClusterContext, host: Host) -> Probes:
        """What only `preflight` reads, and takes seconds; observed just before the phase starts."""
        return {}

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """Reasons not to start, each with the next step for the operator; empty for none."""
        return ()

    def prepare(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Steps that do not depend on `preflight`: they run while its probes do."""
        return ()

    def skip_reason(self, site: ClusterContext) -> str:
        """Why the phase does not apply to this cluster; empty where it does."""
        return ""


_HOOKS = frozenset((*vars(Phase), *Phase.__annotations__))
