"""The session pool of a pytest run, and testinfra's backend over it.

`hale://NAME` is a host of the inventory.
"""

from typing import Any, ClassVar

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

from hale.ssh import SessionPool

SESSIONS = pytest.StashKey[SessionPool]()


def register_backend() -> None:
    """Register `hale://` with testinfra; needed before it resolves its --hosts option."""
    testinfra.backend.BACKENDS[HaleBackend.NAME] = f"{__name__}.{HaleBackend.__name__}"


def adopt(config: pytest.Config, sessions: SessionPool) -> None:
    """Make this the pool of the run. It is closed when pytest ends, however that ends."""
    config.stash[SESSIONS] = sessions
    config.add_cleanup(sessions.close)
    HaleBackend.sessions = sessions


class HaleBackend(BaseBackend):
    """testinfra's backend for hosts of the inventory.

    Differences from `ssh://`: a command accepts a `timeout` in seconds (60), exit status 255
    is not special, and text is UTF-8, without running a Python on the host to find out. Errors of
    the connection are Session's.
    """

    NAME = "hale"

    # testinfra makes a backend from the words of its URI alone, in whatever thread, and keeps its
    # hosts for as long as the process lives. So only the class can say which pool is the run's.
    sessions: ClassVar[SessionPool] = SessionPool({})

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        self.name = name
        self.sessions.target(name)  # raises UnknownHost early

    def get_pytest_id(self) -> str:
        return self.name

    def get_encoding(self) -> str:
        return "UTF-8"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        text = self.get_command(command, *args)
        session = self.sessions.session(self.name)
        done = session.run(text, timeout=kwargs.get("timeout", 60.0))
        return self.result(done.exit_status, self.encode(text), done.stdout, done.stderr)
