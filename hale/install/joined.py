"""Hosts that had joined a cluster before this run: the operator confirms what changes on them, and
they are changed one at a time, control-plane nodes through the gate of `invoke fix`."""

import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from hale.apply import gates
from hale.install.cluster_context import ClusterContext
from hale.install.options import InstallOptions
from hale.install.planning import phase_statuses
from hale.install.progress import print_status
from hale.inventory.cluster_spec import KUBELET
from hale.model.errors import UserError
from hale.report.text import confirm
from hale.ssh import RemoteError, SessionPool

TIMEOUT = 60.0  # seconds


def joined_hosts(context: ClusterContext, sessions: SessionPool) -> frozenset[str]:
    """The names of the hosts whose kubelet has its kubeconfig. Raises UserError."""
    try:
        return frozenset(
            host.name
            for host in context.hosts
            if sessions.session(host.name).run(f"test -e {KUBELET}", TIMEOUT).exit_status == 0
        )
    except RemoteError as error:
        raise UserError(f"nothing was changed: {error}") from None


def confirm_changes(
    options: InstallOptions,
    context: ClusterContext,
    sessions: SessionPool,
    console: Console,
    phases: Sequence[str],
    joined: Collection[str],
) -> None:
    """Print what remains to do in a cluster that has hosts already, and ask once.

    Raises UserError if the operator declines, or stdin is not a terminal; HostsUnreachable.
    """
    statuses = phase_statuses(context, sessions, phases)
    if not any(status.remaining or status.unknown for status in statuses):
        return
    names = ", ".join(h.name for h in context.hosts if h.name in joined)
    console.print(f"These hosts have joined a cluster: {names}. What remains to do:")
    for status in statuses:
        if status.remaining or status.unknown or status.differences:
            print_status(console, status)
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise UserError(
            "nothing was changed: stdin is not a terminal. Pass --yes to change a cluster that has "
            "hosts already without confirmation."
        )
    if not confirm("\nMake these changes? [y/N] "):
        raise UserError("nothing was changed.")


@dataclass(frozen=True)
class JoinedGate:
    """When a host that has joined may be changed.

    joined: the names. masters: those of them that are control-plane nodes. unhealthy: why the
    cluster is not healthy now; None while its control plane is incomplete, which no audit can call
    healthy.
    """

    joined: frozenset[str]
    masters: frozenset[str]
    unhealthy: Callable[[], Sequence[str]] | None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def changing(self, host: str, give_up: Callable[[], bool]) -> Iterator[None]:
        """Hold while steps change the host. Raises UserError if the gate is or stays closed."""
        if host not in self.joined:
            yield
            return
        with self._lock:
            check = self.unhealthy if host in self.masters else None
            if check is not None and (problems := check()):
                raise UserError(
                    f"{host} was not changed, because the cluster is unhealthy: {problems[0]}"
                )
            yield
            if check is not None:
                try:
                    gates.wait_until_healthy(check, give_up)
                except gates.GateClosed as error:
                    raise UserError(f"after a change of {host} {error}") from None
