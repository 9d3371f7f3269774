"""Looks after others while a step runs that may not go on without them.

`kubeadm join` waits for minutes, and says nothing, where another master has lost its power. It is
not ended for that: a join that goes on is better than one that is cut off. The operator is told
who is missed, and puts it back.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hale import ssh
from hale.install.cluster_context import ClusterContext
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.phase import PhaseProblem, Problems, RunScript, Step, WaitFor
from hale.model.evidence import Unreadable
from hale.ssh import Session

PEER_TIMEOUT = 15.0  # seconds that a step runs before anybody looks
CONFIRMATIONS = 2  # that must find somebody ill one after the other: an election is no illness


@contextmanager
def monitor_peers(
    step: Step, site: ClusterContext, says: Callable[[str], None]
) -> Iterator["PeerStatus"]:
    """Looks as long as it is open; one that has begun then ends by itself."""
    found = PeerStatus()
    over = threading.Event()
    if isinstance(step, RunScript) and (wanted := step.watch_peers) is not None:
        watch = PeerMonitor(step, wanted, site, says)
        threading.Thread(target=watch.until, args=(over, found), daemon=True).start()
    try:
        yield found
    finally:
        over.set()


class PeerStatus:
    """who: is not well, and why, as the last looks found."""

    problems: tuple[str, ...] = ()


class PeerMonitor:
    def __init__(
        self, step: RunScript, wanted: WaitFor, site: ClusterContext, says: Callable[[str], None]
    ) -> None:
        self._step, self._wanted, self._site, self._says = step, wanted, site, says
        # Its own: a look at a host that is lost takes its time, and its session stays lost.
        self._sessions: dict[str, Session] = {}

    def until(self, over: threading.Event, found: PeerStatus) -> None:
        named = f"{self._step.host}: {self._step.title}"
        wait, ill = PEER_TIMEOUT, 0
        while not over.wait(wait):
            wait = self._wanted.interval
            left = self._look()
            ill = ill + 1 if left else 0
            if over.is_set():
                break
            if ill == CONFIRMATIONS:
                why = "; ".join(map(str, left)).rstrip(".")
                self._says(
                    f"{named} may not go on by itself: {why}. Put that back, and it goes on; it is "
                    f"stopped after {self._step.timeout:g} s."
                )
            elif found.problems and not left:
                self._says(f"{named} may go on: {self._wanted.title}")
            found.problems = tuple(map(str, left)) if ill >= CONFIRMATIONS else ()
        self._hang_up()

    def _look(self) -> Problems:
        try:
            wish = ObservationRequest(self._wanted, self._site, self._wanted.hosts)
            (seen,) = observe([wish], self._session)
            return self._wanted.remaining(self._site, seen)
        except (Unreadable, HostsUnreachable) as error:
            self._hang_up()
            return (PhaseProblem(str(error)),)

    def _session(self, host: str) -> Session:
        if host not in self._sessions:
            self._sessions[host] = Session(ssh.TARGETS[host])
        return self._sessions[host]

    def _hang_up(self) -> None:
        for session in self._sessions.values():
            session.begin_close()
        self._sessions.clear()
