"""A drill's own course, without a host."""

from pathlib import Path
from typing import Any, NoReturn

import pytest

from hale.drill import workflow
from hale.inventory import ini
from hale.paths import ROOT


def test_an_audit_that_cannot_be_written_counts_as_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workflow, "audit_cluster", full)
    monkeypatch.setattr(workflow, "HEALTH_TIMEOUT", 0.0)
    monkeypatch.setattr(workflow, "POLL_INTERVAL", 0.01)
    known = ini.load_inventory(ROOT / "inventory.ini")
    failures, judged = workflow.wait_until_healthy(known, {}, tmp_path)
    assert failures == ["[Errno 28] No space left on device"]
    assert judged is None
