"""The journal, and what is given back from one that was cut off."""

from pathlib import Path

import pytest

from hale.apply.cluster_lock import HostLocks
from hale.apply.lock import Owner
from hale.drill import actions, journal, revert
from hale.drill.actions import ActionFailed
from hale.drill.fault import Fault, PowerSwitch
from hale.drill.journal import (
    SCHEMA,
    DrillEnd,
    DrillHeader,
    DrillJournal,
    DrillState,
    Entry,
    FaultInjected,
    FaultReverted,
    SamplersStarted,
    WorkloadEvent,
)
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.ssh import SessionPool

HEADER = DrillHeader(
    SCHEMA, Owner("op", "here", "2026-drill", "t"), "/inv", (FaultKind.VIP,), False
)
VIP = FaultInjected(FaultKind.VIP, "m1", False, "t1")
MASTER = FaultInjected(FaultKind.MASTER, "m1", False, "t2")


def book(folder: Path, *entries: Entry) -> Path:
    folder.mkdir(exist_ok=True)
    writer = DrillJournal(folder, HEADER)
    for entry in entries:
        writer.write(entry)
    writer.close()
    return folder


def history_of(folder: Path) -> journal.DrillHistory:
    history = journal.load_drill(folder)
    assert history
    return history


def test_an_injected_fault_is_pending(tmp_path: Path) -> None:
    history = history_of(book(tmp_path / "a", VIP))
    assert history.active_faults == [VIP]
    assert history.end is None
    assert revert.remaining(history) == ["haproxy on the VIP owner m1 (injected at t1)"]


def test_a_reverted_fault_is_not_pending(tmp_path: Path) -> None:
    entries = (VIP, FaultReverted(FaultKind.VIP, "m1", "t"), MASTER)
    assert history_of(book(tmp_path / "a", *entries)).active_faults == [MASTER]


def test_the_last_taken_comes_back_first(tmp_path: Path) -> None:
    assert history_of(book(tmp_path / "a", VIP, MASTER)).active_faults == [MASTER, VIP]


def test_a_fault_that_was_injected_again_is_pending_again(tmp_path: Path) -> None:
    assert history_of(
        book(tmp_path / "a", VIP, FaultReverted(FaultKind.VIP, "m1", "t"), VIP)
    ).active_faults == [VIP]


def test_the_deployment_is_pending_until_it_is_deleted(tmp_path: Path) -> None:
    made, gone = WorkloadEvent("m2", False, "t"), WorkloadEvent("m2", True, "t")
    assert history_of(book(tmp_path / "a", made)).workload_host == "m2"
    assert history_of(book(tmp_path / "b", made, gone)).workload_host == ""
    assert history_of(book(tmp_path / "c")).workload_host == ""


def test_the_last_line_that_a_crash_cut_off_does_not_count(tmp_path: Path) -> None:
    folder = book(tmp_path / "a", VIP)
    path = folder / journal.NAME
    path.write_bytes(path.read_bytes() + b'{"type":"given","part":"vip","ho')
    assert history_of(folder).active_faults == [VIP]
    more = DrillJournal(folder, None)
    more.write(FaultReverted(FaultKind.VIP, "m1", "t"))
    more.close()
    assert history_of(folder).active_faults == []


def test_garbage_in_a_journal_is_an_error_with_its_line(tmp_path: Path) -> None:
    folder = book(tmp_path / "a", VIP)
    path = folder / journal.NAME
    path.write_bytes(path.read_bytes() + b'{"type":"take"}\n')
    with pytest.raises(UserError, match=f"{journal.NAME}:3"):
        journal.load_drill(folder)


def test_how_it_ended_keeps_its_saved_spelling(tmp_path: Path) -> None:
    for number, (state, saved) in enumerate(
        [
            (DrillState.FINISHED, "finished"),
            (DrillState.FAILED, "failed"),
            (DrillState.INTERRUPTED, "interrupted"),
            (DrillState.REVERTED, "restored"),
        ]
    ):
        folder = tmp_path / str(number)
        book(folder, DrillEnd(state, "t"))
        assert f'"state":"{saved}"' in (folder / journal.NAME).read_text()
        history = journal.load_drill(folder)
        assert history
        assert history.state is state


def test_a_journal_without_faults_leaves_nothing_to_revert(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / journal.NAME).write_bytes(b'{"type":"dri')
    assert journal.load_drill(tmp_path / "a") is None
    assert journal.unfinished(tmp_path, "/inv") == []


def test_only_interrupted_drills_of_this_inventory_are_unfinished(tmp_path: Path) -> None:
    book(tmp_path / "1", VIP)
    book(tmp_path / "2", VIP, DrillEnd(DrillState.FINISHED, "t"))
    book(tmp_path / "3", MASTER)
    assert [s.folder.name for s in journal.unfinished(tmp_path, "/inv")] == ["3", "1"]
    assert journal.unfinished(tmp_path, "/other") == []


def test_a_drill_that_goes_on_is_not_taken_for_one_that_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    writer = DrillJournal(tmp_path / "a", HEADER)
    writer.write(VIP)
    assert journal.unfinished(tmp_path, "/inv") == []
    assert len(journal.running(tmp_path, "/inv")) == 1
    assert journal.running(tmp_path, "/other") == []
    with pytest.raises(UserError, match="still in progress"):
        DrillJournal(tmp_path / "a", None)
    writer.close()
    assert len(journal.unfinished(tmp_path, "/inv")) == 1
    assert journal.running(tmp_path, "/inv") == []


class Hosts:
    """Stands where the hosts are reached, and keeps what would be done there."""

    def __init__(self, *broken: str) -> None:
        self.done: list[str] = []
        self.broken = broken

    def revert(self, _: SessionPool, outage: Fault, power: PowerSwitch | None) -> None:
        if outage.kind in self.broken:
            raise ActionFailed(f"{outage.host}: no route to host")
        self.done.append(f"give {outage.kind} {outage.host}")

    def lock_again(self, _: HostLocks, host: str) -> None:
        if "lock" in self.broken:
            raise ActionFailed(f"{host} is locked by another run")
        self.done.append(f"lock {host}")

    def delete_workload(self, _: SessionPool, master: str) -> None:
        self.done.append(f"clear {master}")

    def run_script(self, _: SessionPool, host: str, script: str, timeout: float = 0) -> str:
        self.done.append(f"{script.strip()} on {host}")
        return ""


def put_back(monkeypatch: pytest.MonkeyPatch, folder: Path, there: Hosts) -> list[str]:
    for name in ("revert", "lock_again", "delete_workload", "run_script"):
        monkeypatch.setattr(actions, name, getattr(there, name))
    writer = DrillJournal(folder, None)
    try:
        return revert.revert_all(
            history_of(folder),
            HostLocks(SessionPool({}), HEADER.owner, []),
            None,
            writer.write,
            lambda host, output: None,
        )
    finally:
        writer.close()


ALL = (
    SamplersStarted(("n1", "m2"), "t"),
    WorkloadEvent("m2", False, "t"),
    VIP,
    FaultReverted(FaultKind.VIP, "m1", "t"),
    MASTER,
)


def test_all_pending_faults_are_reverted_and_journaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, there = book(tmp_path / "a", *ALL), Hosts()
    assert put_back(monkeypatch, folder, there) == []
    assert there.done == [
        "give master m1",
        "lock m1",
        "clear m2",
        "rm -rf /run/hale-drill on n1",
        "rm -rf /run/hale-drill on m2",
    ]
    assert revert.remaining(history_of(folder)) == []


def test_a_fault_that_cannot_be_reverted_stays_pending_and_the_others_are_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, there = book(tmp_path / "a", *ALL), Hosts("master")
    assert put_back(monkeypatch, folder, there) == [
        "the control-plane node m1: m1: no route to host"
    ]
    assert "clear m2" in there.done
    assert history_of(folder).active_faults == [MASTER]


def test_a_fault_is_reverted_though_its_host_cannot_be_locked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, there = book(tmp_path / "a", *ALL), Hosts("lock")
    assert put_back(monkeypatch, folder, there) == []
    assert "clear m2" in there.done
    assert revert.remaining(history_of(folder)) == []


def test_a_full_disk_keeps_nothing_from_being_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, entry: Entry) -> None:
        raise UserError(f"No space left on device: {type(entry).__name__}")

    folder, there = book(tmp_path / "a", *ALL), Hosts()
    monkeypatch.setattr(DrillJournal, "write", full)
    with pytest.raises(UserError, match="No space left on device: FaultReverted"):
        put_back(monkeypatch, folder, there)
    assert there.done == [
        "give master m1",
        "lock m1",
        "clear m2",
        "rm -rf /run/hale-drill on n1",
        "rm -rf /run/hale-drill on m2",
    ]


def test_a_host_that_cannot_be_switched_on_here_is_reported() -> None:
    with pytest.raises(ActionFailed, match="powered on by its lab"):
        actions.revert(SessionPool({}), Fault(FaultKind.MASTER, "m1"), None)
