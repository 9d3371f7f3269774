"""The connection: one OpenSSH client a host, kept open and used by every command.

    TARGETS["k8s-master-01"] = Target(name="k8s-master-01", address="10.208.1.191", become=True)
    register()
    testinfra.get_host("hale://k8s-master-01").file("/etc/fstab").exists

`Session` is the connection; `HaleBackend` lets testinfra's modules use it. A host that cannot be
used raises `HostUnreachable` (or its subclasses `BecomeFailed` and `ConnectionLost`); a command
that exceeds its limits raises `CommandTimeout` or `OutputTooLarge`. An exit status is never an
error here.
"""

from hale.ssh.backend import (
    SHARED,
    TARGETS,
    HaleBackend,
    begin_close_sessions,
    close_sessions,
    on_session,
    register,
    session_for,
)
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
    "SHARED",
    "TARGETS",
    "BecomeFailed",
    "CommandResult",
    "CommandTimeout",
    "ConnectionLost",
    "HaleBackend",
    "HostUnreachable",
    "OutputTooLarge",
    "RemoteError",
    "Session",
    "SessionPool",
    "Target",
    "UnknownHost",
    "begin_close_sessions",
    "close_sessions",
    "on_session",
    "register",
    "session_for",
]
