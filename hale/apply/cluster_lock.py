"""The locks of all hosts of an inventory, held by one run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from hale.apply import lock
from hale.apply.lock import LockHeld, Owner
from hale.apply.reporter import Reporter
from hale.model.errors import UserError
from hale.ssh import RemoteError, SessionPool


@dataclass(frozen=True)
class HostLocks:
    """The locks that a run holds. held: the hosts."""

    sessions: SessionPool
    owner: Owner
    held: list[str]

    def acquire_again(self, host: str) -> None:
        """Lock a host that was off or rebooted: its lock is of a session that has ended, and stale.

        Raises LockHeld where another run has broken that lock, and RemoteError.
        """
        lock.acquire(self.sessions.renew(host), self.owner, stale=False)
        if host not in self.held:
            self.held.append(host)


@contextmanager
def locks_held(
    sessions: SessionPool,
    hosts: Sequence[str],
    needed: Iterable[str],
    owner: Owner,
    *,
    stale: bool,
    report: Reporter,
    nothing: str = "nothing was changed",
    trial: str = "",
) -> Iterator[HostLocks]:
    """Hold the locks of all hosts, acquired as by `acquire_all`; reports the hosts that keep one.

    trial: as of lock.acquire. nothing: how the error message begins. Raises UserError if another
    run holds a lock.
    """
    try:
        held = acquire_all(
            sessions, hosts, list(needed), owner, stale=stale, report=report, trial=trial
        )
    except LockHeld as error:
        raise UserError(f"{nothing}: {error}") from None
    try:
        yield HostLocks(sessions, owner, held)
    finally:
        if left := release_all(sessions, held, owner):
            report(
                "", f"the lock is still on {', '.join(left)}, which did not respond: --force-unlock"
            )


def acquire_all(
    sessions: SessionPool,
    hosts: Sequence[str],
    needed: Iterable[str],
    owner: Owner,
    *,
    stale: bool,
    report: Reporter,
    trial: str = "",
) -> list[str]:
    """Lock all hosts of an inventory; returns those that are locked, in its order.

    The first one alone, then the others in parallel: of two runs that start together, one gets all
    locks. A host that is unreachable and not `needed` is left out, and reported. Raises LockHeld,
    with all locks released.
    """
    sessions.start(hosts)
    held: list[str] = []

    def take(name: str) -> None:
        try:
            lock.acquire(sessions.session(name), owner, stale=stale, trial=trial)
            held.append(name)
        except RemoteError as error:
            if name in needed:
                raise LockHeld(f"{name} cannot be locked: {error}") from None
            report(name, f"not reached, so not locked: {error}")

    try:
        for at_once in (hosts[:1], hosts[1:]):
            _on_all_hosts(take, at_once)
    except BaseException:
        release_all(sessions, held, owner)
        raise
    return [name for name in hosts if name in held]


def _on_all_hosts(action: Callable[[str], None], names: Sequence[str]) -> None:
    """Call it for all hosts in parallel, and wait for all. Raises the first one's exception."""
    if names:
        with ThreadPoolExecutor(len(names)) as pool:
            begun = [pool.submit(action, name) for name in names]
        for one in begun:
            one.result()


def release_all(sessions: SessionPool, hosts: Iterable[str], owner: Owner) -> list[str]:
    """Release the locks; returns the hosts on which that failed."""
    left: list[str] = []

    def release(name: str) -> None:
        try:
            sessions.on_session(
                name, lambda session: lock.release(session, owner), lost=RemoteError
            )
        except RemoteError:
            left.append(name)

    _on_all_hosts(release, list(hosts))
    return left
