"""What is taken away from whom, and what is refused before anything is."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from hale.drill import fault, workflow
from hale.drill.fault import ClusterRoles, select_client, select_fault
from hale.drill.options import DrillOptions
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import CLUSTER_FAULTS, FaultKind
from hale.model.errors import UserError

ROLES = ClusterRoles(vip_owner="k8s-master-02", etcd_leader="k8s-master-03")
INVENTORY = Path(__file__).parents[2] / "inventory.ini"


class Switch:
    """Somebody who could switch hosts off; nothing here does."""

    def off(self, host: str) -> None:
        raise AssertionError(host)

    def on(self, host: str) -> None:
        raise AssertionError(host)


@pytest.fixture(scope="module")
def known() -> Inventory:
    return ini.load_inventory(INVENTORY)


def without(known: Inventory, *names: str) -> Inventory:
    return replace(known, hosts=tuple(h for h in known.hosts if h.name not in names))


def test_each_part_is_taken_where_its_loss_costs_most(known: Inventory) -> None:
    hosts = {p: select_fault(p, known, ROLES, "", Switch()).host for p in CLUSTER_FAULTS}
    assert hosts == {
        "vip": "k8s-master-02",
        "apiserver": "k8s-master-02",
        "etcd": "k8s-master-03",
        "master": "k8s-master-02",
        "worker": "k8s-node-02",
    }


def test_another_host_can_be_named(known: Inventory) -> None:
    assert (
        select_fault(FaultKind.MASTER, known, ROLES, "k8s-master-01", Switch()).host
        == "k8s-master-01"
    )
    assert (
        select_fault(FaultKind.WORKER, known, ROLES, "k8s-node-01", Switch()).host == "k8s-node-01"
    )


@pytest.mark.parametrize(
    ("part", "host", "why"),
    [
        (FaultKind.VIP, "k8s-master-01", "the VIP is on k8s-master-02"),
        (FaultKind.WORKER, "k8s-master-01", "none of k8s-node-01"),
        (FaultKind.ETCD, "k8s-node-01", "none of k8s-master-01"),
        (FaultKind.MASTER, "elsewhere", "elsewhere is none of"),
    ],
)
def test_a_host_that_has_no_such_part_is_refused(
    known: Inventory, part: FaultKind, host: str, why: str
) -> None:
    with pytest.raises(UserError, match=why):
        select_fault(part, known, ROLES, host, Switch())


@pytest.mark.parametrize("part", sorted(set(CLUSTER_FAULTS) - {FaultKind.WORKER}))
def test_two_masters_lose_nothing(known: Inventory, part: FaultKind) -> None:
    with pytest.raises(UserError, match="without quorum"):
        select_fault(part, without(known, "k8s-master-03"), ROLES, "", Switch())


def test_the_only_worker_is_not_lost(known: Inventory) -> None:
    with pytest.raises(UserError, match="at least two"):
        select_fault(FaultKind.WORKER, without(known, "k8s-node-01"), ROLES, "", Switch())


def test_parts_that_are_elsewhere_are_refused(known: Inventory) -> None:
    with pytest.raises(UserError, match="etcd is external"):
        select_fault(FaultKind.ETCD, replace(known, etcd_kind="external"), ROLES, "", Switch())
    there = replace(known, endpoint=replace(known.endpoint, kind="external"))
    with pytest.raises(UserError, match="endpoint_kind is external"):
        select_fault(FaultKind.VIP, there, ROLES, "", Switch())


@pytest.mark.parametrize("part", fault.WORKLOAD_FAULTS)
def test_where_nobody_has_the_switch_a_host_is_rebooted(known: Inventory, part: FaultKind) -> None:
    """Never switched off: nobody could switch it on again from here."""
    lost = select_fault(part, known, ROLES, "", None)
    assert lost.reboots
    assert not lost.needs_power
    assert lost.method == "systemctl reboot"
    assert lost.inject_script().endswith("systemctl --no-block reboot\n")
    assert "off" not in lost.inject_script()
    assert "reboot" not in lost.revert_script()


def test_the_client_loses_nothing(known: Inventory) -> None:
    assert select_client(known, {"k8s-master-02": FaultKind.VIP}) == "k8s-node-01"
    assert select_client(known, {"k8s-node-01": FaultKind.WORKER}) == "k8s-node-02"
    assert (
        select_client(without(known, "k8s-node-02"), {"k8s-node-01": FaultKind.WORKER})
        == "k8s-master-01"
    )


def test_production_must_be_named(known: Inventory) -> None:
    with pytest.raises(UserError, match="--allow-production"):
        workflow.require_consent(known, allow_production=False)
    workflow.require_consent(known, allow_production=True)


@pytest.mark.parametrize(
    ("part", "host", "why"),
    [
        ("vp", "", "unknown drill 'vp'"),
        ("vip,", "", "unknown drill ''"),
        ("vip,restore", "", "unknown drill 'restore'"),
        ("all", "k8s-node-01", "--host takes a single drill"),
        ("etcd,vip", "k8s-node-01", "--host takes a single drill"),
    ],
)
def test_what_was_mistyped_is_refused_before_a_host_is_asked(
    tmp_path: Path, part: str, host: str, why: str
) -> None:
    options = DrillOptions(part, tmp_path, INVENTORY, host, allow_production=True, yes=True)
    with pytest.raises(UserError, match=why):
        workflow.run_drills(options)
    assert not list(tmp_path.iterdir())
