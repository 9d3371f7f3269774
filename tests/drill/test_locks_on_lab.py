"""On real hosts: a drill keeps the lock of a host that it switches off, and reverts under locks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.apply import lock
from hale.apply.cluster_lock import locks_held
from hale.apply.lock import LockHeld, Owner
from hale.drill import interrupted, revert, workflow
from hale.drill.journal import (
    SCHEMA,
    DrillEnd,
    DrillHeader,
    DrillJournal,
    DrillState,
    FaultInjected,
    load_drill,
)
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from lab.machine import Lab
from lab.power import LabPower

pytestmark = pytest.mark.lab
WORKER = "k8s-node-02"
LOGIN = LoginOptions(connect_timeout=60)
DRILL = Owner("me", "here", "1-drill", "2026-12-01T00:00:00Z")
OTHER = Owner("colleague", "there", "2-fix", "2026-12-01T00:01:00Z")
CUT = FaultInjected(FaultKind.WORKER, WORKER, False, "t")


@pytest.fixture
def known(lab: Lab) -> Iterator[Inventory]:
    yield ini.load_inventory(lab.inventory)
    lab[WORKER].power_on()
    lab[WORKER].run(f"rm -f {lock.PATH}")


@pytest.fixture
def sessions(known: Inventory) -> Iterator[SessionPool]:
    with SessionPool(targets_of(known, LOGIN)) as pool:
        yield pool


@pytest.fixture
def others(known: Inventory) -> Iterator[SessionPool]:
    """The sessions of a colleague."""
    with SessionPool(targets_of(known, LOGIN)) as pool:
        yield pool


def options(known: Inventory, reports: Path, lab: Lab) -> DrillOptions:
    return DrillOptions("", reports, known.path, power=LabPower(lab), login=LOGIN)


def journal_of(known: Inventory, reports: Path) -> DrillJournal:
    """Of a drill that has cut the worker's power."""
    folder = reports / DRILL.run
    folder.mkdir(parents=True)
    header = DrillHeader(SCHEMA, DRILL, str(known.path.resolve()), (FaultKind.WORKER,), False)
    book = DrillJournal(folder, header)
    book.write(CUT)
    return book


def quiet(*_: object) -> None:
    pass


def test_a_host_that_was_off_is_locked_again(
    lab: Lab, known: Inventory, sessions: SessionPool, others: SessionPool, tmp_path: Path
) -> None:
    book = journal_of(known, tmp_path)
    history = load_drill(book.path.parent)
    assert history is not None
    with locks_held(sessions, [WORKER], [WORKER], DRILL, stale=False, report=quiet) as locks:
        lab[WORKER].power_off()
        assert revert.revert_all(history, locks, LabPower(lab), book.write, quiet) == []
        with pytest.raises(LockHeld, match=r"run 1-drill\. That run is connected .*still conn"):
            lock.acquire(others.session(WORKER), OTHER, stale=True)
    lock.acquire(others.session(WORKER), OTHER, stale=False)  # it has gone with the drill
    lock.release(others.session(WORKER), OTHER)
    book.close()


def test_an_interrupted_drill_is_reverted_under_its_locks(
    lab: Lab, known: Inventory, others: SessionPool, tmp_path: Path
) -> None:
    """A colleague's run keeps it off; without one, the host that had no power keeps no lock."""
    journal_of(known, tmp_path).close()
    chosen = options(known, tmp_path, lab)
    with SessionPool(targets_of(known, LOGIN)) as killed:
        lock.acquire(killed.session(WORKER), DRILL, stale=False)
    first = known.hosts[0].name
    lock.acquire(others.session(first), OTHER, stale=False)
    with (
        SessionPool(targets_of(known, LOGIN)) as pool,
        pytest.raises(UserError, match=f"nothing of 1-drill was reverted: {first} is locked by"),
    ):
        interrupted.recover_interrupted(chosen, known, pool, LiveView())
    lock.release(others.session(first), OTHER)

    lab[WORKER].power_off()
    with SessionPool(targets_of(known, LoginOptions(connect_timeout=5))) as pool:
        assert interrupted.recover_interrupted(chosen, known, pool, LiveView())
    history = load_drill(tmp_path / DRILL.run)
    assert history is not None
    assert history.state is DrillState.REVERTED
    assert history.active_faults == []
    for host in known.hosts:
        lab[host.name].run(f"test ! -e {lock.PATH}")


def test_a_drill_that_runs_is_not_reverted_by_another_command(
    lab: Lab, known: Inventory, tmp_path: Path
) -> None:
    book = journal_of(known, tmp_path)
    with pytest.raises(UserError, match=r"1-drill of me on here runs since 2026-12-01T00:00:00Z"):
        workflow.revert_only(options(known, tmp_path, lab))
    book.write(DrillEnd(DrillState.FINISHED, "t"))
    book.close()
