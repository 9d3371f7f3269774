"""Two operators type in one checkout, with one reports folder, while one of them has the locks.

Pairs with a drill need a cluster: tests/cluster/test_during_a_drill.py. Those of commands that
contact no host are in tests/hostile/test_two_operators.py. `make soak` takes all pairs, other runs
one.
"""

import os
import random
import re
from collections.abc import Iterator, Sequence

import pytest

from tests.apply.compliant_lab import Ready
from tests.apply.invoke_cli import Operator
from tests.apply.pairs import EXPECTED, LOCK, PAIRS, READERS, Command, Desk, Outcome, Pair, ended

SEED = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
HOST, OTHER = "k8s-node-01", "k8s-node-02"
ON_LAB = [pair for pair in PAIRS if Command.DRILL not in pair]
DRAWN = random.Random(SEED).choice(ON_LAB)
#: How each command ends alone, on these hosts; an install has no packages here.
ALONE = {**dict.fromkeys(Command, 0), Command.INSTALL: 1}
#: What an install needs besides the lab's inventory; nothing is downloaded here.
CLUSTER = """
cluster_name=kubernetes
kubernetes_version=1.34.4
apt_repository="http://10.208.1.1/apt ./"
apt_key=key.asc
image_repository=10.208.1.1/k8s
pod_cidr=10.244.0.0/16
network_manifest=network.yaml
vrrp_id=51
"""
MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: net}
"""


def desk(operator: Operator, host: str, hosts: Sequence[str] = ()) -> Desk:
    """hosts: the only ones of the inventory; all of the lab, if there are none."""
    ready: Ready = operator.ready
    folder = operator.reports.parent / f"site-{host}"
    folder.mkdir()
    (folder / "key.asc").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    (folder / "network.yaml").write_text(MANIFEST)
    exempt = {h.name for h in ready.lab.hosts} - {*hosts} if hosts else set()
    lines = [x for x in ready.inventory.read_text().splitlines() if x.split(" ")[0] not in exempt]
    (folder / "inventory.ini").write_text("\n".join(lines) + CLUSTER)
    return Desk(operator.reports, folder / "inventory.ini", ready.lab[host])


@pytest.fixture
def mine(operator: Operator) -> Iterator[Desk]:
    yield desk(operator, HOST)
    assert not operator.ready.red(operator.ready.rows(HOST))


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, marks=() if pair == DRAWN else pytest.mark.soak, id="-".join(pair))
        for pair in ON_LAB
    ],
)
def test_the_second_of_a_pair(mine: Desk, pair: Pair) -> None:
    """It is refused, names who has the lock, and changes nothing; or it reads, and ends as alone.
    The first one ends as alone in either case.
    """
    first, second = pair
    with mine.prepared(*pair):
        with mine.holding(first) as running:
            mine.try_second(pair, running, first_host="k8s-master-01", alone=alone(second, pair))
        found = ended(running)
        assert "Traceback" not in found.output
        assert found.status == ALONE[first], found.output
        assert mine.is_done(first)
        assert mine.run("ls /var/lib/hale").split().count("lock") == 0


def alone(command: Command, pair: Pair) -> int:
    """The exit status of a command that reads, on a host prepared for the pair."""
    return int(command is Command.AUDIT and bool({Command.FIX, Command.PLAN} & {*pair}))


@pytest.mark.soak
@pytest.mark.parametrize("pair", READERS, ids="-".join)
def test_two_that_read(mine: Desk, pair: Pair) -> None:
    with mine.prepared(*pair):
        begun = [mine.start(command) for command in pair]
        for command, found in zip(pair, [ended(process) for process in begun], strict=True):
            assert found.status == alone(command, pair), found.output
            assert "Traceback" not in found.output
        assert not mine.runs()


@pytest.mark.soak
@pytest.mark.parametrize("command", [c for c in LOCK if c is not Command.DRILL])
def test_no_other_run_changes_hosts_on_trial(mine: Desk, command: Command) -> None:
    """Whoever types it, until the trial is confirmed; then it ends as alone."""
    with mine.prepared(command, Command.CONFIRM):
        begun = mine.runs()
        tried = ended(mine.start(command))
        assert tried.status == 1, tried.output
        assert re.search(mine.refusal(Outcome.ON_TRIAL, command, ""), tried.output), tried.output
        assert not mine.is_done(command)
        assert mine.runs() == begun
        assert ended(mine.start(Command.CONFIRM)).status == 0
        found = ended(mine.start(command))
        assert found.status == ALONE[command], found.output
        assert mine.is_done(command)


@pytest.mark.soak
@pytest.mark.parametrize("second", [Command.FIX, Command.UNDO, Command.CONFIRM])
@pytest.mark.parametrize("first", [Command.FIX, Command.UNDO, Command.CONFIRM])
def test_hosts_of_another_inventory_are_another_operators(
    operator: Operator, first: Command, second: Command
) -> None:
    """Neither waits for the other, and each changes the hosts of its own inventory alone."""
    one, other = (desk(operator, host, [host]) for host in (HOST, OTHER))
    with one.prepared(first), other.prepared(second):
        with one.holding(first) as running:
            tried = ended(other.start(second))
            assert tried.status == 0, tried.output
            assert other.is_done(second)
            assert not one.is_done(first)
        found = ended(running)
        assert found.status == 0, found.output
        assert one.is_done(first)
    for site in (one, other):
        assert not operator.ready.red(operator.ready.rows(site.host.name))


def test_the_table_has_every_pair_of_commands() -> None:
    """Each of the 45, in one order or in both."""
    pairs = {frozenset(pair) for pair in (*PAIRS, *READERS)}
    assert pairs == {frozenset((one, other)) for one in Command for other in Command}
    assert len(pairs) == 45
    assert {*EXPECTED} == {*LOCK, Command.CONFIRM}
