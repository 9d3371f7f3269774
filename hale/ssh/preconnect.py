"""Early logins: which hosts a run may connect to, and the start of their connections.

This module imports little, so that a run can connect first and import the rest while it waits.
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

# Seconds for a login. Longer than in an audit: a busy host is not a dead one, and must not abort
# a run that changes hosts.
LOGIN_TIMEOUT = 15.0


def targets(known: Inventory, timeout: float = LOGIN_TIMEOUT) -> dict[str, ssh.Target]:
    """How each host is reached according to the inventory; `timeout` of a login in seconds."""
    return {h.name: transports.target_of(h, connect_timeout=timeout) for h in known.hosts}


def register_targets(known: Inventory, timeout: float = LOGIN_TIMEOUT) -> None:
    """Register the inventory's hosts as targets of the connection; `timeout` as above."""
    ssh.TARGETS.update(targets(known, timeout))


def targets_for_options(
    chosen: Iterable[SelectedHost], option: Any, password: str | None = None
) -> dict[str, ssh.Target]:
    """How each host is reached, pytest's options included; `password`: for sudo."""
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
    """Start the logins that pytest's options need. Raises UserError."""
    known = ini.load_inventory(Path(option.inventory or ROOT / "inventory.ini"))
    found = targets_for_options(selection.select_hosts(option.hosts, known, lambda uri: ()), option)
    ssh.TARGETS.update(found)
    for name in found:
        ssh.session_for(name).start()


def preconnect(known: Inventory, hosts: str) -> None:
    """Start the logins of an audit in this process: they take as long as its imports.

    A login that has started is left as it is, so this may be called more than once.
    Raises UserError for a mistake in the selection of hosts.
    """
    register_targets(known)
    for chosen in selection.select_hosts(hosts, known, lambda uri: ()):
        ssh.session_for(chosen.host.name).start()
