"""The watcher's record: what was whole when, and what is not believed."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from hale.drill import health, measurement
from hale.drill.health import HealthTimeline
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import ComponentKind

MASTERS = ("k8s-master-01", "k8s-master-02", "k8s-master-03")
INVENTORY = Path(__file__).parents[2] / "inventory.ini"


@pytest.fixture(scope="module")
def known() -> Inventory:
    return ini.load_inventory(INVENTORY)


def etcd(at: float, name: str, output: str) -> str:
    return f"etcd {name} {round(at * 100)} {output}\n"


WELL = '0 {"health":"true","reason":""}'
ILL = '0 {"health":"false","reason":"RAFT NO LEADER"}'
AWAY = "7 curl: (7) Failed to connect"


def lease(at: float, holder: str, renewed: str, name: str = "kube-scheduler") -> str:
    spec = {"spec": {"holderIdentity": f"{holder}_b7c2", "renewTime": renewed}}
    return f"{name} . {round(at * 100)} 0 {json.dumps(spec)}\n"


def table(what: str, at: float, names: list[str], rows: list[list[str]]) -> str:
    output = {
        "kind": "Table",
        "columnDefinitions": [{"name": n} for n in names],
        "rows": [{"cells": r} for r in rows],
    }
    return f"{what} . {round(at * 100)} 0 {json.dumps(output)}\n"


POD = ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node"]


def pods(at: float, *nodes: str, status: str = "Running", ready: str = "1/1") -> str:
    rows = [[f"p{n}", ready, status, "0", "1m", "10.244.0.2", node] for n, node in enumerate(nodes)]
    return table("pods", at, POD, rows)


def tracks(
    known: Inventory, text: str, until: float, replicas: int = 0, dead: health.PoweredOff = ()
) -> dict[str, HealthTimeline]:
    found = health.timelines(health.parse_samples(text.encode()), known, replicas, dead, until)
    return {t.kind: t for t in found}


def test_quorum_is_one_healthy_member_and_members_are_all(known: Inventory) -> None:
    text = "".join(
        etcd(t, m, AWAY if m == MASTERS[0] and 5 <= t < 9 else WELL)
        for t in (1, 3, 5, 7, 9, 11)
        for m in MASTERS
    )
    found = tracks(known, text, 12)
    assert found["etcd quorum"].unhealthy_intervals(0) == ()
    assert found["etcd members"].unhealthy_intervals(0) == ((5.0, 9.0),)


def test_no_quorum_while_no_member_reads_through_it(known: Inventory) -> None:
    text = "".join(
        etcd(t + n / 100, m, ILL if t == 5 else WELL)
        for t in (1, 5, 9)
        for n, m in enumerate(MASTERS)
    )
    assert tracks(known, text, 10)["etcd quorum"].unhealthy_intervals(0) == ((5.02, 9.0),)


def test_external_etcd_is_not_watched(known: Inventory) -> None:
    assert "etcd quorum" not in tracks(replace(known, etcd_kind="external"), "", 1)


def test_a_leader_that_stops_renewing_is_broken_until_another_one_leads(known: Inventory) -> None:
    text = "".join(lease(t, "k8s-master-01", str(t)) for t in range(0, 10, 2))
    text += "".join(lease(t, "k8s-master-01", "8") for t in range(10, 24, 2))
    text += "".join(lease(t, "k8s-master-02", str(t)) for t in range(24, 30, 2))
    found = tracks(known, text, 30)["kube-scheduler"]
    assert found.unhealthy_intervals(0) == ((8.0 + health.MAX_RENEWAL_GAP, 24.0),)
    samples = health.parse_samples(text.encode())
    (_, scheduler) = measurement.leader_changes(measurement.relative_to(samples, 9.0), 21.0)
    assert (scheduler.before, scheduler.after) == ("k8s-master-01", "k8s-master-02")
    assert scheduler.max_renewal_gap == 16.0


def test_a_lease_without_a_holder_is_no_leader(known: Inventory) -> None:
    text = 'kube-scheduler . 100 0 {"spec":{"holderIdentity":"","renewTime":"1"}}\n'
    assert not tracks(known, text, 2)["kube-scheduler"].healthy


def test_nodes_are_healthy_when_all_are_present_and_ready(known: Inventory) -> None:
    names = [h.name for h in known.hosts]

    def look(at: float, ill: str = "", fewer: int = 0) -> str:
        rows = [[n, "NotReady" if n == ill else "Ready,SchedulingDisabled"] for n in names]
        return table("nodes", at, ["Name", "Status"], rows[fewer:])

    text = look(1) + look(3, "k8s-node-02") + look(5) + look(7, fewer=1) + look(9)
    assert tracks(known, text, 10)["nodes Ready"].unhealthy_intervals(0) == ((3.0, 5.0), (7.0, 9.0))


def test_replicas_on_a_host_without_power_do_not_count(known: Inventory) -> None:
    """The cluster takes it for well for another 40 s."""
    text = pods(1, "a", "b", "c") + pods(5, "a", "b", "c") + pods(50, "a", "b", "c", "b")
    found = tracks(known, text, 60, 3, [("c", 4.0, float("inf"))])["replicas"]
    assert found.unhealthy_intervals(0) == ((5.0, 50.0),)


@pytest.mark.parametrize(("status", "ready"), [("Terminating", "1/1"), ("Running", "0/1")])
def test_what_is_not_ready_or_leaves_is_no_replica(
    known: Inventory, status: str, ready: str
) -> None:
    text = pods(1, "a", "b", status=status, ready=ready)
    assert not tracks(known, text, 2, 2)["replicas"].healthy


HOSTILE = {
    "nesting": "nodes . 100 0 " + "[" * 100_000 + "\n",
    "cut off": "nodes . 100 0 {\n",
    "refused": 'nodes . 100 0 {"kind":"Status","code":403}\n',
    "too many cells": 'nodes . 100 0 {"columnDefinitions":[],"rows":[{"cells":["a"]}]}\n',
    "other types": 'nodes . 100 0 {"columnDefinitions":7,"rows":null}\n',
    "no answer": "nodes . 100 28 curl: (28) timed out\n",
    "a string": 'nodes . 100 0 "Ready"\n',
}


@pytest.mark.parametrize("output", HOSTILE.values(), ids=HOSTILE)
def test_a_garbled_answer_makes_nothing_healthy(known: Inventory, output: str) -> None:
    found = tracks(known, output, 2)["nodes Ready"]
    assert not found.healthy
    assert found.detail == "the API does not answer"


def test_foreign_lines_are_no_samples() -> None:
    raw = b"begin 5\nmotd\n\xff\xfe\netcd\nrm -rf / 1 2 3\netcd a -5 0 {}\npods . 1 0 {"
    assert health.parse_samples(raw) == ()


def test_without_observations_nothing_is_healthy(known: Inventory) -> None:
    assert all(not t.healthy for t in tracks(known, "", 1, 3).values())


def test_what_was_broken_before_the_taking_away_does_not_count() -> None:
    track = HealthTimeline(
        ComponentKind.NODES,
        ((-5, False, ""), (-3, True, ""), (2, False, "gone"), (4, False, "gone")),
    )
    assert track.unhealthy_intervals(0) == ((2, None),)
