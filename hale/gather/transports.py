"""The ways to reach a host: our own connection, and every backend of testinfra."""

import shlex
import threading
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host as TestinfraHost

from hale.gather import RawResponse
from hale.gather.request import encode_for_login_shell
from hale.inventory.ini import Host, is_port
from hale.model.errors import UserError
from hale.ssh import CommandTimeout, HostUnreachable, OutputTooLarge, Session, Target
from hale.ssh.session import describe_command

TRUE = ("true", "yes", "1", "on", "y", "t")
FALSE = ("false", "no", "0", "off", "n", "f", "")
# Ansible's connection variables that we recognise, and the values we support.
SUPPORTED = {
    "ansible_connection": ("ssh", "smart", "paramiko", "paramiko_ssh", ""),
    "ansible_become_method": ("sudo", ""),
}


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
        connect_timeout=connect_timeout,
    )


def _unsupported(host: Host, name: str, why: str) -> UserError:
    return UserError(f"{name}={host.get(name)!r} {why}.", host.variables[name].where)


class SshTransport:
    """Our own connection."""

    name = "hale"

    def __init__(self, session: Session, target: Target) -> None:
        self._session = session
        self._target = target

    def run_script(self, script: str, timeout: float) -> RawResponse:
        """Run it over the host's only connection; probes have timeouts of their own."""
        address = self._target.address or self._target.name
        try:
            done = self._session.run(script, timeout, simple=True)
        except (HostUnreachable, OutputTooLarge) as error:
            # The session quotes the script's first line, which means nothing to a person.
            why = str(error).replace(f"`{describe_command(script)}`", "hale's script")
            return RawResponse(unreachable=why, address=address)
        except CommandTimeout:
            return RawResponse(
                unreachable=f"the host did not finish answering within {timeout:g} s. "
                "Look for a stuck file system or command there, or raise --gather-timeout.",
                address=address,
            )
        return RawResponse(
            done.stdout,
            done.stderr,
            address=address,
            login_user=self._session.login_user or "",
            host_key=self._session.host_key or "",
        )


class TestinfraTransport:
    """A host of a testinfra backend: ssh://, local://, docker:// and so on. For reading only."""

    def __init__(self, host: TestinfraHost) -> None:
        self._host = host
        self.name: str = host.backend.get_connection_type()

    def run_script(self, script: str, timeout: float) -> RawResponse:
        """Run it through the backend, which has no timeout: a stuck thread is abandoned."""
        got: list[Any] = []

        def run() -> None:
            try:
                got.append(self._host.run(encode_for_login_shell(script)))
            except Exception as error:  # each backend has its own errors
                got.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(timeout)
        address = self._host.backend.get_pytest_id()
        if not got:
            return RawResponse(
                unreachable=f"no answer within {timeout:g} s over {address}.", address=address
            )
        if isinstance(got[0], Exception):
            return RawResponse(unreachable=f"{address}: {_error_text(got[0])}", address=address)
        result = got[0]
        return RawResponse(result.stdout_bytes, result.stderr_bytes, address=address)


def _error_text(error: Exception) -> str:
    """The error for a person; testinfra raises command results, with the command."""
    result = error.args[0] if error.args else None
    if isinstance(result, CommandResult):
        lines = result.stderr_bytes.decode(errors="backslashreplace").strip().splitlines()
        return lines[-1] if lines else f"exit status {result.rc}, without output"
    return str(error) or type(error).__name__
