"""No test of this folder contacts a host: the addresses of its inventories belong to none."""

import pytest


@pytest.fixture(autouse=True)
def _no_host_is_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    def session(target: object) -> None:
        pytest.fail(f"a session to {target}")

    monkeypatch.setattr("hale.ssh.pool.Session", session)
    monkeypatch.setattr("hale.install.session_leases.Session", session)
