"""A lab that is taken down leaves nothing, however it came to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import cgroups, disk, network
from lab.machine import Lab, remove_stale_test_labs

from .conftest import Inner

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]

Left = Callable[[str], list[str]]


def _start(code: str, *args: str) -> subprocess.Popen[str]:
    """Run Python code that uses the lab in a process of its own, to be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


#: Two hosts do for most of it; the machine has no room for many.
TWO = ("k8s-node-01", "k8s-node-02")
UP = f"import sys; from lab.machine import Lab; Lab(sys.argv[1], print, {TWO}).up()"


def test_up_then_down_leaves_nothing(
    name: str, remaining: Left, inner: Callable[[Lab], Inner]
) -> None:
    lab = Lab(name)
    lab.up()
    assert lab.is_up
    assert all(host.running for host in lab.hosts)
    world = inner(lab)
    served = subprocess.Popen(lab.operator_argv(["sleep", "600"]))  # as a registry would be
    lab.down()
    assert served.wait(60) == -signal.SIGKILL
    assert not lab.is_up
    assert remaining(name) == []
    assert world.inhabitants() == []


def test_up_of_a_lab_that_is_up_switches_on_what_is_off(name: str) -> None:
    output: list[str] = []
    lab = Lab(name, output.append, TWO)
    lab.up()
    machine_id = (lab.hosts[0].root / "etc/machine-id").read_text()
    lab["k8s-node-01"].power_off()
    assert not lab["k8s-node-01"].running
    output.clear()
    lab.up()
    assert lab["k8s-node-01"].running
    assert output == [f"lab {name} is up, hosts to switch on:", "  k8s-node-01"]
    assert (lab.hosts[0].root / "etc/machine-id").read_text() == machine_id


def test_two_who_raise_the_same_lab_at_once_get_one(name: str) -> None:
    both = [_start(UP, name), _start(UP, name)]
    output = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], output
    assert sum("is up" in text for text in output) == 1
    assert all(host.running for host in Lab(name).hosts)


@pytest.mark.parametrize("after", [0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.8, 1.2])
def test_killed_while_raising(name: str, remaining: Left, after: float) -> None:
    """SIGKILL at any moment; then `down` at once, while what was started may still be starting."""
    raising = _start(UP, name)
    time.sleep(after)
    os.killpg(raising.pid, signal.SIGKILL)
    raising.communicate()
    Lab(name).down()
    assert remaining(name) == []
    time.sleep(0.3)  # nothing rises from the dead
    assert remaining(name) == []


@pytest.mark.parametrize("step", ["unreachable from", "bridge", "booting", "accept logins"])
def test_up_after_up_was_killed(name: str, step: str) -> None:
    """Killed right after a step; only the process itself, its children go on."""
    code = f"""
import os, sys
from lab.machine import Lab
def say(line):
    if {step!r} in line: os.kill(os.getpid(), 9)
Lab(sys.argv[1], say, {TWO}).up()
"""
    killed = _start(code, name)
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert not Lab(name).is_up
    lab = Lab(name, hosts=TWO)
    lab.up()
    assert all(status.banner for status in lab.status())


def test_interrupted_while_raising(name: str, remaining: Left) -> None:
    """Ctrl-C takes down what was raised so far."""
    raising = _start(UP, name)
    assert raising.stdout
    for line in raising.stdout:
        if "booting" in line:
            os.killpg(raising.pid, signal.SIGINT)
            break
    output = raising.communicate(timeout=300)[0]
    assert raising.returncode != 0
    assert "the start failed; removing the lab" in output
    assert remaining(name) == []


def _restart_of_the_machine(lab: Lab) -> None:
    """What a restart does: processes, groups, mounts and namespaces go, files stay."""
    cgroups.kill(lab.name)
    cgroups.remove(lab.name)
    disk.unmount_below(lab.state, [])
    network.remove_all(lab.name, [])
    state = lab.state / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "boot_id": "another boot"}))


def test_after_a_restart_of_the_machine(name: str, remaining: Left) -> None:
    lab = Lab(name, hosts=TWO)
    lab.up()
    _restart_of_the_machine(lab)
    assert not lab.is_up
    lab.up()
    assert all(status.banner for status in lab.status())
    _restart_of_the_machine(lab)
    lab.down()
    assert remaining(name) == []


def test_what_a_host_made_immutable_goes_too(name: str, remaining: Left) -> None:
    lab = Lab(name, hosts=TWO)
    lab.up()
    host = lab["k8s-node-01"]
    host.run("touch /etc/keep")
    subprocess.run(["chattr", "+i", host.folder / "upper/etc/keep"], check=True)
    lab.down()
    assert remaining(name) == []


def test_someone_who_stands_in_a_host_does_not_hold_it(name: str, remaining: Left) -> None:
    lab = Lab(name, hosts=TWO)
    lab.up()
    shell = subprocess.Popen(["sleep", "600"], cwd=lab["k8s-node-01"].root)
    try:
        lab.down()
        assert remaining(name) == []
    finally:
        shell.kill()
        shell.wait()


RUNNING = """
import os, sys, time
from lab.machine import running_lab
name = f"test-{os.getpid()}"
with running_lab(name, hosts=["k8s-node-01"]):
    print(name, flush=True)
    time.sleep(600)
"""


def test_raised_ends_with_sigterm(remaining: Left) -> None:
    holder = _start(RUNNING)
    assert holder.stdout
    name = holder.stdout.readline().strip()
    assert Lab(name).is_up
    holder.terminate()
    holder.communicate(timeout=300)
    assert holder.returncode == 128 + signal.SIGTERM
    assert remaining(name) == []


def test_raised_is_swept_after_sigkill(remaining: Left) -> None:
    holder = _start(RUNNING)
    assert holder.stdout
    name = holder.stdout.readline().strip()
    assert name not in remove_stale_test_labs()  # its process lives
    holder.kill()
    holder.communicate()
    assert name in remove_stale_test_labs()
    assert remaining(name) == []


def test_down_of_nothing(remaining: Left) -> None:
    name = f"test-{os.getpid()}-nothing"
    Lab(name).down()
    assert remaining(name) == []
