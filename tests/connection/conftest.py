"""Hosts for the connection's tests: real ones in the lab, and a pretended one without root."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hale.ssh import Session, Target
from lab.machine import Lab

from .lab_users import lab_users

FAKE_SSH = Path(__file__).with_name("fake_ssh")

Connect = Callable[..., Session]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes sessions and closes them when the test is over; a login has a minute."""
    sessions: list[Session] = []

    def make(name: str = "somehost", **how: Any) -> Session:
        how.setdefault("connect_timeout", 60.0)
        sessions.append(Session(Target(name=name, **how)))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a pretended `ssh` first in PATH; returns a folder for what a test needs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").symlink_to(FAKE_SSH)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.delenv("SSH_CLIENT", raising=False)
    return tmp_path


@pytest.fixture
def login_shell(fake_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives the pretended host a login shell of the test's own (a sh script)."""

    def use(script: str) -> None:
        shell = fake_ssh / "login-shell"
        shell.write_text("#!/bin/sh\n" + script)
        shell.chmod(0o755)
        monkeypatch.setenv("FAKE_LOGIN_SHELL", str(shell))

    return use


@pytest.fixture(scope="session")
def users(lab: Lab) -> Iterator[Lab]:
    """The lab, with login users of every kind on lab_users.HOST."""
    with lab_users(lab):
        yield lab
