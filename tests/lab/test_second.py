"""A second cluster's hosts beside the baseline's: their inventory, and the way between the pods."""

from __future__ import annotations

import os
from itertools import combinations

import pytest

from hale.inventory import ini
from lab import tasks, topology
from lab.errors import LabError
from lab.machine import Lab, running_lab


def test_no_range_overlaps_another() -> None:
    for one, other in combinations(topology.LAB_RANGES, 2):
        assert not one.overlaps(other), f"{one} and {other}"
    addresses = [host.address for host in topology.KNOWN_HOSTS]
    assert len({*addresses, topology.VIP, topology.SECOND_VIP}) == len(addresses) + 2
    assert all(address in topology.NETWORK for address in addresses)


@pytest.mark.parametrize(
    ("hosts", "second", "names"),
    [
        ("", 0, None),
        ("k8s-node-02", 0, ["k8s-node-02"]),
        ("k8s-master-01", 1, ["k8s-master-01", "k8s-b-master-01"]),
        ("", 3, [host.name for host in topology.KNOWN_HOSTS]),
    ],
)
def test_the_hosts_to_start(hosts: str, second: int, names: list[str] | None) -> None:
    assert tasks.chosen_hosts(hosts, second) == names


@pytest.mark.parametrize(
    ("hosts", "second", "why"),
    [("", 2, "has 1 or 3 hosts, not 2"), ("k8s-b-master-01", 0, "not k8s-b-master-01")],
)
def test_what_cannot_be_started(hosts: str, second: int, why: str) -> None:
    with pytest.raises(LabError, match=why):
        tasks.chosen_hosts(hosts, second)


def test_a_lab_knows_its_second_cluster() -> None:
    assert Lab("test-second").second_hosts == ()
    made = Lab("test-second", hosts=["k8s-master-01", "k8s-b-master-01"])
    assert [host.name for host in made.second_hosts] == ["k8s-b-master-01"]


def test_the_way_between_the_pods() -> None:
    """Both ways lead through the same hosts, the first of each cluster."""
    hosts = topology.KNOWN_HOSTS
    first, second = topology.HOSTS[0], topology.SECOND_HOSTS[0]
    for host in hosts:
        ((there, by),) = topology.pod_routes(host, hosts).items()
        if host in topology.SECOND_HOSTS:
            assert there == topology.POD_RANGE
            assert by == (first if host == second else second).address
        else:
            assert there == topology.SECOND_POD_RANGE
            assert by == (second if host == first else first).address
        assert topology.pod_routes(host, topology.HOSTS) == {}


@pytest.mark.soak("a lab of its own")
@pytest.mark.lab
def test_two_inventories_and_a_way_between_the_pods() -> None:
    """An address of either pod range is reached from the other cluster, also after a power cut."""
    named = ["k8s-master-01", "k8s-b-master-01"]
    with running_lab(f"test-{os.getpid()}-second", hosts=named) as lab:
        for path, name in zip((lab.inventory, lab.second_inventory), named, strict=True):
            assert [host.name for host in ini.load_inventory(path).hosts] == [name]
        first, second = (lab[name] for name in named)
        first.power_cycle()
        for there, here, pods in (
            (first, second, topology.POD_RANGE),
            (second, first, topology.SECOND_POD_RANGE),
        ):
            address = pods[9]
            reach = f"timeout 10 bash -c '</dev/tcp/{address}/22'"
            assert here.run(reach, check=False).returncode, "nothing has the address yet"
            there.run(f"ip address add {address}/32 dev lo")
            here.run(reach)
        assert lab.is_up
        assert [host.name for host in Lab(lab.name).hosts] == named
