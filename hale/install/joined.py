"""Hosts that had joined a cluster before this run: the operator confirms what changes on them, and
they are changed one at a time, by the rules of `invoke fix`. A run that adds workers to a control
plane that is complete leaves them alone."""

import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from hale.apply import gates
from hale.apply.gates import GateClosed
from hale.apply.worker_gate import WorkerGate
from hale.install.cluster_context import ClusterContext
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.options import InstallOptions
from hale.install.phase import Probes
from hale.install.planning import Exempt, phase_statuses
from hale.install.scheduler import load_phase
from hale.install.status_view import print_status
from hale.inventory.cluster_spec import KUBELET
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, Unreadable
from hale.report.text import confirm
from hale.ssh import SessionPool

_SUBJECT = "joined"


class InstallAborted(Exception):
    """The run stops: the operator stopped it, or something else in it has failed."""


class _Joined:
    """Whether a host's kubelet has its kubeconfig, as what is to be observed."""

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """One command."""
        return {_SUBJECT: (CommandProbe("kubelet", f"[ ! -e {KUBELET} ] || echo joined"),)}


def joined_hosts(context: ClusterContext, sessions: SessionPool) -> frozenset[str]:
    """The names of the hosts whose kubelet has its kubeconfig. Raises UserError."""
    try:
        (found,) = observe([ObservationRequest(_Joined(), context)], sessions.session)
        return frozenset(
            host.name
            for host in context.hosts
            if found.of(host.name, _SUBJECT).output("kubelet").lines
        )
    except (HostsUnreachable, Unreadable) as error:
        raise UserError(f"nothing was changed: {error}") from None


def only_adds_workers(context: ClusterContext, joined: Collection[str], phase: str = "") -> bool:
    """Whether the run only adds workers: all that is missing from the cluster.

    phase: the only one that is to be run, by --phase; it is run on every host.
    """
    if phase:
        return False
    missing = [h for h in context.hosts if h.name not in joined]
    return bool(missing) and not any(h.is_master for h in missing)


def exempt_phases(
    context: ClusterContext,
    sessions: SessionPool,
    phases: Sequence[str],
    joined: Collection[str],
    phase: str = "",
) -> Exempt:
    """What this run does not touch: (phase, host), where it only adds workers.

    A phase that an earlier run has begun on the cluster and not completed is not left out. Raises
    HostsUnreachable.
    """
    if not only_adds_workers(context, joined, phase):
        return frozenset()
    preparing = [p.name for p in map(load_phase, phases) if p.PREPARES_HOSTS]
    begun = unfinished(context, sessions, phases, joined)
    return frozenset((phase, name) for phase in preparing for name in joined) - begun


def unfinished(
    context: ClusterContext, sessions: SessionPool, phases: Sequence[str], joined: Collection[str]
) -> Exempt:
    """(phase, host) of a first install that was interrupted on hosts that have joined.

    Raises HostsUnreachable.
    """
    preparing = [p for p in map(load_phase, phases) if p.PREPARES_HOSTS]
    observed = observe([ObservationRequest(p, context) for p in preparing], sessions.session)
    found = set()
    for one, observations in zip(preparing, observed, strict=True):
        for name in joined:
            with suppress(Unreadable):
                if one.unfinished(context, observations, name):
                    found.add((one.name, name))
    return frozenset(found)


def confirm_changes(
    options: InstallOptions,
    context: ClusterContext,
    sessions: SessionPool,
    console: Console,
    phases: Sequence[str],
    joined: Collection[str],
    exempt: Exempt = frozenset(),
) -> frozenset[str]:
    """Print what remains to do in a cluster that has hosts already, and ask once.

    exempt: what the run does not touch. Returns the requirements that the run is for
    (Phase.REMEDIATES).
    Raises UserError if the operator declines, or stdin is not a terminal; HostsUnreachable.
    """
    again = bool(options.phase)  # its steps run even if it is done
    statuses = phase_statuses(context, sessions, phases, exempt, again=again)
    todo = [s for s in statuses if s.remaining or s.unknown or (again and s.steps)]
    if not todo:
        return frozenset()
    names = ", ".join(h.name for h in context.hosts if h.name in joined)
    console.print(Text(f"These hosts have joined a cluster: {names}. What remains to do:"))
    for status in statuses:
        if status in todo or status.differences:
            print_status(console, status)
    remediated = frozenset[str]().union(*(load_phase(s.name).REMEDIATES for s in todo))
    if options.yes:
        return remediated
    if not sys.stdin.isatty():
        raise UserError(
            "nothing was changed: stdin is not a terminal. Pass --yes to change a cluster that has "
            "hosts already without confirmation."
        )
    if not confirm("\nMake these changes? [y/N] "):
        raise UserError("nothing was changed.")
    return remediated


@dataclass(frozen=True)
class JoinedGate:
    """When a host that has joined may be changed.

    joined: the names. masters: those of them that are control-plane nodes. unhealthy: why these
    are not healthy now. complete: whether all control-plane nodes of the inventory have joined;
    otherwise a load balancer that names those that have not is awaited nowhere. unfinished: (phase,
    host) of a first install that was interrupted: it has no gate (Phase.unfinished). remediated:
    the requirements that the run is for. worker_gate: makes the gate of the workers, given whether
    the run is to stop. settling: as of gates.changing_master.
    """

    joined: frozenset[str]
    masters: frozenset[str]
    unhealthy: Callable[[], Sequence[str]]
    complete: bool = True
    unfinished: Exempt = frozenset()
    remediated: frozenset[str] = frozenset()
    worker_gate: Callable[[Callable[[], bool]], WorkerGate] | None = None
    settling: frozenset[str] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def changing(
        self,
        host: str,
        give_up: Callable[[], bool],
        interrupts: str = "",
        failed: Callable[[], None] = lambda: None,
        awaited: Collection[str] = (),
    ) -> Iterator[None]:
        """Hold while steps change the host. Raises UserError if the gate is or stays closed.

        Raises InstallAborted, without a check or a drain, where the run stops by the host's turn.
        interrupts: the title of a step that interrupts what runs there; empty for none. failed:
        called after a failure, before the next host has its turn. awaited: what must pass on this
        host after it, where it is a control-plane node (RunScript.awaited).
        """
        if host not in self.joined:
            yield
            return
        changed = False
        with self._lock:
            if give_up():
                raise InstallAborted
            try:
                with self._gate(host, give_up, interrupts, awaited):
                    yield
                    changed = True
            except GateClosed as error:
                when = f"after a change of {host}" if changed else f"{host} was not changed"
                failed()
                raise UserError(f"{when}: {error}") from None
            except BaseException:
                failed()
                raise

    def _gate(
        self, host: str, give_up: Callable[[], bool], interrupts: str, awaited: Collection[str]
    ) -> AbstractContextManager[None]:
        if host in self.masters:
            return gates.changing_master(
                host,
                len(self.masters),
                self.unhealthy,
                give_up,
                interrupts=interrupts,
                remediated=self.remediated,
                # What is no host's own is judged by the audit at the end.
                awaited=gates.awaited_after(host, awaited if self.complete else (), last=False),
                settling=self.settling,
            )
        if self.worker_gate is None:
            return _open()
        return self.worker_gate(give_up).changing(host, interrupts=bool(interrupts))


@contextmanager
def _open() -> Iterator[None]:
    yield
