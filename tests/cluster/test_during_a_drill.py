"""Two operators at one cluster, while one of them drills: the pairs that a lab without one has not.

tests/apply/test_two_at_once.py has all other pairs, and says how they are typed.
"""

import re
from pathlib import Path

import pytest

from tests.apply.pairs import EXPECTED, Command, Desk, Outcome, ended
from tests.cluster.cluster_fixture import Built

HOST = "k8s-node-01"
MASTER = "k8s-master-01"

pytestmark = pytest.mark.soak("nine pairs, each with audits before a drill")


@pytest.fixture
def mine(cluster: Built, tmp_path: Path) -> Desk:
    """What a fix adds is there: `invoke install --fix` has added it."""
    return Desk(tmp_path / "reports", cluster.inventory, cluster.lab[HOST], added="")


def test_commands_during_a_drill(mine: Desk) -> None:
    """What reads ends as alone, and everything else is refused; the drill goes on."""
    seconds = EXPECTED[Command.DRILL]
    with mine.prepared(*seconds):
        with mine.holding(Command.DRILL) as running:
            begun = mine.runs()
            for second, outcome in seconds.items():
                tried = ended(mine.start(second))
                assert "Traceback" not in tried.output
                if outcome is Outcome.BESIDE:
                    assert tried.status == (second is Command.AUDIT), tried.output
                else:
                    assert tried.status == 1, tried.output
                    words = mine.refusal(outcome, Command.DRILL, MASTER)
                    assert re.search(words, tried.output), tried.output
                    assert not mine.is_done(second)
                assert mine.runs() == begun, second
                assert running.poll() is None
        found = ended(running)
        # Whether the VIP moved in time is test_drills.py's.
        assert found.status in (0, 1), found.output
        assert "Traceback" not in found.output
        assert mine.is_done(Command.DRILL)


def test_a_drill_while_a_run_is_confirmed_or_on_trial(mine: Desk) -> None:
    with mine.prepared(Command.CONFIRM):
        tried = ended(mine.start(Command.DRILL))
        assert tried.status == 1, tried.output
        assert f"no fault was injected: {HOST} has {mine.trial} on trial" in tried.output
        with mine.holding(Command.CONFIRM) as running:
            tried = ended(mine.start(Command.DRILL))
            assert tried.status == 1, tried.output
            words = mine.refusal(Outcome.NO_FAULT, Command.CONFIRM, MASTER)
            assert re.search(words, tried.output), tried.output
            assert not mine.is_done(Command.DRILL)
        assert ended(running).status == 0
