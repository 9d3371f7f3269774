"""Sessions for phases that run in parallel: none waits for another's command on a host."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hale.ssh import Session, SessionPool

SessionFor = Callable[[str], Session]  # a host's name -> the connection to use there


class SessionLeases:
    """Leases each phase a session of its own to each host that it uses.

    The first session to a host is the pool's; more are opened on demand and reused.
    """

    def __init__(self, shared: SessionPool) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._made: dict[str, list[Session]] = {}
        self._idle: dict[str, list[Session]] = {}

    @contextmanager
    def lease(self) -> Iterator[SessionFor]:
        """Lease sessions while the context is open. The function may be called from any thread."""
        mine: dict[str, Session] = {}

        def of(host: str) -> Session:
            with self._lock:
                if host not in mine:
                    idle = self._idle.get(host)
                    mine[host] = idle.pop() if idle else self._new(host)
                return mine[host]

        try:
            yield of
        finally:
            with self._lock:
                for host, session in mine.items():
                    self._idle.setdefault(host, []).append(session)

    def _new(self, host: str) -> Session:  # with the lock
        made = self._made.setdefault(host, [])
        shared = self._shared
        made.append(Session(shared.target(host)) if made else shared.session(host))
        return made[-1]

    def begin_close(self) -> None:
        """Close all but the pool's sessions, and kill what runs over them. Does not wait."""
        with self._lock:
            for made in self._made.values():
                for session in made[1:]:
                    session.begin_close()
