"""A host runs containers, and a power cut takes all that they leave."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import cgroups
from lab.machine import Lab, LabHost

from .conftest import Inner, Install

pytestmark = pytest.mark.lab

ECHO = "10.208.1.1:5000/lab/echo:1"
_NO_ECHO = """
ctr task resume echo; ctr task kill --signal SIGKILL echo; ctr task rm --force echo
ctr container rm echo; ip netns del pod; ip link del cni0
true
"""


@pytest.fixture
def host(supplied: LabHost, install: Install) -> LabHost:
    """A host with containerd and one image, from the lab's own supply."""
    install(supplied, "containerd")
    supplied.run(f"ctr image pull --plain-http {ECHO}")
    return supplied


@pytest.fixture
def echo(host: LabHost) -> str:
    """A container that runs, with a network namespace and a cable as a pod would have."""
    host.run(_NO_ECHO)  # of a first try that failed
    host.run(
        "ip netns add pod; ip link add cni0 type bridge; ip link set cni0 up;"
        "ip link add veth0 master cni0 up type veth peer name eth0 netns pod;"
        "ip -n pod link set lo up; ip -n pod addr add 10.244.9.2/24 dev eth0;"
        "ip -n pod link set eth0 up; ip addr add 10.244.9.1/24 dev cni0;"
        f"ctr run --detach --cgroup /kubepods/echo --with-ns network:/run/netns/pod {ECHO} echo"
    )
    answer = host.run("curl --retry 5 --retry-connrefused -sS http://10.244.9.2:8080/")
    return answer.stdout.decode()


def test_a_power_cut_takes_containers_with_all_they_leave(
    host: LabHost, echo: str, inner: Callable[[Lab], Inner]
) -> None:
    assert echo.endswith(" 10.244.9.2:8080\n")
    groups = [g for g in cgroups.groups(host.lab.name, host.name) if [*g.rglob("kubepods/echo")]]
    assert groups  # they are inside the host's own
    assert host.run("ctr task list | grep -c RUNNING").stdout == b"1\n"
    world = inner(host.lab)
    try:
        host.power_off()
        assert [who for who in world.inhabitants() if "echo" in who or "containerd" in who] == []
        assert not any(group.exists() for group in groups)
        mounts = Path("/proc/self/mountinfo").read_text()
        assert "/real/" not in "".join(m for m in mounts.splitlines() if host.lab.name in m)
    finally:
        host.power_on()
    assert host.run("ls /sys/class/net").stdout == b"eth0\nlo\n"
    assert host.run("ls /run/netns 2>/dev/null; ctr task list -q; true").stdout == b""
    # What was on the disk is there: the image, and the container that no longer runs.
    assert ECHO in host.run("ctr image list -q; ctr container list -q").stdout.decode()
    host.run("ctr container rm echo; ctr image check | grep -q complete")


def test_a_frozen_container_dies_too(host: LabHost, echo: str) -> None:
    assert echo
    host.run("ctr task pause echo")
    assert b"PAUSED" in host.run("ctr task list").stdout
    host.power_cycle()
    host.run("ctr container rm echo")


def test_settings_that_a_kubelet_writes_are_the_hosts_own(host: LabHost) -> None:
    names = "vm.overcommit_memory kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys"
    shown = ["sysctl", "-n", *names.split()]
    before = subprocess.check_output(shown)
    host.run("sysctl -w vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1")
    assert host.run(f"sysctl -n {names}").stdout == b"1\n10\n1\n1000000\n"
    assert subprocess.check_output(shown) == before
    host.power_cycle()
    assert host.run(f"sysctl -n {names}").stdout == b"0\n0\n0\n1000000\n"


def test_a_host_reads_nothing_of_the_machines_kernel_log(host: LabHost) -> None:
    assert host.run("timeout 60 cat /dev/kmsg").stdout == b""


def test_mounts_are_shared_on_the_host_and_stay_there(host: LabHost) -> None:
    found = json.loads(host.run("findmnt -J -o PROPAGATION /").stdout)
    assert "shared" in found["filesystems"][0]["propagation"]
    host.run("mount -t tmpfs volume /var/lib/kubelet")
    try:
        assert "/real/kubelet" not in Path("/proc/self/mountinfo").read_text()
    finally:
        host.run("umount /var/lib/kubelet")


def test_a_reset_host_has_none_of_it(host: LabHost) -> None:
    host.run("echo data > /var/lib/etcd/member; echo config > /var/lib/kubelet/config.yaml")
    host.reset()
    assert host.run("ls -A /var/lib/containerd /var/lib/kubelet /var/lib/etcd").stdout == (
        b"/var/lib/containerd:\n\n/var/lib/etcd:\n\n/var/lib/kubelet:\n"
    )
