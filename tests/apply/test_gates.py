"""Who may be changed when, on a living cluster; and hosts that have joined one that is ill."""

from collections.abc import Iterable

import pytest

from hale.apply import gates
from hale.apply.gates import GateClosed, NodeStatus
from hale.model.change import Impact, KernelValueChange, UnitChange
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.plan.plan import HostPlan, Step

MASTER = NodeStatus(master=True, joined="/etc/kubernetes/pki/ca.crt")
OWNER = NodeStatus(master=True, joined="/etc/kubernetes/pki/ca.crt", holds_vip=True)
WORKER = NodeStatus(master=False, joined="/etc/kubernetes/pki/ca.crt")
BARE = NodeStatus(master=True, joined="")


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        ({}, []),
        ({"a": BARE, "b": BARE}, [["a", "b"]]),
        ({"a": OWNER, "b": MASTER, "c": MASTER, "w": WORKER}, [["w"], ["b"], ["c"], ["a"]]),
        ({"a": MASTER, "w": WORKER, "x": WORKER}, [["w", "x"], ["a"]]),
        ({"a": OWNER, "n": BARE}, [["n"], ["a"]]),
    ],
)
def test_masters_go_alone_and_the_owner_of_the_vip_last(
    standing: dict[str, NodeStatus], expected: list[list[str]]
) -> None:
    assert gates.batches(list(standing), standing) == expected


def row(verdict: Verdict, chapter: int = 1, aspect: str = "runtime") -> Result:
    return Result(
        "cluster", "HA-ETCD-MEMBERS", aspect, verdict, chapter, "", "etcd", "critical",
        "document", "", "two of three", "",
    )  # fmt: skip


QUIET = Step(("SYS-IP-FORWARD",), KernelValueChange("/proc/sys/x", "0", "1", "why"))
LOUD = Step(("FW-FIREWALLD",), UnitChange("f", "stop", "", "", "why", (Impact.TRAFFIC,)))


def host(*steps: Step) -> HostPlan:
    return HostPlan("a", "", steps, (), ())


@pytest.mark.parametrize(
    ("steps", "masters", "rows"),
    [
        ((QUIET, LOUD), 3, [row(Verdict.PASS)]),
        ((QUIET,), 1, [row(Verdict.PASS), row(Verdict.NOT_APPLICABLE)]),
        ((LOUD,), 5, [row(Verdict.FAIL, chapter=9), row(Verdict.FAIL, aspect="persisted")]),
    ],
)
def test_open(steps: tuple[Step, ...], masters: int, rows: list[Result]) -> None:
    gates.check_may_change(host(*steps), masters, rows)


@pytest.mark.parametrize(
    ("steps", "masters", "rows", "says"),
    [
        ((QUIET,), 3, [row(Verdict.FAIL)], "not whole.*HA-ETCD-MEMBERS on cluster: FAIL, two of"),
        ((QUIET,), 3, [row(Verdict.UNKNOWN, chapter=2)], "not whole"),
        ((LOUD,), 2, [row(Verdict.PASS)], "FW-FIREWALLD interrupts this host, and 2 master"),
    ],
)
def test_closed(steps: tuple[Step, ...], masters: int, rows: list[Result], says: str) -> None:
    with pytest.raises(GateClosed, match=says):
        gates.check_may_change(host(*steps), masters, rows)


def test_it_waits_until_the_cluster_is_whole() -> None:
    looks = [[row(Verdict.FAIL)], [row(Verdict.UNKNOWN)], [row(Verdict.PASS)]]

    def look() -> Iterable[Result]:
        return looks.pop(0)

    gates.wait_until_healthy(look, lambda: False, patience=5, every=0.001)
    assert not looks


def test_it_does_not_wait_for_ever() -> None:
    with pytest.raises(GateClosed, match=r"not whole again after 0\.01 s"):
        gates.wait_until_healthy(lambda: [row(Verdict.FAIL)], lambda: False, 0.01, 0.001)


def test_it_does_not_wait_after_ctrl_c() -> None:
    with pytest.raises(GateClosed):
        gates.wait_until_healthy(lambda: [row(Verdict.FAIL)], lambda: True, 60, 60)
