"""The ssh sessions of one piece of work: one for each host, begun when it is first used."""

from typing import Self

from hale import ssh
from hale.gather.transports import SshTransport
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost
from hale.ssh import preconnect


class SessionPool:
    """Sessions to the inventory's hosts, which `close` ends. Use it as a context manager.

    connect_timeout: seconds that a login may take.
    """

    def __init__(self, known: Inventory, connect_timeout: float = preconnect.LOGIN_TIMEOUT) -> None:
        self.targets = preconnect.targets(known, connect_timeout)
        self._sessions: dict[str, ssh.Session] = {}

    def session(self, name: str) -> ssh.Session:
        """The host's session. Raises KeyError for a name that is not in the inventory."""
        if name not in self._sessions:
            self._sessions[name] = ssh.Session(self.targets[name])
        return self._sessions[name]

    def transport(self, selected: SelectedHost) -> SshTransport:
        """The way to a host that an audit takes."""
        name = selected.host.name
        return SshTransport(self.session(name), self.targets[name])

    def close(self) -> None:
        """End every session."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            session.begin_close()
        for session in sessions:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shared_transport(selected: SelectedHost) -> SshTransport:
    """The way to a host over the session that this process shares (ssh.session_for)."""
    name = selected.host.name
    return SshTransport(ssh.session_for(name), ssh.TARGETS[name])
