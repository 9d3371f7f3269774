"""The connection: one OpenSSH client a host, kept open, that every command goes through.

    TARGETS["k8s-master-01"] = Target(name="k8s-master-01", address="10.208.1.191", become=True)
    register()
    testinfra.get_host("hale://k8s-master-01").file("/etc/fstab").exists

`Session` is the connection itself, `HaleBackend` lets testinfra's modules use it. What a host
cannot do raises `HostDown` (with `SudoRefused` and `ConnectionLost`), what a command does wrong
`CommandTimeout` or `OutputTooLarge`; an exit status, whichever, is never an error here.
"""

from hale.connection.backend import (
    TARGETS,
    HaleBackend,
    UnknownHost,
    begin_close_sessions,
    close_sessions,
    kept,
    register,
    session_for,
)
from hale.connection.session import OUTPUT_LIMIT, Session
from hale.connection.target import (
    CommandTimeout,
    Completed,
    ConnectionLost,
    HostDown,
    OutputTooLarge,
    SudoRefused,
    Target,
)

__all__ = [
    "OUTPUT_LIMIT",
    "TARGETS",
    "CommandTimeout",
    "Completed",
    "ConnectionLost",
    "HaleBackend",
    "HostDown",
    "OutputTooLarge",
    "Session",
    "SudoRefused",
    "Target",
    "UnknownHost",
    "begin_close_sessions",
    "close_sessions",
    "kept",
    "register",
    "session_for",
]
