"""Who may be changed when, on a living cluster; and hosts that have joined one that is ill."""

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from hale.apply import gates
from hale.apply.gates import BatchSize, GateClosed, NodeStatus
from hale.apply.journal import Journal
from hale.apply.lock import Owner
from hale.apply.runner import PlanRunner
from hale.inventory.ini import load_inventory
from hale.model.change import Impact, KernelValueChange, UnitAction, UnitChange
from hale.model.errors import UserError
from hale.model.requirement import Guard
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan.plan import HostPlan, Plan, Step
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard.loader import load_standard

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
        ({"a": MASTER, "w": WORKER, "x": WORKER}, [["w"], ["x"], ["a"]]),
        ({"a": OWNER, "n": BARE}, [["n"], ["a"]]),
    ],
)
def test_masters_go_alone_and_the_owner_of_the_vip_last(
    standing: dict[str, NodeStatus], expected: list[list[str]]
) -> None:
    assert gates.batches(list(standing), standing) == expected


def test_workers_go_one_and_then_in_batches_of_the_size() -> None:
    standing = {"bare": NodeStatus(master=False, joined=""), "m": MASTER}
    standing |= {f"w{n:02}": WORKER for n in range(1, 25)}
    found = gates.batches(list(standing), standing)
    assert [len(b) for b in found] == [1, 1, *[2] * 11, 1, 1]
    assert found[:3] == [["bare"], ["w01"], ["w02", "w03"]]
    assert found[-1] == ["m"]
    sized = gates.batches(list(standing), standing, BatchSize.parse("10"))
    assert [len(b) for b in sized] == [1, 1, 10, 10, 3, 1]


def test_the_plan_names_the_batches_and_who_is_drained() -> None:
    standing = {"m": MASTER, "v": WORKER, "w": WORKER, "b": BARE, "x": WORKER}
    hosts = [HostPlan("m", "", (LOUD,), (), ()), HostPlan("v", "", (LOUD,), (), ())]
    hosts += [HostPlan("w", "", (QUIET,), (), ()), HostPlan("b", "", (LOUD,), (), ())]
    hosts += [HostPlan("x", "", (), (), ())]
    assert list(gates.render_batches(hosts, standing, gates.TENTH, drain=True)) == [
        "── batches, one after the other",
        "   1. in no cluster: b",
        "   2. workers: v; cordoned and drained: v",
        "   3. workers: w",
        "   4. control plane: m",
    ]
    lines = gates.render_batches(hosts, standing, gates.TENTH, drain=False)
    assert "   2. workers: v" in list(lines)
    assert list(gates.render_batches(hosts[3:4], standing, gates.TENTH, drain=True)) == []


@pytest.mark.parametrize(
    ("typed", "workers", "size"),
    [("3", 100, 3), ("10%", 9, 1), ("10%", 29, 2), ("100%", 7, 7), ("50%", 5, 2)],
)
def test_the_size_of_a_batch(typed: str, workers: int, size: int) -> None:
    assert BatchSize.parse(typed).of(workers) == size


@pytest.mark.parametrize("typed", ["", "0", "-1", "0%", "101%", "ten", "1.5", "10 %"])
def test_what_is_no_size_is_refused(typed: str) -> None:
    with pytest.raises(UserError, match="neither a number of workers nor a percentage"):
        BatchSize.parse(typed)


STANDARD = load_standard(ROOT / "standard")
GUARDS = {"HA-ETCD-MEMBERS", "CMP-KUBELET"}


def row(verdict: Verdict, requirement: str = "HA-ETCD-MEMBERS", aspect: str = "runtime") -> Result:
    return Result(
        "cluster", requirement, aspect, verdict, 1, "", "etcd", "critical",
        "document", "", "two of three", "",
    )  # fmt: skip


def problems(*rows: Result) -> list[str]:
    return gates.unhealthy(rows, GUARDS)


QUIET = Step(("SYS-IP-FORWARD",), KernelValueChange("/proc/sys/x", "0", "1", "why"))
LOUD = Step(
    ("FW-FIREWALLD",), UnitChange("f", UnitAction.STOP, "", "", "why", (Impact.DISRUPTS_TRAFFIC,))
)


def host(*steps: Step) -> HostPlan:
    return HostPlan("a", "", steps, (), ())


@pytest.mark.parametrize(
    ("steps", "masters", "rows"),
    [
        ((QUIET, LOUD), 3, [row(Verdict.PASS)]),
        ((QUIET,), 1, [row(Verdict.PASS), row(Verdict.NOT_APPLICABLE)]),
        ((LOUD,), 5, [row(Verdict.FAIL, "SYS-IP-FORWARD"), row(Verdict.FAIL, aspect="persisted")]),
    ],
)
def test_open(steps: tuple[Step, ...], masters: int, rows: list[Result]) -> None:
    change(steps, masters, problems(*rows))


@pytest.mark.parametrize(
    ("steps", "masters", "rows", "message"),
    [
        ((QUIET,), 3, [row(Verdict.FAIL)], "unhealthy.*HA-ETCD-MEMBERS on cluster: FAIL, two of"),
        ((QUIET,), 3, [row(Verdict.UNKNOWN, "CMP-KUBELET")], "unhealthy"),
        (
            (LOUD,),
            2,
            [row(Verdict.PASS)],
            "FW-FIREWALLD interrupts this host, and with 2 control-plane",
        ),
    ],
)
def test_closed(steps: tuple[Step, ...], masters: int, rows: list[Result], message: str) -> None:
    with pytest.raises(GateClosed, match=message):
        change(steps, masters, problems(*rows))


@pytest.mark.parametrize(
    ("problem", "remediated", "open_"),
    [
        ("CMP-KUBELET on a: FAIL, it does not run", (), True),
        ("CMP-KUBELET on b: FAIL, it does not run", (), False),
        ("HA-ETCD-MEMBERS on cluster: FAIL, a is not healthy", (), False),
        ("HA-APISERVER-VIP on b: FAIL, refused", (), False),
        ("HA-APISERVER-VIP on b: FAIL, refused", ("HA-APISERVER-VIP",), True),
    ],
)
def test_a_change_may_remediate_the_guard_that_fails(
    problem: str, remediated: tuple[str, ...], open_: bool
) -> None:
    """It is not waited for afterwards either, and what else fails then is."""
    if not open_:
        with pytest.raises(GateClosed, match="unhealthy"):
            change((LOUD,), 3, [problem], remediated)
        return
    change((LOUD,), 3, [problem], remediated)
    with (
        pytest.raises(GateClosed, match="stopped while the cluster was still unhealthy: HA-X on b"),
    ):
        change((LOUD,), 3, [problem], remediated, after=[problem, "HA-X on b: FAIL"])


@pytest.mark.parametrize(
    ("problem", "last", "waits"),
    [
        ("HA-LB-BACKENDS on a: FAIL", False, True),
        ("HA-LB-BACKENDS on b: FAIL", True, False),
        ("HA-LB-BACKENDS on cluster: FAIL", False, False),
        ("HA-LB-BACKENDS on cluster: FAIL", True, True),
    ],
)
def test_what_the_change_is_for_must_pass_before_the_next_master(
    tmp_path: Path, problem: str, last: bool, waits: bool
) -> None:
    """A wrong change stops at the first one; what is no host's own must pass after the last."""
    order = ("b", "a") if last else ("a", "b")
    steps = (Step(("HA-LB-BACKENDS",), QUIET.change),)
    plan = Plan(
        "s", "me", "", "", "", "", "baseline", tuple(HostPlan(n, "", steps, (), ()) for n in order)
    )
    made = PlanRunner(
        plan,
        SessionPool({}),
        tmp_path,
        cast("Journal", None),
        Owner("me", "here", "r", ""),
        dict.fromkeys(order, MASTER),
        dict.fromkeys(order, "masters"),
        lambda hosts: [problem],
        lambda host, text: None,
    )
    changed: list[str] = []
    made._stop.set()  # nothing is waited for
    made._run_host = lambda host: changed.append(host.host)  # type: ignore[method-assign]
    one = next(h for h in plan.hosts if h.host == "a")
    if waits:
        with pytest.raises(GateClosed, match=f"still unhealthy: {problem}"):
            made._run_master(one)
    else:
        made._run_master(one)
    assert changed == ["a"]


DNS = "CMP-COREDNS on cluster: FAIL, they are on 1 node(s)"
ETCD = "HA-ETCD-MEMBERS on cluster: FAIL, two of three"


@pytest.mark.parametrize(
    ("looks", "open_", "used"),
    [
        ([[DNS], [DNS], [], []], True, 4),  # ready again, and healthy after the change
        ([[DNS, ETCD]], False, 1),  # a drain has not done that
        ([[DNS], [DNS, ETCD], []], True, 4),
        ([[DNS]], False, 3),
    ],
)
def test_pods_that_a_drain_has_evicted_have_time_to_be_ready(
    looks: list[list[str]], open_: bool, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain of the worker before; what is still not ready after it keeps the gate closed."""
    monkeypatch.setattr(gates, "POLL_INTERVAL", 0.001)
    calls = 0

    def check() -> list[str]:
        nonlocal calls
        calls += 1
        return looks.pop(0) if len(looks) > 1 else looks[0]

    changed = False
    refused = pytest.raises(GateClosed, match=r"the cluster is unhealthy.*CMP-COREDNS")
    with (
        nullcontext() if open_ else refused,
        gates.changing_master(
            "a", 3, check, lambda: calls >= 3, settling=gates.settling_after_drain(STANDARD)
        ),
    ):
        changed = True
    assert (changed, calls) == (open_, used)


def test_a_run_gives_them_that_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "POLL_INTERVAL", 0.001)
    looks = [[DNS], [DNS], [], []]
    one = HostPlan("a", "", (QUIET,), (), ())
    made = PlanRunner(
        Plan("s", "me", "", "", "", "", "baseline", (one,)),
        SessionPool({}),
        tmp_path,
        cast("Journal", None),
        Owner("me", "here", "r", ""),
        {"a": MASTER},
        {"a": "masters"},
        lambda hosts: looks.pop(0),
        lambda host, text: None,
        settling=gates.settling_after_drain(STANDARD),
    )
    changed: list[str] = []
    made._run_host = lambda host: changed.append(host.host)  # type: ignore[method-assign]
    made._run_master(one)
    assert (changed, looks) == (["a"], [])


def test_masters_that_do_not_answer_close_the_gate_by_every_guard(tmp_path: Path) -> None:
    """Also by what an audit reads from all hosts: the workers are not contacted for it."""
    names = ("m1", "m2", "m3")
    path = tmp_path / "inventory.ini"
    hosts = "".join(f"{name} ansible_host=127.0.0.{name[1]} ansible_port=1\n" for name in names)
    path.write_text(
        f"[masters]\n{hosts}[workers]\nw1 ansible_host=127.0.0.4\n"
        "[all:vars]\nvip=192.0.2.1\nvip_port=1\nvip_names=api.example\n"
    )
    known = load_inventory(path)
    with SessionPool(targets_of(known)) as sessions:
        found = gates.health_problems(known, STANDARD, sessions, names)
        alone = gates.health_problems(known, STANDARD, sessions, ("m1",))
    guards = {r.id for r in STANDARD.guarding(Guard.CHANGE)}
    assert {gates.requirement_of(problem) for problem in found} == guards
    assert "CMP-COREDNS" not in {gates.requirement_of(problem) for problem in alone}


def change(
    steps: tuple[Step, ...],
    masters: int,
    before: list[str],
    remediated: tuple[str, ...] = (),
    after: list[str] | None = None,
) -> None:
    """The change of the control-plane host `a`; nothing is waited for."""
    found = [before, before if after is None else after]
    risky = gates.interrupting(host(*steps))
    with gates.changing_master(
        "a",
        masters,
        lambda: found.pop(0),
        lambda: True,
        interrupts=", ".join(risky[0].requirements) if risky else "",
        remediated=remediated,
    ):
        pass


def test_a_standard_without_a_guard_changes_nothing() -> None:
    wrong = gates.unhealthy([row(Verdict.PASS)], ())
    with pytest.raises(GateClosed, match="no requirement in standard/ guards it"):
        change((QUIET,), 3, wrong)
    with pytest.raises(GateClosed, match="no requirement in standard/ guards it"):
        gates.wait_until_healthy(lambda: gates.unhealthy((), ()), lambda: True)


@pytest.mark.parametrize("action", Guard)
def test_what_a_site_may_lack_closes_no_gate(action: Guard) -> None:
    """A change to a node must not wait until another cluster is well."""
    guards = {r.id for r in STANDARD.guarding(action)}
    may_lack = ("CMP-DASHBOARD", "CMP-INGRESS", "CMP-FEDERATION")
    assert gates.unhealthy([row(Verdict.UNKNOWN, name) for name in may_lack], guards) == []
    assert gates.unhealthy([row(Verdict.UNKNOWN, min(guards))], guards)


def test_it_waits_until_the_cluster_is_healthy() -> None:
    looks = [[row(Verdict.FAIL)], [row(Verdict.UNKNOWN)], [row(Verdict.PASS)]]

    def look() -> list[str]:
        return problems(*looks.pop(0))

    gates.wait_until_healthy(look, lambda: False, timeout=5, interval=0.001)
    assert not looks


def test_it_does_not_wait_for_ever() -> None:
    with pytest.raises(GateClosed, match=r"still unhealthy after 0\.01 s"):
        gates.wait_until_healthy(lambda: problems(row(Verdict.FAIL)), lambda: False, 0.01, 0.001)


def test_it_does_not_wait_after_ctrl_c() -> None:
    with pytest.raises(GateClosed, match="stopped while the cluster was still unhealthy"):
        gates.wait_until_healthy(lambda: problems(row(Verdict.FAIL)), lambda: True, 60, 60)


def test_problems_of_the_cluster_are_named_before_those_of_hosts() -> None:
    hosts = [f"HA-LB-BACKENDS on {h}: FAIL, a is down" for h in "bcd"]
    etcd = "HA-ETCD-MEMBERS on cluster: FAIL, two of three"
    with pytest.raises(GateClosed) as closed:
        change((QUIET,), 3, [*hosts, etcd])
    assert str(closed.value).endswith(f": {etcd}; {hosts[0]}; {hosts[1]}; and 1 more")
    with pytest.raises(GateClosed) as closed:
        change((QUIET,), 3, hosts[1:])
    assert str(closed.value).endswith(f": {hosts[1]}; {hosts[2]}")
