"""A disconnected member: which it is, what moves, and whether its workload is there once."""

import json
from contextlib import nullcontext
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hale.apply.cluster_lock import HostLocks
from hale.apply.lock import Owner
from hale.drill import experiment, member, member_health, revert, workflow
from hale.drill import runner as drill_runner
from hale.drill.experiment import DrillRun
from hale.drill.fault import Fault
from hale.drill.health import HealthTimeline, parse_samples
from hale.drill.journal import SCHEMA, DrillHeader, DrillJournal, WorkloadEvent, load_drill
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.runner import DrillRunner
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import Component, ComponentKind, FaultKind, Interval, Measurement
from hale.model.errors import UserError
from hale.ssh import SessionPool, Target
from tests.drill.test_chart import drill
from tests.drill.test_health import table
from tests.install.test_federation_state import SECOND

INVENTORY = Path(__file__).parents[2] / "inventory.ini"
POD = ["Name", "Ready", "Status"]
CUT = (0.0, 60.0)


@pytest.fixture(scope="module")
def known() -> Inventory:
    found = ini.load_inventory(INVENTORY)
    return replace(found, cluster=replace(found.cluster, pod_cidr=ip_network("10.244.0.0/16")))


@pytest.fixture
def second(tmp_path: Path) -> Inventory:
    path = tmp_path / "second.ini"
    path.write_text(SECOND)
    return ini.load_inventory(path)


def clusters(**members: str) -> str:
    items = [{"metadata": {"name": n}, "spec": {"id": uid}} for n, uid in members.items()]
    return json.dumps(items)


def policy(effect: str = "NoExecute", condition: str = "Ready", *named: str) -> dict[str, Any]:
    target = {"targetClusters": {"clusterNames": [*named]}} if named else {}
    return {
        "spec": {
            **target,
            "addOnConditions": [
                {"conditionType": condition, "operator": "In", "statusValues": ["False"]}
            ],
            "taints": [{"key": "away", "effect": effect}],
        }
    }


@pytest.mark.parametrize(
    ("others", "policies", "moves"),
    [
        ({"first": "uid-1"}, [policy()], True),
        ({"first": "uid-1"}, [policy("NoExecute", "Ready", "second")], True),
        ({}, [policy()], False),
        ({"first": "uid-1"}, [], False),
        ({"first": "uid-1"}, [policy("NoSchedule")], False),
        ({"first": "uid-1"}, [policy("NoExecute", "Serving")], False),
        ({"first": "uid-1"}, [policy("NoExecute", "Ready", "first")], False),
    ],
)
def test_whether_workloads_move(
    second: Inventory, others: dict[str, str], policies: list[dict[str, Any]], moves: bool
) -> None:
    text = clusters(second="uid-2", **others)
    found = member.parse_member(text, json.dumps(policies), "uid-2", second)
    assert (found.name, found.others, found.moves) == ("second", tuple(others), moves)


def test_a_cluster_that_is_no_member(second: Inventory) -> None:
    with pytest.raises(UserError, match="is not a member; known are first"):
        member.parse_member(clusters(first="uid-1"), "[]", "uid-2", second)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"metadata": {}}]', "[" * 100000])
def test_an_answer_of_another_form(second: Inventory, text: str) -> None:
    with pytest.raises(UserError, match="unknown format"):
        member.parse_member(text, "[]", "uid-2", second)


def test_the_placement(second: Inventory) -> None:
    drilled = member.DrilledMember("second", ("first",), second, evicts=True)
    items = json.loads(member.manifest("registry/pause:3.10", drilled))["items"]
    placement = next(i for i in items if i["kind"] == "PropagationPolicy")["spec"]["placement"]
    assert [c["clusterNames"] for c in placement["clusterAffinities"]] == [["second"], ["first"]]
    alone = member.DrilledMember("second", (), second, evicts=True)
    items = json.loads(member.manifest("registry/pause:3.10", alone))["items"]
    placement = next(i for i in items if i["kind"] == "PropagationPolicy")["spec"]["placement"]
    assert [c["clusterNames"] for c in placement["clusterAffinities"]] == [["second"]]


# --- the fault ---


def test_every_host_of_the_member_is_cut_off(known: Inventory, second: Inventory) -> None:
    (fault,) = member.faults(known, second)
    assert (fault.kind, fault.host) == (FaultKind.MEMBER, "b1")
    assert fault.unreached == (*(h.address for h in known.hosts), "10.244.0.0/16")
    script = fault.inject_script(900)
    assert script.index("hale-drill-undo") < script.index("rule add"), "the timer comes first"
    assert "--on-active=900" in script


def test_systemd_runs_the_revert_as_it_is(known: Inventory, second: Inventory) -> None:
    """It would expand a variable of the script in its own command line."""
    (fault,) = member.faults(known, second)
    timer = next(line for line in fault.inject_script().splitlines() if "systemd-run" in line)
    script = fault.inject_script()
    of_timer = script[script.index(timer) : script.index("lost $up")]
    assert 'ip "$$family" rule del pref "$$preference"' in of_timer


def test_a_host_without_an_address(known: Inventory, second: Inventory) -> None:
    named = replace(known, hosts=(replace(known.hosts[0], address="m1.example"),))
    with pytest.raises(UserError, match=r"m1\.example is not an address"):
        member.faults(named, second)


@pytest.mark.parametrize(
    ("part", "member_inventory", "host", "why"),
    [
        ("member", "", "", "takes --member-inventory"),
        ("vip", "second.ini", "", "takes --member-inventory"),
        ("member", "second.ini", "b1", "of all hosts of the member"),
        ("member", "same.ini", "", "in both inventories"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, part: str, member_inventory: str, host: str, why: str
) -> None:
    (tmp_path / "second.ini").write_text(SECOND)
    (tmp_path / "same.ini").write_text(SECOND.replace("b1 ", "k8s-master-01 "))
    options = DrillOptions(
        part,
        tmp_path / "reports",
        INVENTORY,
        host,
        allow_production=True,
        yes=True,
        member=tmp_path / member_inventory if member_inventory else None,
    )
    with pytest.raises(UserError, match=why):
        workflow.run_drills(options)


# --- what is watched ---


def ready(at: float, state: str) -> str:
    return table("members", at, ["Name", "Ready"], [["first", "True"], ["second", state]])


def copies(at: float, number: int) -> str:
    return table("copies", at, POD, [[f"p{n}", "1/1", "Running"] for n in range(number)])


def binding(at: float, placed: dict[str, int], available: dict[str, int]) -> str:
    spec = {"clusters": [{"name": n, "replicas": r} for n, r in placed.items()]}
    status = {
        "aggregatedStatus": [
            {"clusterName": n, "status": {"readyReplicas": r}} for n, r in available.items()
        ]
    }
    return f"binding . {round(at * 100)} 0 {json.dumps({'spec': spec, 'status': status})}\n"


def watched(text: str, cut: tuple[float, float] = CUT) -> dict[ComponentKind, HealthTimeline]:
    samples = parse_samples(text.encode())
    return {t.kind: t for t in member_health.timelines(samples, "second", 2, cut)}


def test_a_member_that_is_missed_and_comes_back() -> None:
    text = ready(1, "True") + ready(40, "False") + ready(95, "True")
    assert watched(text)[ComponentKind.MEMBER].unhealthy_intervals(0.0) == ((40.0, 95.0),)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (ready(1, "Unknown"), "Ready is Unknown"),
        (table("members", 1, ["Name", "Ready"], [["first", "True"]]), "Ready is gone"),
        ("members . 100 28 no answer\n", "the API does not answer"),
    ],
)
def test_a_member_that_is_not_ready(line: str, detail: str) -> None:
    assert watched(line)[ComponentKind.MEMBER].detail == detail


def test_a_workload_that_moves_and_is_not_doubled() -> None:
    here, there = {"second": 2}, {"first": 2}
    text = (
        "".join(copies(at, 2) for at in (1, 50, 70))
        + copies(80, 0)
        + binding(2, here, here)
        + binding(50.5, there, {"first": 1, "second": 2})
        + binding(55, there, {"first": 2, "second": 2})
        + binding(71, there, {"first": 2, "second": 2})
        + binding(81, there, there)
    )
    replicas = watched(text)[ComponentKind.REPLICAS]
    assert replicas.points == (
        (2.0, False, "0 of 2 replicas"),
        (50.5, False, "1 of 2 replicas"),
        (55.0, True, ""),
        (71.0, False, "2 replicas too many on second"),
        (81.0, True, ""),
    )
    assert replicas.unhealthy_intervals(0.0) == ((2.0, 55.0), (71.0, 81.0))


def test_a_workload_that_stays() -> None:
    here = {"second": 2}
    text = "".join(copies(at, 2) + binding(at + 1, here, here) for at in (1, 70))
    assert watched(text)[ComponentKind.REPLICAS].unhealthy_intervals(0.0) == ((2.0, 71.0),)
    assert watched(text, (0.0, 0.0))[ComponentKind.REPLICAS].healthy


@pytest.mark.parametrize(
    "text",
    [
        copies(1, 2) + "binding . 200 28 no answer\n",
        copies(1, 2) + 'binding . 200 0 {"spec": {}}\n',
        binding(2, {"second": 2}, {"second": 2}),
        "copies . 100 28 no answer\n" + binding(2, {"second": 2}, {"second": 2}),
    ],
)
def test_what_is_not_answered_is_not_healthy(text: str) -> None:
    assert watched(text)[ComponentKind.REPLICAS].detail == "the API does not answer"


# --- how long the fault lasts ---

MISSED = HealthTimeline(ComponentKind.MEMBER, ((1.0, True, ""), (40.0, False, "Ready is False")))
NOT_MISSED = HealthTimeline(ComponentKind.MEMBER, ((1.0, True, ""), (40.0, True, "")))
MOVED = HealthTimeline(ComponentKind.REPLICAS, ((1.0, False, "0 of 2"), (45.0, True, "")))
NOT_MOVED = HealthTimeline(ComponentKind.REPLICAS, ((1.0, False, "0 of 2"),))
NEVER_LOST = HealthTimeline(ComponentKind.REPLICAS, ((1.0, True, ""),))


@pytest.fixture
def run(
    tmp_path: Path, known: Inventory, second: Inventory, monkeypatch: pytest.MonkeyPatch
) -> DrillRun:
    """A drill whose fault was injected a minute ago, and whose client is served."""
    monkeypatch.setattr(experiment, "is_settled", lambda *_: True)
    monkeypatch.setattr(DrillRun, "_client_now", 0.0)
    monkeypatch.setattr(DrillRun, "_elapsed", 60.0)
    owner = Owner("op", "here", "2026-drill", "t")
    header = DrillHeader(SCHEMA, owner, "/inv", (FaultKind.MEMBER,), False, "/second")
    return DrillRun(
        inventory=known,
        locks=HostLocks(SessionPool({}), owner, []),
        folder=tmp_path,
        fault=Fault(FaultKind.MEMBER, "b1"),
        client="k8s-node-01",
        watcher="k8s-master-01",
        replicas=2,
        power=None,
        journal=DrillJournal(tmp_path, header),
        view=LiveView(),
        drilled=member.DrilledMember("second", ("first",), second, evicts=True),
    )


@pytest.mark.parametrize(
    ("timelines", "evicts", "over"),
    [
        ((MISSED, MOVED), True, True),
        ((NOT_MISSED, MOVED), True, False),
        ((MISSED, NOT_MOVED), True, False),
        ((MISSED, NEVER_LOST), True, False),
        ((MISSED, NOT_MOVED), False, True),
        ((NOT_MISSED, NOT_MOVED), False, False),
    ],
)
def test_the_fault_lasts_until_the_member_is_missed_and_its_workload_has_moved(
    run: DrillRun, timelines: tuple[HealthTimeline, ...], evicts: bool, over: bool
) -> None:
    assert run.drilled is not None
    run.drilled = replace(run.drilled, evicts=evicts)
    run._timelines = timelines
    assert run._has_recovered() is over
    run.journal.close()


def test_a_member_that_is_never_missed_proves_nothing(run: DrillRun) -> None:
    run._timelines = (NOT_MISSED,)
    assert run._not_missed().startswith("second stayed Ready")
    run._timelines = (MISSED,)
    assert run._not_missed() == ""
    run.journal.close()


def test_its_workload_is_deleted_from_karmada(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner("op", "here", "2026-drill", "t")
    header = DrillHeader(SCHEMA, owner, "/inv", (FaultKind.MEMBER,), False, "/second")
    book = DrillJournal(tmp_path, header)
    book.write(WorkloadEvent("m1", False, "t", federated=True))
    deleted: list[str] = []
    monkeypatch.setattr(member, "delete_workload", lambda _, host: deleted.append(host))
    history = load_drill(tmp_path)
    assert history is not None
    locks = HostLocks(SessionPool({}), owner, [])
    assert history.header.member_inventory == "/second"
    assert revert.remaining(history) == ["the drill's workload"]
    assert revert.revert_all(history, locks, None, book.write, lambda *_: None) == []
    assert deleted == ["m1"]
    history = load_drill(tmp_path)
    assert history is not None
    assert revert.remaining(history) == []
    book.close()


def test_the_loops_of_a_drill(run: DrillRun, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, str]] = []

    class Sampler:
        def __init__(self, target: Target, name: str, script: str) -> None:
            self.of, self.name, self.record = (target.name, name), name, b""

        def start(self) -> None:
            started.append(self.of)

        def stop(self) -> None:
            started.remove(self.of)

    def measured(_: DrillRun) -> None:
        assert started == [
            ("k8s-node-01", "client"),
            ("k8s-master-01", "etcd"),
            ("k8s-master-01", "api"),
            ("k8s-master-01", "member"),
            ("b1", "copies"),
        ]

    monkeypatch.setattr(experiment, "RemoteSampler", Sampler)
    monkeypatch.setattr(DrillRun, "_run_phases", measured)
    pool = SessionPool({n: Target(n) for n in ("k8s-node-01", "k8s-master-01", "b1")})
    run.locks = HostLocks(pool, run.locks.owner, [])
    run.run()
    run.journal.close()
    assert not started
    history = load_drill(run.folder)
    assert history is not None
    assert history.sampler_hosts == ["k8s-node-01", "k8s-master-01", "b1"]


# --- the verdict ---


def measured(replicas: tuple[tuple[float, float | None], ...], **changed: object) -> Measurement:
    """As a drill on two clusters of the lab measured it, but for the replicas."""
    missed = Component(ComponentKind.MEMBER, (Interval(76.67, 117.07),), "")
    detail = "2 replicas too many on second"
    intervals = tuple(Interval(*pair) for pair in replicas)
    values: dict[str, object] = {
        "kind": FaultKind.MEMBER,
        "components": (missed, Component(ComponentKind.REPLICAS, intervals, detail)),
        "reverted_at": 86.06,
        "ended": 122.86,
        "replicas": 2,
        "moves": True,
    }
    return drill(**(values | changed))


@pytest.mark.parametrize(
    ("replicas", "changed", "problems"),
    [
        (((0.73, 80.07), (86.59, 122.28)), {}, []),
        (((0.73, 122.28),), {"moves": False}, []),
        (((0.73, 122.28),), {}, ["not ready elsewhere"]),
        (((0.73, 80.07), (86.59, None)), {}, ["replicas: 2 replicas too many on second"]),
        (((0.73, 80.07),), {"invalid_because": "second stayed Ready"}, ["second stayed Ready"]),
        (((0.73, None),), {"kind": FaultKind.WORKER}, []),
    ],
)
def test_what_is_wrong_with_the_federation(
    replicas: tuple[tuple[float, float | None], ...],
    changed: dict[str, object],
    problems: list[str],
) -> None:
    found = member.problems([measured(replicas, **changed)])
    assert len(found) == len(problems)
    assert all(wanted in text for wanted, text in zip(problems, found, strict=True))


def test_a_drill_with_a_doubled_replica_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Inventory
) -> None:
    """The audit at the end, which knows members and no workload, finds nothing."""
    options = DrillOptions("member", tmp_path, INVENTORY, yes=True)
    runner = DrillRunner(options, known, SessionPool({}), (FaultKind.MEMBER,), LiveView())
    no_locks = HostLocks(SessionPool({}), Owner("op", "here", "1-drill", "t"), [])
    runner._done.append(measured(((0.73, 80.07), (86.59, None))))
    monkeypatch.setattr(drill_runner, "locks_held", lambda *_, **__: nullcontext(no_locks))
    monkeypatch.setattr(drill_runner, "wait_until_healthy", lambda *_: ([], None))
    monkeypatch.setattr(DrillRunner, "_drills", lambda *_: None)
    end = runner._inject_and_revert(tmp_path, [])
    assert end.unhealthy == ["replicas: 2 replicas too many on second"]
