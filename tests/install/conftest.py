"""No test of this folder contacts a host: the addresses of its inventories belong to none."""

from pathlib import Path

import pytest

from lab import machine
from lab.build import cache_root, open_cache
from lab.mirror import binaries, golang
from tests.install.made_up_phases import MadeUpInstall


@pytest.fixture(autouse=True)
def _no_host_is_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(target: object) -> None:
        pytest.fail(f"a session to {target}")

    monkeypatch.setattr("hale.ssh.pool.Session", session)
    monkeypatch.setattr("hale.install.session_leases.Session", session)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpInstall:
    """An install of phases that the test makes up."""
    return MadeUpInstall(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def containerd() -> Path:
    """The folder of the lab's containerd 2."""
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    with open_cache(cache_root() / "supply", lambda _: None) as building:
        return golang.build_module(building, binaries.CONTAINERD)
