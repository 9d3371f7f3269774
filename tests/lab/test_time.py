"""The lab's hosts synchronize with its time server, and nothing of a lab can set the clock."""

import re
from pathlib import Path

import pytest

from lab import cgroups, time_server
from lab.machine import Lab, LabHost

from .conftest import until

pytestmark = pytest.mark.lab

CAP_SYS_TIME = 1 << 25


def time_programs(lab: Lab) -> dict[int, str]:
    """The command line of each chronyd of the lab, by its number on the machine."""
    found = {}
    for pid in cgroups.processes(lab.name):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[0].endswith("chronyd"):
            found[pid] = " ".join(words)
    return found


def capabilities(pid: int) -> list[int]:
    """What it has, what it may get, and what its programs inherit."""
    status = Path(f"/proc/{pid}/status").read_text()
    return [int(mask, 16) for mask in re.findall(r"^Cap\w+:\s*(\w+)$", status, re.M)]


def sources(host: LabHost) -> str:
    return host.run("chronyc -h 127.0.0.1 -n -c sources").stdout.decode()


def synchronized(host: LabHost) -> None:
    """chrony.service waits for this for seconds only (lab/image_chrony.sh), and a busy machine
    answers a packet of NTP late."""
    until(lambda: sources(host).startswith("^,*,10.208.1.1,8,"), lambda: sources(host))


def test_no_time_program_can_set_the_machines_clock(lab: Lab) -> None:
    programs = time_programs(lab)
    assert len(programs) > len(lab.hosts)
    for pid, command in programs.items():
        assert " -x " in f"{command} ", command
        masks = capabilities(pid)
        assert len(masks) == 5
        assert not any(mask & CAP_SYS_TIME for mask in masks), command


def test_a_host_is_synchronized_when_it_has_booted(lab: Lab) -> None:
    host = lab["k8s-node-02"]
    host.power_cycle()
    synchronized(host)


def test_a_time_server_that_died_is_started_again(lab: Lab) -> None:
    cgroups.kill(lab.name, time_server.GROUP)
    assert not cgroups.processes(lab.name, time_server.GROUP)
    lab.up()
    assert cgroups.processes(lab.name, time_server.GROUP)
    # A fresh chronyd, because the old one keeps its source for some polls.
    lab["k8s-master-01"].run("systemctl restart chrony")
    synchronized(lab["k8s-master-01"])


def test_the_operators_mac_address_outlives_power_cuts(lab: Lab) -> None:
    """Else the hosts lose their time server for seconds, and the operator their answers."""
    lab["k8s-master-01"].run("ping -c 1 -W 30 10.208.1.1")
    for host in lab.hosts[1:]:
        host.power_off()
    lab["k8s-master-01"].run("ping -c 1 -W 30 10.208.1.1")
    for host in lab.hosts[1:]:
        host.power_on()
    lab["k8s-master-01"].run("ping -c 1 -W 30 10.208.1.1")
