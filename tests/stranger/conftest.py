"""A cluster that Hale did not build (lab/stranger), and the operator's commands on it."""

import os
from collections.abc import Iterator

import pytest

from lab import machine
from lab.machine import Lab
from tests.stranger.stranger_fixture import Stranger

# The name of a lab on which `invoke lab.stranger` has run, to be used as it is.
REUSED = os.environ.get("HALE_STRANGER_LAB")
WANTED = os.environ.get("HALE_CLUSTER") or os.environ.get("HALE_SOAK")


@pytest.fixture(scope="package")  # one lab at a time, and it costs half a core
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """The lab with the cluster on it; what a test has taken off is built again on demand."""
    reports = tmp_path_factory.mktemp("stranger") / "reports"
    if REUSED:
        yield Stranger(Lab(REUSED), reports)
        return
    if not WANTED:
        pytest.skip("HALE_CLUSTER=1 builds a cluster for it, HALE_STRANGER_LAB=NAME takes one")
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}-stranger") as lab:
        made = Stranger(lab, reports)
        made.spoiled = True  # there is none yet
        yield made


@pytest.fixture
def stranger(strangers: Stranger) -> Stranger:
    """The cluster, complete and healthy."""
    strangers.restore()
    return strangers
