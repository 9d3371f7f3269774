"""Every fault of a cluster: exactly its rows turn, for its reason, and no other row of any host.

A living cluster takes its time: what a fault has turned is looked at until it is as the table
says, or time is up; so is the way back. Of rows that turn with no fault only the verdict counts,
because who leads and who holds the VIP moves about.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from hale import standard
from hale.provenance import ROOT
from hale.results import Row
from lab.errors import LabError
from tests.cluster.built import Built
from tests.cluster.faults.fault import ClusterFault, Steps
from tests.cluster.faults.table import FAULTS
from tests.cluster.standing import Standing
from tests.faults import audit
from tests.faults.audit import Rows
from tests.faults.proofs import Proofs, page
from tests.faults.table import EVERY

# Seconds for a fault to show everywhere, and for the cluster to be whole again after it: a kubelet
# whose apiserver hangs without its etcd starts that late (docs/drills.md, "Runbook: etcd").
SHOWS, MENDS = 45.0, 240.0
STEP = 120.0  # seconds for one step of it
# Without HALE_SOAK so many of them, drawn by HALE_SEED or the day.
SAMPLE = 8


@pytest.fixture(scope="module")
def standing(cluster: Built) -> Iterator[Standing]:
    """The cluster with all its rows before any fault."""
    engine = audit.Engine(cluster.inventory, connect_timeout=30)
    found = Standing(cluster.lab, engine)
    found.begin()
    yield found
    engine.close()


@pytest.fixture(scope="module")
def proofs() -> Proofs:
    """What the faults have proven so far in this run."""
    return Proofs()


def drawn() -> list[ClusterFault]:
    """All of them in a soak; else a sample, in the table's order."""
    if os.environ.get("HALE_SOAK"):
        return list(FAULTS)
    seed = os.environ.get("HALE_SEED") or time.strftime("%Y-%m-%d")
    return sorted(random.Random(seed).sample(FAULTS, SAMPLE), key=FAULTS.index)


def slug(fault: ClusterFault) -> str:
    """A test's id: the fault's name, typable."""
    return "".join(c if c.isalnum() else "-" for c in fault.name)


def done(standing: Standing, steps: Steps) -> list[str]:
    """Do them all, whatever one of them says; returns what went wrong."""
    wrong = []
    for host, script in steps:
        try:
            standing.lab[host].run(script, timeout=STEP)
        except (LabError, subprocess.TimeoutExpired) as error:
            wrong.append(f"{host}: {error}")
    return wrong


def until(patience: float, wrong: Callable[[], Iterable[str]]) -> list[str]:
    """Look until nothing is wrong, or time is up; returns what was wrong at the last look."""
    end = time.monotonic() + patience
    while True:
        found = list(wrong())
        if not found or time.monotonic() > end:
            return found


def trouble(fault: ClusterFault, before: Rows, after: Rows) -> list[str]:
    """What is not as the fault's table says."""
    found = [f"the audit has no {row}" for row in fault.rows if row not in before]
    for row, said in after.items():
        turn = fault.rows.get(row)
        if turn is None:
            if said.verdict != before[row].verdict and row not in fault.may_turn:
                found.append(f"{_named(row)} was {before[row]} and is {said}")
        elif turn.verdict != said.verdict or turn.says not in said.actual:
            found.append(f"{_named(row)} should be {turn.verdict} {turn.says!r} and is {said}")
        elif before[row] == said:
            found.append(f"{_named(row)} says what it said without the fault: {said}")
    return found


def _named(row: Row) -> str:
    return f"{row.requirement} {row.aspect} of {row.host}"


@pytest.mark.parametrize("fault", drawn(), ids=slug)
def test_fault(fault: ClusterFault, standing: Standing, proofs: Proofs) -> None:
    before = standing.before
    try:
        wrong = done(standing, fault.inject)
        if not wrong:
            wrong = until(SHOWS, lambda: trouble(fault, before, standing.look()))
    finally:
        left = done(standing, fault.undo)
    nothing = ClusterFault("nothing", fault.host, (), ())
    left += until(MENDS, lambda: trouble(nothing, before, standing.look()))
    assert not wrong, "\n".join(wrong)
    assert not left, "the undo left\n" + "\n".join(left)
    proofs.add(fault)


def test_the_page_is_what_was_proven(proofs: Proofs) -> None:
    """docs/proofs.md has the same table; what stands there of hosts, tests/faults has proven."""
    missing = [fault.name for fault in FAULTS if fault.name not in proofs.seen]
    if missing:
        pytest.skip(f"this run proved {len(proofs.seen)} of {len(FAULTS)} faults: run `make soak`")
    text = page(standard.load(ROOT / "standard").requirements, (*EVERY, *FAULTS))
    assert (ROOT / "docs" / "proofs.md").read_text() == text, "run all of tests/faults, commit it"
