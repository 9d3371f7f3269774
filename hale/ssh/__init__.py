"""The connection: one OpenSSH client a host, kept open and used by every command.

    target = Target(name="k8s-master-01", address="10.208.1.191", become=True)
    with SessionPool({target.name: target}) as sessions:
        sessions.session("k8s-master-01").run("swapon --show").stdout

`Session` is the connection, and `SessionPool` has those of a command. A host that cannot be used
raises `HostUnreachable` (or its subclasses `BecomeFailed` and `ConnectionLost`); a command
that exceeds its limits raises `CommandTimeout` or `OutputTooLarge`. An exit status is never an
error here.
"""

from hale.ssh.pool import SessionPool, UnknownHost
from hale.ssh.session import OUTPUT_LIMIT, Session
from hale.ssh.target import (
    BecomeFailed,
    CommandResult,
    CommandTimeout,
    ConnectionLost,
    HostUnreachable,
    OutputTooLarge,
    RemoteError,
    Target,
)

__all__ = [
    "OUTPUT_LIMIT",
    "BecomeFailed",
    "CommandResult",
    "CommandTimeout",
    "ConnectionLost",
    "HostUnreachable",
    "OutputTooLarge",
    "RemoteError",
    "Session",
    "SessionPool",
    "Target",
    "UnknownHost",
]
