"""Logins of an operator's run: which hosts our connection knows, and when it begins to dial.

Little is imported here, so that a run can dial first and import what it needs meanwhile.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hale import connection, inventory, provenance, selection, transports
from hale.inventory import Inventory
from hale.selection import Chosen

# Seconds for a login. More than an audit waits: a host that is busy is not off, and a run that
# changes hosts must not end half-way for it.
PATIENCE = 15.0

# pytest's options that say who is dialled, and how.
OPTIONS = (
    "hosts",
    "inventory",
    "ssh_config",
    "ssh_identity_file",
    "sudo",
    "sudo_user",
    "ask_become_pass",
    "connect_timeout",
)


def targets(known: Inventory, timeout: float = PATIENCE) -> dict[str, connection.Target]:
    """How each host is reached by what the inventory says; `timeout` of a login in seconds."""
    return {h.name: transports.target(h, connect_timeout=timeout) for h in known.hosts}


def connect(known: Inventory, timeout: float = PATIENCE) -> None:
    """Make the inventory's hosts known to our connection; `timeout` as above."""
    connection.TARGETS.update(targets(known, timeout))


def asked_for(
    chosen: Iterable[Chosen], option: Any, password: str | None = None
) -> dict[str, connection.Target]:
    """How each host is reached by pytest's options too; `password`: what sudo wants."""
    return {
        c.host.name: transports.target(
            c.host,
            ssh_config=option.ssh_config,
            identity_file=option.ssh_identity_file,
            become=bool(option.sudo or option.ask_become_pass),
            become_user=option.sudo_user,
            become_password=password,
            connect_timeout=option.connect_timeout,
        )
        for c in chosen
        if not c.uri
    }


def dial(option: Any) -> None:
    """Begin the logins that pytest's options ask for. Raises HaleError."""
    known = inventory.load(Path(option.inventory or provenance.ROOT / "inventory.ini"))
    found = asked_for(selection.choose(option.hosts, known, lambda uri: ()), option)
    connection.TARGETS.update(found)
    for name in found:
        connection.session_for(name).start()


def begin(path: Path | None, hosts: str) -> None:
    """Begin the logins that an audit in this process will use: they take as long as its imports.

    One that is begun is left as it is: a command says this before it imports what says it too.
    Raises HaleError for what is wrong with the inventory or the words for the hosts.
    """
    known = inventory.load(path or provenance.ROOT / "inventory.ini")
    connect(known)
    for chosen in selection.choose(hosts, known, lambda uri: ()):
        connection.session_for(chosen.host.name).start()
