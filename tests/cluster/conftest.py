"""One HA cluster for all tests that need one, built by `invoke install` on a lab of its own."""

import os
from collections.abc import Iterator

import pytest

from lab import machine, mirror
from lab.machine import Lab
from tests.cluster.cluster_fixture import DNF, Built, Sampler

# The name of a lab that is up, supplied and installed, to be used as it is during development.
REUSED = os.environ.get("HALE_CLUSTER_LAB")
# Or build one: minutes of two cores, so only where it is asked for.
WANTED = os.environ.get("HALE_CLUSTER") or os.environ.get("HALE_SOAK")


@pytest.fixture(scope="package")  # it costs half a core: no other test runs beside it
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Five hosts with an HA cluster on them, healthy when the first test sees it.

    What breaks it has to mend it again. A test that takes it off puts it on again.
    """
    reports = tmp_path_factory.mktemp("cluster") / "reports"
    if REUSED:
        yield Built(Lab(REUSED), reports)
        return
    if not WANTED:
        pytest.skip("HALE_CLUSTER=1 builds a cluster for it, HALE_CLUSTER_LAB=NAME takes one")
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}-cluster") as lab:
        mirror.start_mirror(lab, lambda line: print(line, flush=True), dnf=[lab[DNF]])
        made = Built(lab, reports)
        with Sampler(made) as sampled:
            done = made.install("--fix")
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
        made.first, made.sampled = done, sampled
        yield made
