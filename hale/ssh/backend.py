"""testinfra's backend over the connection: `hale://NAME`, NAME being a host of the inventory."""

from typing import Any

import testinfra.backend
from testinfra.backend.base import (
    BaseBackend,
    CommandResult,
)

from hale.ssh.pool import SessionPool
from hale.ssh.target import Target

#: How to reach each host, by name; filled from the inventory.
TARGETS: dict[str, Target] = {}
#: The sessions of commands that are not yet passed a pool of their own.
SHARED = SessionPool(TARGETS)

session_for = SHARED.session
on_session = SHARED.on_session
begin_close_sessions = SHARED.begin_close
close_sessions = SHARED.close


def register() -> None:
    """Register `hale://` with testinfra; needed before it resolves its --hosts option."""
    testinfra.backend.BACKENDS[HaleBackend.NAME] = f"{__name__}.{HaleBackend.__name__}"


class HaleBackend(BaseBackend):
    """testinfra's backend for hosts of the inventory.

    Differences from `ssh://`: a command accepts a `timeout` in seconds (60), exit status 255
    is not special, and text is UTF-8, without running a Python on the host to find out. Errors of
    the connection are Session's.
    """

    NAME = "hale"

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.name = name
        session_for(name)  # raises UnknownHost early

    def get_pytest_id(self) -> str:
        return self.name

    def get_encoding(self) -> str:
        return "UTF-8"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        text = self.get_command(command, *args)
        done = session_for(self.name).run(text, timeout=kwargs.get("timeout", 60.0))
        return self.result(done.exit_status, self.encode(text), done.stdout, done.stderr)
