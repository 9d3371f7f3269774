"""Every fault of a cluster: exactly its rows turn, for its reason, and no other row of any host."""

import os
import random
import time
from collections.abc import Iterator

import pytest

from hale.paths import ROOT
from hale.standard import loader
from tests.cluster.built import Built
from tests.cluster.faults.fault import ClusterFault
from tests.cluster.faults.table import FAULTS
from tests.cluster.standing import Standing
from tests.faults import audit
from tests.faults.proofs import Proofs, page
from tests.faults.table import EVERY

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


@pytest.mark.parametrize("fault", drawn(), ids=slug)
def test_fault(fault: ClusterFault, standing: Standing, proofs: Proofs) -> None:
    standing.prove(fault)
    proofs.add(fault)


@pytest.mark.usefixtures("cluster")  # so that it comes after the faults (tests/conftest.py)
def test_the_page_is_what_was_proven(proofs: Proofs) -> None:
    """docs/proofs.md has the same table; what stands there of hosts, tests/faults has proven."""
    missing = [fault.name for fault in FAULTS if fault.name not in proofs.seen]
    if missing:
        pytest.skip(f"this run proved {len(proofs.seen)} of {len(FAULTS)} faults: run `make soak`")
    text = page(loader.load_standard(ROOT / "standard").requirements, (*EVERY, *FAULTS))
    assert (ROOT / "docs" / "proofs.md").read_text() == text, "run all of tests/faults, commit it"
