"""testinfra's backend over the connection: `hale://NAME`, NAME being a host of the inventory."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import testinfra.backend
from testinfra.backend.base import (
    BaseBackend,
    CommandResult,
)

from hale.ssh.session import Session
from hale.ssh.target import HostUnreachable, RemoteError, Target

#: How to reach each host, by name; filled from the inventory.
TARGETS: dict[str, Target] = {}

_sessions: dict[str, Session] = {}
_closing: list[Session] = []
_lock = threading.Lock()


T = TypeVar("T")


class UnknownHost(LookupError):
    """A name that is not in the inventory."""


def session_for(name: str) -> Session:
    """The shared session of this host; the first use creates it.

    Raises UnknownHost if TARGETS has no such name.
    """
    with _lock:
        if name not in _sessions:
            if name not in TARGETS:
                known = ", ".join(sorted(TARGETS)) or "none"
                raise UnknownHost(f"no host {name!r} in the inventory. Known hosts: {known}.")
            _sessions[name] = Session(TARGETS[name])
        return _sessions[name]


def on_session(
    name: str, action: Callable[[Session], T], lost: type[RemoteError] = HostUnreachable
) -> T:
    """The action's result over the host's session; if that was lost, once more over a new one.

    For what may be repeated: the first attempt may have reached the host. lost: which errors are
    worth the second attempt. Raises RemoteError of the second attempt.
    """
    try:
        return action(session_for(name))
    except lost:
        session = Session(TARGETS[name])
        try:
            return action(session)
        finally:
            session.close()


def begin_close_sessions() -> None:
    """As `close_sessions`, without waiting for the hosts."""
    with _lock:
        begun = list(_sessions.values())
        _sessions.clear()
        _closing.extend(begun)
    for session in begun:
        session.begin_close()


def close_sessions() -> None:
    """Close every shared session; `session_for` then makes new ones."""
    begin_close_sessions()
    with _lock:
        closing = _closing.copy()
        _closing.clear()
    for session in closing:
        session.close()


def register() -> None:
    """Register `hale://` with testinfra; needed before it resolves its --hosts option."""
    testinfra.backend.BACKENDS[HaleBackend.NAME] = f"{__name__}.{HaleBackend.__name__}"


class HaleBackend(BaseBackend):
    """testinfra's backend for hosts of the inventory.

    Differences from `ssh://`: a command accepts a `timeout` in seconds (60), exit status 255
    is not special, and text is UTF-8, without running a Python on the host to find out. Errors of
    the connection are Session's.
    """

    NAME = "hale"

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.name = name
        session_for(name)  # raises UnknownHost early

    def get_pytest_id(self) -> str:
        return self.name

    def get_encoding(self) -> str:
        return "UTF-8"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        text = self.get_command(command, *args)
        done = session_for(self.name).run(text, timeout=kwargs.get("timeout", 60.0))
        return self.result(done.exit_status, self.encode(text), done.stdout, done.stderr)
