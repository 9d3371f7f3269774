"""Watch the peers that a long-running step depends on, and warn the operator if one fails.

`kubeadm join` waits for minutes, without output, while another control-plane node is down. It is
not aborted for that, because a join that continues is better than one that is killed: the operator
learns which node to bring back.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from hale.install.cluster_context import ClusterContext
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.phase import PhaseProblem, Problems, RunScript, Step, WaitFor
from hale.model.evidence import Unreadable
from hale.ssh import SessionPool, Target

PEER_TIMEOUT = 15.0  # seconds that a step runs before its peers are checked
CONFIRMATIONS = 2  # consecutive failed checks: an election may fail one


@contextmanager
def monitor_peers(
    step: Step,
    site: ClusterContext,
    targets: Mapping[str, Target],
    notice: Callable[[str], None],
) -> Iterator["PeerStatus"]:
    """Watch the step's peers in a thread for as long as the context is open."""
    found = PeerStatus()
    ended = threading.Event()
    if isinstance(step, RunScript) and (wanted := step.watch_peers) is not None:
        watch = PeerMonitor(step, wanted, site, targets, notice)
        threading.Thread(target=watch.until, args=(ended, found), daemon=True).start()
    try:
        yield found
    finally:
        ended.set()


class PeerStatus:
    """problems: which peers are unhealthy and why, by the latest checks."""

    problems: tuple[str, ...] = ()


class PeerMonitor:
    def __init__(
        self,
        step: RunScript,
        wanted: WaitFor,
        site: ClusterContext,
        targets: Mapping[str, Target],
        notice: Callable[[str], None],
    ) -> None:
        self._step, self._wanted, self._site, self._notice = step, wanted, site, notice
        # Sessions of its own: probing a lost host blocks, and its session does not recover.
        self._sessions = SessionPool(targets)

    def until(self, ended: threading.Event, found: PeerStatus) -> None:
        named = f"{self._step.host}: {self._step.title}"
        wait, failures = PEER_TIMEOUT, 0
        while not ended.wait(wait):
            wait = self._wanted.interval
            problems = self._check()
            failures = failures + 1 if problems else 0
            if ended.is_set():
                break
            if failures == CONFIRMATIONS:
                why = "; ".join(map(str, problems)).rstrip(".")
                self._notice(
                    f"{named} may be blocked: {why}. It continues once that is healthy again, and "
                    f"is stopped after {self._step.timeout:g} s."
                )
            elif found.problems and not problems:
                self._notice(f"{named} continues: {self._wanted.title}")
            found.problems = tuple(map(str, problems)) if failures >= CONFIRMATIONS else ()
        self._sessions.close()

    def _check(self) -> Problems:
        try:
            request = ObservationRequest(self._wanted, self._site, self._wanted.hosts)
            (observed,) = observe([request], self._sessions.session)
            return self._wanted.remaining(self._site, observed)
        except (Unreadable, HostsUnreachable) as error:
            self._sessions.begin_close()
            return (PhaseProblem(str(error)),)
