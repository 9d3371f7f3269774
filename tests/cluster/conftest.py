"""One HA cluster for all tests that need one, built by `invoke install` on a lab of its own."""

import os
from collections.abc import Generator, Iterator

import pytest

from lab import machine, mirror
from lab.machine import Lab
from tests.cluster.cluster_fixture import DNF, Built, Sampler

# The name of a lab that is up, supplied and installed, to be used as it is during development.
REUSED = os.environ.get("HALE_CLUSTER_LAB")
# What a test that failed may have left: the next one is not to fail of it (_settled).
FAILED = pytest.StashKey[bool]()
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, in a first try too."""
    report = yield
    if call.excinfo and not report.skipped:
        item.config.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _settled(request: pytest.FixtureRequest) -> None:
    """The cluster is whole and healthy when a test begins, its second try too.

    After a failure, hosts that it left without their part of the cluster are installed again: one
    failure is one, and not that of all tests after it.
    """
    if "cluster" not in request.fixturenames or request.path.name == "test_taken_off.py":
        return
    made: Built = request.getfixturevalue("cluster")
    failed = request.config.stash.get(FAILED, False)
    request.config.stash[FAILED] = False
    if failed and not made.whole:
        done = made.install("--fix", "--force-unlock")
        print(done.stdout[-4000:], done.stderr[-2000:])
    made.settle()
