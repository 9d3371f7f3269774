"""The sessions of one command: one for each host, opened when it is first used."""

import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Self, TypeVar

from hale.ssh.session import Session
from hale.ssh.target import HostUnreachable, RemoteError, Target

T = TypeVar("T")


class UnknownHost(LookupError):
    """A name that is not in the inventory."""


class SessionPool:
    """The only sessions to its hosts, for everything that a command does there. Thread-safe.

    A command makes one, passes it down, and closes it by leaving its context. Whoever needs logins
    of its own (hosts that lose their power, a command that must not wait for another one) makes a
    second pool of the same `targets`.

    targets: how each host is reached, by name.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self.targets: Mapping[str, Target] = MappingProxyType(dict(targets))
        self._lock = threading.Lock()
        self._shared: dict[str, Session] = {}
        self._closing: list[Session] = []

    def target(self, name: str) -> Target:
        """How this host is reached. Raises UnknownHost."""
        if name not in self.targets:
            known = ", ".join(sorted(self.targets)) or "none"
            raise UnknownHost(f"no host {name!r} in the inventory. Known hosts: {known}.")
        return self.targets[name]

    def session(self, name: str) -> Session:
        """The shared session of this host; the first use creates it. Raises UnknownHost."""
        with self._lock:
            if name not in self._shared:
                self._shared[name] = Session(self.target(name))
            return self._shared[name]

    def renew(self, name: str) -> Session:
        """A new shared session of a host whose session was lost. Raises UnknownHost."""
        with self._lock:
            if name in self._shared:
                self._closing.append(self._shared.pop(name))
        return self.session(name)

    def start(self, names: Iterable[str]) -> None:
        """Start to log in to these hosts and return at once. Raises UnknownHost.

        A login that has started is left as it is.
        """
        for name in names:
            self.session(name).start()

    def on_session(
        self, name: str, action: Callable[[Session], T], lost: type[RemoteError] = HostUnreachable
    ) -> T:
        """The action's result over the host's session; if that was lost, once more over a new one.

        For what may be repeated: the first attempt may have reached the host. lost: which errors
        are worth the second attempt. Raises RemoteError of the second attempt.
        """
        try:
            return action(self.session(name))
        except lost:
            session = Session(self.target(name))
            try:
                return action(session)
            finally:
                session.close()

    def begin_close(self) -> None:
        """As `close`, without waiting for the hosts."""
        with self._lock:
            begun = list(self._shared.values())
            self._shared.clear()
            self._closing.extend(begun)
        for session in begun:
            session.begin_close()

    def close(self) -> None:
        """Close every session; `session` then makes new ones."""
        self.begin_close()
        with self._lock:
            closing = self._closing.copy()
            self._closing.clear()
        for session in closing:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
