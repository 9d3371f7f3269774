"""The lab leads nowhere, and the machine never sends to the lab's addresses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import network
from lab.machine import Lab, running_lab
from lab.topology import LAB_RANGES

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


def test_a_host_reaches_nothing_outside(lab: Lab) -> None:
    host = lab["k8s-master-01"]
    tried = host.run("timeout 60 bash -c 'echo > /dev/tcp/192.0.2.1/80'", check=False)
    assert tried.returncode == 1  # refused at once; 124 would be the timeout
    assert b"Network is unreachable" in tried.stderr
    assert host.run("timeout 60 getent hosts example.org", check=False).returncode == 2


def test_the_operators_namespace_has_no_uplink(lab: Lab) -> None:
    shown = subprocess.check_output(lab.operator_argv(["ip", "-json", "-details", "link"]))
    links = {link["ifname"]: link for link in json.loads(shown)}
    assert set(links) == {"lo", network.BRIDGE, *(host.name for host in lab.hosts)}
    routes = subprocess.check_output(lab.operator_argv(["ip", "route"]), text=True)
    assert routes.startswith("10.208.1.0/24 dev br0")
    assert len(routes.splitlines()) == 1


def test_the_machine_has_no_way_to_the_labs_addresses(lab: Lab) -> None:
    done = subprocess.run(
        ["ip", "route", "get", lab.hosts[0].address], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No route to host" in done.stderr or "Network is unreachable" in done.stderr


def test_hosts_reach_each_other_and_the_operator(lab: Lab) -> None:
    first, second = lab.hosts
    first.run(f"ping -c 1 -W 30 {second.address} && ping -c 1 -W 30 10.208.1.1")


def test_labs_side_by_side_do_not_meet(lab: Lab) -> None:
    """A second lab has the same addresses and other hosts behind them."""
    host = lab["k8s-master-01"]
    with running_lab(f"test-{os.getpid()}-other", hosts=[host.name]) as other:
        twin = other[host.name]
        host.run("touch /root/mine")
        assert twin.run("test -e /root/mine", check=False).returncode == 1
        ids = set()
        for each in (lab, other):
            done = ["ssh", "-F", str(each.ssh_config), host.address, "cat /etc/machine-id"]
            ids.add(subprocess.check_output(done))
        assert len(ids) == 2
        twin.power_off()
        assert host.running
    assert host.running
    assert host.status().banner
    host.run("rm /root/mine")


def _in_a_namespace(setup: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a network namespace of its own, as if it were the machine's."""
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", f'{setup}\nexec "$0" -c "$1"', sys.executable, code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


GUARD = """
import subprocess
from lab import network
show = lambda: print(subprocess.check_output(["ip", "route"], text=True).strip() or "none")
network.block_lab_ranges(); network.block_lab_ranges(); show()
network.unblock_lab_ranges(); show()
"""


def test_the_guard_is_put_once_and_taken_away() -> None:
    routes = [f"unreachable {r} proto {network.PROTOCOL}" for r in sorted(LAB_RANGES)]
    output = _in_a_namespace("", GUARD).stdout.splitlines()
    assert [line.rstrip() for line in output] == [*routes, "none"]


def test_a_guard_that_was_there_stays() -> None:
    setup = "\n".join(f"ip route add unreachable {r}" for r in LAB_RANGES)
    routes = [f"unreachable {r}" for r in sorted(LAB_RANGES)]
    output = _in_a_namespace(setup, GUARD).stdout.splitlines()
    assert [line.rstrip() for line in output] == [*routes, *routes]


@pytest.mark.parametrize("address", ["10.208.1.7/24", "10.208.1.7/32", "10.208.1.129/25"])
def test_a_machine_of_the_site_is_refused(address: str) -> None:
    """Where the addresses may be real hosts there is no lab."""
    setup = (
        "ip link set lo up; ip link add site0 type veth peer name site1; ip link set site0 up;"
        f"ip link set site1 up; ip address add {address} dev site0"
    )
    refused = _in_a_namespace(setup, GUARD)
    assert refused.returncode == 1
    assert "LabUnavailable: this machine has a route to 10.208.1." in refused.stderr
