"""How each host of the inventory is reached: Ansible's variables and pytest's options.

This module imports little, so that a run can log in first and import the rest while it waits.
"""

import getpass
import re
import shlex
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hale.inventory.ini import Host, Inventory, is_port
from hale.inventory.selection import SelectedHost
from hale.model.errors import UserError
from hale.ssh.target import Target

# Seconds for a login. Longer than in an audit: a busy host is not a dead one, and must not abort
# a run that changes hosts.
LOGIN_TIMEOUT = 20.0
TRUE = ("true", "yes", "1", "on", "y", "t")
FALSE = ("false", "no", "0", "off", "n", "f", "")
# Ansible's connection variables that we recognise, and the values we support.
SUPPORTED = {
    "ansible_connection": ("ssh", "smart", "paramiko", "paramiko_ssh", ""),
    "ansible_become_method": ("sudo", ""),
}


@dataclass(frozen=True)
class LoginOptions:
    """How a command logs in, beyond the inventory: pytest's options of the same names.

    become: on all hosts, whatever the inventory has. become_password: for sudo; only in memory.
    connect_timeout: seconds for a login, and again for sudo.
    """

    ssh_config: str | None = None
    identity_file: str | None = None
    become: bool = False
    become_password: str | None = field(default=None, repr=False)
    connect_timeout: float = LOGIN_TIMEOUT


def ask_become_password() -> str:
    """The hosts' sudo password, typed at the terminal without echo (getpass).

    Raises UserError without a terminal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be echoed
            return getpass.getpass("sudo password on the hosts: ")
    except (OSError, EOFError, getpass.GetPassWarning):
        raise UserError("--ask-become-pass needs a terminal to ask on.") from None


def target_of(
    host: Host,
    *,
    ssh_config: str | None = None,
    identity_file: str | None = None,
    become: bool = False,
    become_user: str | None = None,
    become_password: str | None = None,
    connect_timeout: float,
) -> Target:
    """How ssh reaches a host of the inventory, from Ansible's variables and pytest's options.

    Raises UserError, with file and line, for a value that is not supported.
    """
    port = host.get("ansible_port")
    if port and not is_port(port):
        raise _unsupported(host, "ansible_port", "is not a port (1 to 65535)")
    for name, known in SUPPORTED.items():
        if host.get(name) not in known:
            raise _unsupported(host, name, f"is not supported; use {known[0]}")
    if host.get("ansible_become").lower() not in TRUE + FALSE:
        raise _unsupported(host, "ansible_become", "is neither true nor false")
    if host.get("ansible_host_key_checking").lower() not in TRUE + FALSE:
        raise _unsupported(host, "ansible_host_key_checking", "is neither true nor false")
    for name in ("ansible_user", "ansible_become_user"):
        if host.get(name) and not _USER_NAME.fullmatch(host.get(name)):
            raise _unsupported(host, name, "is not the name of a user")
    if become_user and not _USER_NAME.fullmatch(become_user):
        raise UserError(f"{become_user!r} is not the name of a user.")
    arguments: list[str] = []
    for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        try:
            arguments += shlex.split(host.get(name))
        except ValueError as error:
            raise UserError(f"{name}: {error}.", host.variables[name].where) from None
    return Target(
        name=host.name,
        address=host.address,
        user=host.get("ansible_user") or None,
        port=int(port) if port else None,
        identity_file=host.get("ansible_ssh_private_key_file") or identity_file,
        ssh_config=ssh_config,
        ssh_args=tuple(arguments),
        become=become or host.get("ansible_become").lower() in TRUE,
        become_user=host.get("ansible_become_user") or become_user or "root",
        become_password=become_password,
        any_host_key=host.get("ansible_host_key_checking", "true").lower() in FALSE,
        connect_timeout=connect_timeout,
    )


# useradd(8)'s names, sudo(8)'s #UID, and user@domain. The host's login shell reads them, and so
# does ssh's configuration (%r in a ProxyCommand).
_USER_NAME = re.compile(r"[A-Za-z0-9_.#][A-Za-z0-9_.@+-]*")


def _unsupported(host: Host, name: str, why: str) -> UserError:
    return UserError(f"{name}={host.get(name)!r} {why}.", host.variables[name].where)


def targets_of(known: Inventory, login: LoginOptions | None = None) -> dict[str, Target]:
    """How a command reaches each host of the inventory. Raises UserError, as `target_of`."""
    login = login or LoginOptions()
    return {
        h.name: target_of(
            h,
            ssh_config=login.ssh_config,
            identity_file=login.identity_file,
            become=login.become,
            become_password=login.become_password,
            connect_timeout=login.connect_timeout,
        )
        for h in known.hosts
    }


def targets_for_options(
    chosen: Iterable[SelectedHost], option: Any, password: str | None = None
) -> dict[str, Target]:
    """How each host is reached, pytest's options included; `password`: for sudo.

    Hosts of a testinfra URI have none. Raises UserError, as `target_of`.
    """
    return {
        c.host.name: target_of(
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
