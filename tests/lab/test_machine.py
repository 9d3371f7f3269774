"""The lab changes nothing on the machine, and says why where it cannot run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import cgroups, prerequisites
from lab.machine import Lab, LabUnavailable, running_lab, unavailable

from .conftest import until

pytestmark = pytest.mark.lab

#: What the kernel counts by itself.
VOLATILE = (
    "fs.dentry-state", "fs.file-nr", "fs.inode-nr", "fs.inode-state", "fs.quota", "fs.aio-nr",
    "kernel.ns_last_pid", "kernel.pty.nr", "kernel.random", "net.netfilter.nf_conntrack_count",
    "kernel.perf_event_max_sample_rate",
)  # fmt: skip


def sysctls() -> dict[str, str]:
    shown = subprocess.run(["sysctl", "-a"], capture_output=True, text=True, check=False).stdout
    pairs = (line.partition(" = ")[::2] for line in shown.splitlines())
    return {name: value for name, value in pairs if not name.startswith(VOLATILE)}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each value that is not as before."""
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def test_no_sysctl_of_the_machine_changes() -> None:
    before = sysctls()
    with running_lab(f"test-{os.getpid()}-sysctl", hosts=["k8s-node-01"]) as lab:
        host = lab["k8s-node-01"]
        # Who asks for it on a host, changes the host, or is told that he cannot.
        (host.root / "etc/sysctl.d/99-test.conf").write_text(
            "kernel.sysrq=1\nvm.swappiness=1\nfs.file-max=4242\nnet.ipv4.ip_forward=1\n"
        )
        host.power_cycle()
        assert host.run("sysctl -n net.ipv4.ip_forward").stdout == b"1\n"
        for setting in ("vm.swappiness=1", "kernel.pid_max=4242", "fs.file-max=4242"):
            refused = host.run(f"sysctl -w {setting}", check=False)
            assert refused.returncode != 0, setting
        assert differences(before, sysctls()) == []
    assert differences(before, sysctls()) == []


def test_a_host_cannot_set_the_clock_or_swap_of_the_machine(lab: Lab) -> None:
    for command in ("date --set 2001-01-01", "swapon /dev/null", "swapoff /dev/null",
                    "modprobe br_netfilter"):  # fmt: skip
        over_ssh = ["ssh", "-F", str(lab.ssh_config), "k8s-master-01", command]
        done = subprocess.run(over_ssh, capture_output=True, text=True, check=False)
        assert done.returncode != 0, command
    swapped = ["ssh", "-F", str(lab.ssh_config), "k8s-master-01", "swapoff --all; cat /proc/swaps"]
    assert subprocess.check_output(swapped, text=True) == Path("/proc/swaps").read_text()


def _commands_in(group: Path) -> list[bytes]:
    """The command line of every process in a control group and those below it.

    A host's systemd makes and removes groups while they are read (a login's slice, say), and
    processes end: what is gone meanwhile is not in the answer.
    """
    found = []
    for folder, _, names in os.walk(group):
        if "cgroup.procs" not in names:
            continue
        try:
            pids = (Path(folder) / "cgroup.procs").read_text().split()
        except OSError:  # ENOENT before it is opened, ENODEV after
            continue
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append((Path("/proc") / pid / "cmdline").read_bytes())
    return found


def test_all_of_a_host_is_in_its_groups(lab: Lab) -> None:
    """So that a power cut reaches all of it, in each hierarchy alike."""
    host = lab["k8s-master-01"]
    host.run("exec sleep 4545 > /dev/null 2>&1 &")
    until(lambda: b"sleep 4545" in host.run("ps -eo args").stdout)
    for group in cgroups.groups(lab.name, host.name):
        names = _commands_in(group)
        for command in (b"systemd-nspawn", b"/usr/lib/systemd/systemd", b"sshd", b"sleep\x004545"):
            assert any(command in name for name in names), f"{command!r} is not in {group}"
    host.run("pkill -f 'sleep 454[5]'")


def test_all_labs_together_count_as_several_processes(lab: Lab) -> None:
    """One test run beside it must not take a cluster's leaders their time to renew."""
    tops = [group.parent for group in cgroups.groups(lab.name)]
    found = {
        (top / name).read_text().strip()
        for top in tops
        for name in ("cpu.shares", "cpu.weight")
        if (top / name).exists()
    }
    assert found <= {str(cgroups.WEIGHT * 1024), str(cgroups.WEIGHT * 100)}
    assert found


def test_not_for_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    reason = unavailable()
    assert reason is not None
    assert "needs root" in reason
    with pytest.raises(LabUnavailable, match="needs root"):
        Lab(f"test-{os.getpid()}-no").up()
    with pytest.raises(LabUnavailable, match="needs root"):
        Lab(f"test-{os.getpid()}-no").down()


@pytest.mark.parametrize("kind", ["overlay", "tmpfs"])
def test_not_on_a_disk_that_is_none(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "_filesystem_of", lambda _: kind)
    reason = unavailable()
    assert reason is not None
    assert f"it is on {kind}" in reason


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(name: str, path: str | None = None) -> str | None:
        return None if name in ("systemd-nspawn", "apt-get") else f"/usr/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)
    assert prerequisites.missing_packages() == ["systemd-container"]
    reason = unavailable()
    assert reason is not None
    assert "systemd-container" in reason


def test_missing_packages_are_installed_with_a_line_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[str]] = []

    def apt(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(argv)
        return subprocess.CompletedProcess(argv, 100 if len(calls) == 1 else 0, "", "")

    monkeypatch.setattr(prerequisites, "missing_packages", lambda _: ["debootstrap"])
    monkeypatch.setattr(subprocess, "run", apt)
    output: list[str] = []
    prerequisites.install_missing(output.append)
    assert output == ["installing Debian packages the lab needs: debootstrap"]
    assert [argv[1] for argv in calls] == ["install", "update", "install"]


def test_a_machine_that_is_full_says_so(
    monkeypatch: pytest.MonkeyPatch, remaining: Callable[[str], list[str]]
) -> None:
    monkeypatch.setattr(prerequisites, "_INOTIFY", 100_000.0)
    name = f"test-{os.getpid()}-full"
    with pytest.raises(LabUnavailable, match=r"no room for 5 more hosts.*max_user_instances"):
        Lab(name).up()
    Lab(name).down()
    assert remaining(name) == []
