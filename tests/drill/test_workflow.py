"""A drill's own course, without a host."""

from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest

from hale.apply.cluster_lock import HostLocks
from hale.apply.lock import Owner
from hale.drill import cluster_audit, experiment
from hale.drill.experiment import DrillRun
from hale.drill.fault import Fault
from hale.drill.journal import SCHEMA, DrillHeader, DrillJournal
from hale.drill.live_view import LiveView
from hale.inventory import ini
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.ssh import SessionPool, Target


def test_an_audit_that_cannot_be_written_counts_as_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cluster_audit, "audit_cluster", full)
    monkeypatch.setattr(cluster_audit, "HEALTH_TIMEOUT", 0.0)
    monkeypatch.setattr(cluster_audit, "POLL_INTERVAL", 0.01)
    known = ini.load_inventory(ROOT / "inventory.ini")
    failures, judged = cluster_audit.wait_until_healthy(known, {}, tmp_path)
    assert failures == ["[Errno 28] No space left on device"]
    assert judged is None


class Sampler:
    """Stands for a loop on a host."""

    stopped: ClassVar[list[str]] = []

    def __init__(self, target: Target, name: str, script: str) -> None:
        self.name, self.record = name, b"0 0 ok\n" * 1000

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped.append(self.name)


@pytest.mark.parametrize("trouble", ["no folder", "no file"])
def test_records_that_cannot_be_written_end_the_drill_as_a_failure_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Its runner then reverts the fault, and all loops on the hosts have ended."""
    known = ini.load_inventory(ROOT / "inventory.ini")
    master = known.masters[0].name
    folder = tmp_path / "etcd"
    if trouble == "no folder":
        folder.write_text("")
    else:
        (folder / "client.txt" / "full").mkdir(parents=True)
    monkeypatch.setattr(experiment, "RemoteSampler", Sampler)
    monkeypatch.setattr(DrillRun, "_run_phases", lambda self: None)
    Sampler.stopped.clear()
    owner = Owner("op", "here", "2026-drill", "t")
    book = DrillJournal(tmp_path, DrillHeader(SCHEMA, owner, "/inv", (FaultKind.ETCD,), False))
    run = DrillRun(
        inventory=known,
        locks=HostLocks(SessionPool({master: Target(master)}), owner, []),
        folder=folder,
        fault=Fault(FaultKind.ETCD, master),
        client=master,
        watcher=master,
        replicas=0,
        power=None,
        journal=book,
        view=LiveView(),
    )
    with pytest.raises(UserError, match=str(folder)):
        run.run()
    assert Sampler.stopped == ["client", "etcd", "api"]
    book.close()
