"""Every fault of a cluster: exactly its rows turn, for its reason, and no other row of any host."""

import os
import random
from collections.abc import Iterator

import pytest

from lab.faults.fault import slug
from tests.cluster.cluster_fixture import Built
from tests.cluster.fault_audit import Standing
from tests.cluster.faults.fault import ClusterFault
from tests.cluster.faults.table import FAULTS
from tests.faults import audit

# Without HALE_SOAK so many of them, drawn by HALE_SEED or the day.
SAMPLE = 8


@pytest.fixture(scope="module")
def standing(cluster: Built) -> Iterator[Standing]:
    """The cluster with all its rows before any fault."""
    engine = audit.Engine(cluster.inventory)
    found = Standing(cluster.lab, engine)
    found.begin()
    yield found
    engine.close()


def drawn() -> list[ClusterFault]:
    """All of them in a soak; else a sample, in the table's order."""
    if os.environ.get("HALE_SOAK"):
        return list(FAULTS)
    seed = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
    short = [fault for fault in FAULTS if not fault.soak]
    return sorted(random.Random(seed).sample(short, SAMPLE), key=FAULTS.index)


@pytest.mark.parametrize("fault", drawn(), ids=lambda f: slug(f.name))
def test_fault(fault: ClusterFault, standing: Standing) -> None:
    standing.prove(fault)
