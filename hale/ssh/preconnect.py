"""Early logins: which hosts a run may connect to, and the start of their connections.

This module imports little, so that a run can connect first and import the rest while it waits.
"""

from pathlib import Path
from typing import Any

from hale import ssh
from hale.inventory import ini, selection
from hale.inventory.ini import Inventory
from hale.paths import ROOT
from hale.ssh.inventory_targets import LOGIN_TIMEOUT, targets_for_options, targets_of


def register_targets(known: Inventory, timeout: float = LOGIN_TIMEOUT) -> None:
    """Register the inventory's hosts as targets of the connection; `timeout` as above."""
    ssh.TARGETS.update(targets_of(known, timeout))


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
