"""What a phase may want of hosts. A step is data; the engine alone carries it out.

A phase is a module of remediate/cluster/ with

    TITLE = "Packages"
    NEEDS = ("images/first",)                    # phases, or parts, that must be through before
    def probes(site, host) -> Asked              # what to read on this host, by subject
    def left(site, seen) -> tuple[str, ...]      # what is not done yet, in words; empty: done
    def waves(site, seen) -> Iterable[Wave]      # what does it

and, where something may stand in the way, `refusals(site, seen)`: reasons why nothing may be
done, each with the next step. What only they read, and takes long, is asked for by
`obstacles(site, host)`, just before the phase begins; the waves of `beforehand(site, seen)` are
done meanwhile, whatever is refused then. Phases that need nothing of each other go at once.

A phase with PARTS, of the groups `first` (the first master), `masters` (each of the others) and
`workers` (together), goes by them, in this order, and does what it does at the hosts of
`site.part`; `site.hosts` are all. A part begins once the one before it is through, HEAD_START
seconds after that began at the latest; at once where there is none. AHEAD = {"masters": "images"}
lets the parts of that group go on, through that phase, before the next one begins. NEEDS may name
a group: "images/first".

All of them are pure. Whether a phase is done is read from the hosts, never from what an earlier
run says.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

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


@dataclass(frozen=True)
class WaitFor:
    """Look until nothing is left in `left`'s words, at most `patience` seconds."""

    title: str
    hosts: tuple[str, ...]
    probes: Callable[[ClusterContext, Host], Probes]
    remaining: Callable[[ClusterContext, Observations], tuple[str, ...]]
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


class Phase(Protocol):
    """A module of remediate/cluster/."""

    TITLE: str
    NEEDS: tuple[str, ...]

    @property
    def probes(self) -> Callable[[ClusterContext, Host], Probes]:
        """What to read on a host."""

    @property
    def left(self) -> Callable[[ClusterContext, Observations], tuple[str, ...]]:
        """What is not done yet."""

    @property
    def waves(self) -> Callable[[ClusterContext, Observations], Iterable[Batch]]:
        """What does it."""
