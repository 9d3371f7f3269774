"""The phases of an install, and the steps that they are made of.

A phase is pure: it turns observations of the hosts and the inventory into steps, which are data;
only the engine executes them. Whether a phase is done is always read from the hosts, never from
what an earlier run recorded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from hale.install.cluster_context import ClusterContext
from hale.install.secrets import Secret
from hale.inventory.ini import Host
from hale.model.evidence import Evidence, HostView, Probe

Probes = Mapping[str, tuple[Probe, ...]]  # by the subject that understands the answer


@dataclass(frozen=True)
class Observations:
    """What the hosts answered."""

    hosts: Mapping[str, Evidence] = field(default_factory=dict)

    def of(self, host: str, subject: str) -> HostView:
        """One subject's view of one host; Unreadable comes when it is read."""
        missing = Evidence(host, unreachable=f"{host} was not asked")
        return HostView(self.hosts.get(host, missing), subject)


@dataclass(frozen=True)
class WriteFile:
    """A whole file: written beside its place, validated, then renamed over what is there.

    check: a command that the new file must pass before, as `$new`. then: a command that is run
    when the file was changed, a reload or restart. keep: the file that was there before Hale's
    first is kept, for `invoke reset` to put it back. Owner is root.
    """

    host: str
    title: str
    path: str
    content: str | bytes
    mode: int = 0o644
    check: str = ""
    then: str = ""
    keep: bool = True


@dataclass(frozen=True)
class RunScript:
    """A script for /bin/sh as root, `set -eu`; done again it must do no harm.

    stdin: what it reads; a Secret is shown nowhere. timeout: in seconds. critical: it is
    kubeadm's own work on the way to the cluster, which the bench compares with the whole.
    uploads: which of TOKEN and CERTIFICATES it leaves in the cluster; done once a run. meanwhile:
    what it may not go on without; the operator is told where that is not so.
    """

    host: str
    title: str
    script: str
    stdin: Secret | str | None = None
    timeout: float = 120.0
    is_kubeadm_work: bool = False
    uploads: frozenset[str] = frozenset()
    watch_peers: "WaitFor | None" = None


class PhaseProblem(NamedTuple):
    """Something that is not done yet. host: where; empty for the cluster."""

    detail: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.host}: {self.detail}" if self.host else self.detail


Problems = tuple[PhaseProblem, ...]


class ProbeSource(Protocol):
    """Whatever can be observed: a phase, a WaitFor, the module of `reset`."""

    @property
    def probes(self) -> Callable[[ClusterContext, Host], Probes]:
        """What to read on a host, by subject."""


@dataclass(frozen=True)
class WaitFor:
    """Look until nothing is left in `left`'s words, at most `patience` seconds."""

    title: str
    hosts: tuple[str, ...]
    probes: Callable[[ClusterContext, Host], Probes]
    remaining: Callable[[ClusterContext, Observations], Problems]
    timeout: float = 120.0
    interval: float = 0.5


@dataclass(frozen=True)
class WaitForPhase:
    """Look until nothing is left of the phase itself, at most `patience` seconds."""

    title: str
    timeout: float


Step = WriteFile | RunScript


@dataclass(frozen=True)
class Batch:
    """Steps that may go at once: hosts in parallel, the steps of one host in their order.

    afterwards: what must be true before the next wave begins; Through stands in the last one.
    """

    steps: tuple[Step, ...] = ()
    wait_for: WaitFor | WaitForPhase | None = None


class Phase(ABC):
    """One phase: how to see whether it is done, and the steps that complete it.

    name: what the operator types. DEPENDS_ON: phases that must be done before it starts; `images`
    means the same host group of that phase (all of it where either phase has no groups),
    `images/first` that group of it.

    HOST_GROUPS: a phase with groups runs once for each of them, in this order: `first` (the first
    control-plane node), `masters` (each of the others by itself), `workers` (all together). It
    then acts on `site.current_hosts` only. STAGGER_SECONDS: a group starts at the latest that long
    after the group before it, earlier once that is done. CHAINS_INTO: host group -> the phase
    which that group must complete as well before the next group starts.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    DEPENDS_ON: ClassVar[tuple[str, ...]] = ()
    HOST_GROUPS: ClassVar[tuple[str, ...]] = ()
    CHAINS_INTO: ClassVar[Mapping[str, str]] = {}
    STAGGER_SECONDS: ClassVar[float] = 0.0

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
    def remaining(self, site: ClusterContext, seen: Observations) -> Problems:
        """What is not done yet; empty when the phase is done.

        Raises Unreadable.
        """

    @abstractmethod
    def batches(self, site: ClusterContext, seen: Observations) -> Iterable[Batch]:
        """The steps that complete it. Raises Unreadable and UserError."""

    def preflight_probes(self, site: ClusterContext, host: Host) -> Probes:
        """What only `preflight` reads, and takes seconds; observed just before the phase starts."""
        return {}

    def preflight(self, site: ClusterContext, seen: Observations) -> tuple[str, ...]:
        """Reasons not to start, each with the next step for the operator; empty for none."""
        return ()

    def prepare(self, site: ClusterContext, seen: Observations) -> Iterable[Batch]:
        """Steps that do not depend on `preflight`: they run while its probes do."""
        return ()

    def skip_reason(self, site: ClusterContext) -> str:
        """Why the phase does not apply to this cluster; empty where it does."""
        return ""


_HOOKS = frozenset((*vars(Phase), *Phase.__annotations__))
