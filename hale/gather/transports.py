"""The ways to reach a host: our own connection, and every backend of testinfra."""

import threading
from collections.abc import Callable
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host as TestinfraHost

from hale.gather import RawResponse
from hale.gather.request import encode_for_login_shell
from hale.inventory.selection import SelectedHost
from hale.ssh import CommandTimeout, HostUnreachable, OutputTooLarge, Session, SessionPool
from hale.ssh.session import describe_command


def over_ssh(sessions: SessionPool) -> Callable[[SelectedHost], "SshTransport"]:
    """The transport to each host of the inventory: over the pool's session to it."""
    return lambda selected: SshTransport(sessions.session(selected.host.name))


class SshTransport:
    """Our own connection."""

    name = "hale"

    def __init__(self, session: Session) -> None:
        self._session = session

    def run_script(self, script: str, timeout: float) -> RawResponse:
        """Run it over the host's only connection; probes have timeouts of their own."""
        target = self._session.target
        address = target.address or target.name
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
            sent=done.began,
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
