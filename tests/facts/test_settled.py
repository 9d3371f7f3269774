"""What two runs compare: not what changes by itself, but everything that somebody has changed."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facts.certificates import Certificate, CertificatesRuntime
from facts.clock import ClockRuntime, Offset
from facts.etcd import EtcdRuntime, Member, MemberStatus
from facts.etcd_storage import EtcdStorageRuntime
from facts.leader_election import LeaderElectionRuntime
from facts.swap import Device, SwapRuntime
from facts.time_sync import TimeSyncRuntime
from hale.model.evidence import SettledFact


@dataclass(frozen=True)
class Pair:
    """A fact; the fields that change by themselves, and those that somebody changes."""

    fact: Any
    moved: dict[str, Any]
    changed: dict[str, Any]


def status(host: str, leader: int, applied: int) -> MemberStatus:
    return MemberStatus(host, 1, 9, leader, (1, applied), 2, True, (), (Member(1, host, True),))


PAIRS = {
    "clock": Pair(
        ClockRuntime((Offset("a", 0.2, 0.1), Offset("b", 0.1, 0.1))),
        {"offsets": (Offset("b", 0.3, 0.2), Offset("a", 0.1, 0.1))},
        {"unread": ("b: no answer",)},
    ),
    "etcd": Pair(
        EtcdRuntime((status("a", 1, 5), status("b", 1, 5))),
        {"statuses": (status("a", 2, 9), status("b", 2, 7))},
        {"statuses": (status("a", 1, 5),)},
    ),
    "etcd_storage": Pair(
        EtcdStorageRuntime("fsync", 12.0, 10),
        {"value": 13.0},
        {"value": 9.0},
    ),
    "leader_election": Pair(
        LeaderElectionRuntime("scheduler", "a", (("a", 1.0),)),
        {"leader": "b", "ages": (("b", 3.0),)},
        {"leader": ""},
    ),
    "time_sync": Pair(
        TimeSyncRuntime(("chrony",), "chrony", "", "192.0.2.1", 0.1, 20.0),
        {"offset_seconds": 0.4, "age_seconds": 900.0, "source": "192.0.2.2"},
        {"running": ("ntp",)},
    ),
    "certificates": Pair(
        CertificatesRuntime((Certificate("/a.crt", "CN=a", 300.0),)),
        {"certificates": (Certificate("/a.crt", "CN=a", 12.0),)},
        {"certificates": (Certificate("/a.crt", "CN=b", 300.0),)},
    ),
    "swap": Pair(
        SwapRuntime((Device("/dev/sdb", "partition", 100, 5),)),
        {"active": (Device("/dev/sdb", "partition", 100, 50),), "available": 7},
        {"active": ()},
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_only_changes_by_an_operator_count(name: str) -> None:
    pair = PAIRS[name]
    moved = msgspec.structs.replace(pair.fact, **pair.moved)
    changed = msgspec.structs.replace(pair.fact, **pair.changed)
    assert isinstance(pair.fact, SettledFact)
    assert moved.settled == pair.fact.settled
    assert moved.actual != pair.fact.actual
    assert changed.settled != pair.fact.settled
    assert pair.fact.settled


def test_every_settled_fact_is_here() -> None:
    found = set()
    for path in (Path(__file__).parents[2] / "facts").glob("*.py"):
        module = import_module(f"facts.{path.stem}")
        if any(hasattr(kind, "settled") for kind in vars(module).values()):
            found.add(path.stem)
    assert found == set(PAIRS)


@pytest.mark.parametrize(("what", "most"), [("fsync", 10), ("size", 80)])
def test_etcds_storage_is_compared_by_the_side_of_its_limit(what: str, most: int) -> None:
    values = (most - 1.0, most + 1.0, most + 2.0)
    below, above, higher = (EtcdStorageRuntime(what, value, most) for value in values)
    assert isinstance(above, SettledFact)
    assert above.actual != higher.actual
    assert above.settled == higher.settled != below.settled
    assert f"more than {most} " in above.settled
    assert f"at most {most} " in below.settled
    alarm = EtcdStorageRuntime(what, below.value, most, alarm="NOSPACE")
    assert (alarm.settled != below.settled) == (what == "size")
