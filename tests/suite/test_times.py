"""What a run tells of its time: which worker did what when, and which groups waited."""

from types import SimpleNamespace

import pytest

from tests.times import WAITED, Stretch, stretches_of, waited


def report(
    nodeid: str, worker: str, start: float, stop: float, when: str = "call", wait: float = 0.0
) -> pytest.TestReport:
    made = pytest.TestReport(
        nodeid, (nodeid, 1, nodeid), {}, "passed", None, when,  # type: ignore[arg-type]
        user_properties=[(WAITED, wait)], duration=stop - start, start=start, stop=stop,
    )  # fmt: skip
    if worker:
        made.node = SimpleNamespace(gateway=SimpleNamespace(id=worker))  # type: ignore[attr-defined]
    return made


def test_each_workers_groups_in_their_order() -> None:
    found = stretches_of(
        [
            report("faults/test_b.py::test_it", "gw1", 130, 140),
            report("cluster/test_a.py::test_it", "gw0", 100, 110, "setup"),
            report("cluster/test_a.py::test_it", "gw0", 110, 160),
            report("facts/test_a.py::test_it", "gw1", 101, 102),
            report("faults/test_a.py::test_it", "gw1", 103, 128, "setup", 20.5),
            report("faults/test_a.py::test_it", "gw1", 128, 129, "call", 20.5),
            report("facts/test_b.py::test_it", "gw0", 161, 162),
            report("facts/test_c.py::test_its_worker_died", "gw1", 0, 0, "???"),
        ]
    )
    assert found == [
        Stretch("gw0", "cluster", 0, 60, 0),
        Stretch("gw0", "facts", 61, 62, 0),
        Stretch("gw1", "facts", 1, 2, 0),
        Stretch("gw1", "faults", 3, 40, 20.5),
    ]
    assert str(found[0]) == "gw0        0 -     60 s  cluster"
    assert str(found[3]) == "gw1        3 -     40 s  faults, 20 s of it waiting"


def test_without_workers_there_is_nothing_to_tell() -> None:
    assert stretches_of([report("facts/test_a.py::test_it", "", 0, 1)]) == []


def test_a_wait_is_the_setups_alone() -> None:
    """Each report of a test has the property."""
    assert [waited(report("a/b.py::c", "", 0, 9, when, 5)) for when in ("setup", "call")] == [5, 0]
