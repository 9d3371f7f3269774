"""Two operators type in one checkout, and one of them drills; pairs without a drill are in
tests/apply/test_two_at_once.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.apply import lock
from hale.drill import journal
from tests.apply.pairs import EXPECTED, LOCK, READ, Command, Desk, Pair, ended
from tests.cluster.cluster_fixture import UNTIL_STALE, Built
from tests.cluster.test_drills import nothing_left

pytestmark = pytest.mark.soak
HOST, FIRST = "k8s-node-01", "k8s-master-01"
# How each command that reads ends alone, on a host prepared for a fix.
ALONE = {Command.AUDIT: 1, Command.PLAN: 0, Command.INSTALL_PLAN: 0}


@pytest.fixture
def desk(cluster: Built, tmp_path: Path) -> Iterator[Desk]:
    """Reports of its own: those of the cluster have installs. A killed command leaves its locks."""
    yield Desk(tmp_path / "reports", cluster.inventory, cluster.lab[HOST])
    for host in cluster.lab.hosts:
        host.run(UNTIL_STALE, timeout=90)
        host.run(f"rm -f {lock.PATH}")


def test_a_drill_keeps_all_others_off(cluster: Built, desk: Desk) -> None:
    """Those that change hosts; and is then carried out itself."""
    with desk.prepared(Command.FIX, Command.UNDO):
        with desk.holding(Command.DRILL) as running:
            for second in (*READ, *LOCK):
                pair = Pair(Command.DRILL, second)
                desk.try_second(pair, running, first_host=FIRST, alone=ALONE.get(second, 0))
        found = ended(running)
    (history,) = journal.load_drills(desk.reports)
    assert history.end is not None, found.output
    assert history.end.state is journal.DrillState.FINISHED, found.output
    nothing_left(cluster)


@pytest.mark.parametrize("first", [Command.FIX, Command.UNDO, Command.INSTALL])
def test_no_fault_is_injected_while_another_has_the_locks(desk: Desk, first: Command) -> None:
    """A confirm is not among them: a host of a cluster is never on trial."""
    with desk.prepared(first):
        with desk.holding(first) as running:
            desk.try_second(Pair(first, Command.DRILL), running, first_host=FIRST, alone=0)
        found = ended(running)
        assert found.status == 0, found.output
        assert desk.is_done(first)


def test_no_fault_is_injected_during_a_reset_nor_after_a_killed_one(
    cluster: Built, desk: Desk
) -> None:
    with desk.holding(Command.RESET) as running:
        desk.try_second(Pair(Command.RESET, Command.DRILL), running, first_host=FIRST, alone=0)
        running.kill()
        ended(running)
    for host in cluster.lab.hosts:
        host.run(UNTIL_STALE, timeout=90)
    tried = ended(desk.start(Command.DRILL))
    assert tried.status == 1, tried.output
    held = desk.refusal(EXPECTED[Command.RESET][Command.DRILL], Command.RESET, FIRST)
    assert re.search(rf"{held}.*--force-unlock", tried.output, re.DOTALL), tried.output
