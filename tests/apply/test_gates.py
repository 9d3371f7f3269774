"""Who may be changed when, on a living cluster; and hosts that have joined one that is ill."""

from collections.abc import Iterable

import pytest

from hale.apply import gates
from hale.apply.gates import Closed, Standing
from hale.change import Effect, UnitChange, ValueChange
from hale.plan import HostPlan, Step
from hale.results import Result
from hale.verdicts import Verdict

MASTER = Standing(master=True, joined="/etc/kubernetes/pki/ca.crt")
OWNER = Standing(master=True, joined="/etc/kubernetes/pki/ca.crt", holds_vip=True)
WORKER = Standing(master=False, joined="/etc/kubernetes/pki/ca.crt")
BARE = Standing(master=True, joined="")


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
    standing: dict[str, Standing], expected: list[list[str]]
) -> None:
    assert gates.waves(list(standing), standing) == expected


def row(verdict: Verdict, chapter: int = 1, aspect: str = "runtime") -> Result:
    return Result(
        "cluster", "HA-ETCD-MEMBERS", aspect, verdict, chapter, "", "etcd", "critical",
        "document", "", "two of three", "",
    )  # fmt: skip


QUIET = Step(("SYS-IP-FORWARD",), ValueChange("/proc/sys/x", "0", "1", "why"))
LOUD = Step(("FW-FIREWALLD",), UnitChange("f", "stop", "", "", "why", (Effect.TRAFFIC,)))


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
    gates.may_begin(host(*steps), masters, rows)


@pytest.mark.parametrize(
    ("steps", "masters", "rows", "says"),
    [
        ((QUIET,), 3, [row(Verdict.FAIL)], "not whole.*HA-ETCD-MEMBERS on cluster: FAIL, two of"),
        ((QUIET,), 3, [row(Verdict.UNKNOWN, chapter=2)], "not whole"),
        ((LOUD,), 2, [row(Verdict.PASS)], "FW-FIREWALLD interrupts this host, and 2 master"),
    ],
)
def test_closed(steps: tuple[Step, ...], masters: int, rows: list[Result], says: str) -> None:
    with pytest.raises(Closed, match=says):
        gates.may_begin(host(*steps), masters, rows)


def test_it_waits_until_the_cluster_is_whole() -> None:
    looks = [[row(Verdict.FAIL)], [row(Verdict.UNKNOWN)], [row(Verdict.PASS)]]

    def look() -> Iterable[Result]:
        return looks.pop(0)

    gates.whole_again(look, lambda: False, patience=5, every=0.001)
    assert not looks


def test_it_does_not_wait_for_ever() -> None:
    with pytest.raises(Closed, match=r"not whole again after 0\.01 s"):
        gates.whole_again(lambda: [row(Verdict.FAIL)], lambda: False, 0.01, 0.001)


def test_it_does_not_wait_after_ctrl_c() -> None:
    with pytest.raises(Closed):
        gates.whole_again(lambda: [row(Verdict.FAIL)], lambda: True, 60, 60)
