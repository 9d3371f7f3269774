"""Logins of an operator's run: which hosts our connection knows, and when it begins to dial.

Little is imported here, so that a run can dial first and import what it needs meanwhile.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hale import ssh
from hale.gather import transports
from hale.inventory import ini, selection
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost
from hale.paths import ROOT

# Seconds for a login. More than an audit waits: a host that is busy is not off, and a run that
# changes hosts must not end half-way for it.
LOGIN_TIMEOUT = 15.0

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


def targets(known: Inventory, timeout: float = LOGIN_TIMEOUT) -> dict[str, ssh.Target]:
    """How each host is reached by what the inventory says; `timeout` of a login in seconds."""
    return {h.name: transports.target_of(h, connect_timeout=timeout) for h in known.hosts}


def register_targets(known: Inventory, timeout: float = LOGIN_TIMEOUT) -> None:
    """Make the inventory's hosts known to our connection; `timeout` as above."""
    ssh.TARGETS.update(targets(known, timeout))


def targets_for_options(
    chosen: Iterable[SelectedHost], option: Any, password: str | None = None
) -> dict[str, ssh.Target]:
    """How each host is reached by pytest's options too; `password`: what sudo wants."""
    return {
        c.host.name: transports.target_of(
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


def preconnect_for_options(option: Any) -> None:
    """Begin the logins that pytest's options ask for. Raises HaleError."""
    known = ini.load_inventory(Path(option.inventory or ROOT / "inventory.ini"))
    found = targets_for_options(selection.select_hosts(option.hosts, known, lambda uri: ()), option)
    ssh.TARGETS.update(found)
    for name in found:
        ssh.session_for(name).start()


def preconnect(path: Path | None, hosts: str) -> None:
    """Begin the logins that an audit in this process will use: they take as long as its imports.

    One that is begun is left as it is: a command says this before it imports what says it too.
    Raises HaleError for what is wrong with the inventory or the words for the hosts.
    """
    known = ini.load_inventory(path or ROOT / "inventory.ini")
    register_targets(known)
    for chosen in selection.select_hosts(hosts, known, lambda uri: ()):
        ssh.session_for(chosen.host.name).start()
