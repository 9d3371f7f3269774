"""The hosts are fresh Debian 12 machines, and a power cut is one."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab.machine import Lab, LabError, LabHost

from .conftest import until

pytestmark = pytest.mark.lab


def text(host: LabHost, script: str) -> str:
    return host.run(script).stdout.decode().strip()


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    """A host that the test may spoil."""
    yield lab["k8s-master-01"]
    lab["k8s-master-01"].reset()


def test_a_host_is_a_fresh_debian(lab: Lab) -> None:
    for host in lab.hosts:
        assert 'PRETTY_NAME="Debian GNU/Linux 12' in text(host, "cat /etc/os-release")
        assert text(host, "systemctl is-system-running") == "running"
        assert text(host, "hostname; cat /etc/hostname") == f"{host.name}\n{host.name}"
        assert f"{host.address}/24" in text(host, "ip -brief address show dev eth0")
        assert "10.208.1.190" not in text(host, "cat /etc/hosts; ip address")
        assert text(host, "getent passwd ops") == "ops:x:1000:1000::/home/ops:/bin/bash"
        assert text(host, "passwd --status ops").split()[1] == "L"
        assert text(host, "sysctl -n net.ipv4.ip_forward") == "0"
        assert text(host, "sysctl -n net.bridge.bridge-nf-call-iptables") == "1"
        assert text(host, "ls /etc/sysctl.d") == "99-sysctl.conf\nREADME.sysctl"
        assert text(host, "systemctl is-enabled systemd-networkd || true") == "disabled"
        assert text(host, "cat /etc/resolv.conf") == "nameserver 10.208.1.1"
        assert text(host, "ls /usr/bin/fish; ls /var/lib/kubelet /var/lib/etcd") == (
            "/usr/bin/fish\n/var/lib/etcd:\n\n/var/lib/kubelet:"
        )


def test_what_must_differ_between_hosts_does(lab: Lab) -> None:
    for secret in (
        "/etc/machine-id",
        "/etc/ssh/ssh_host_ed25519_key.pub",
        "/sys/class/net/eth0/address",
        "/proc/sys/kernel/random/boot_id",
    ):
        assert len({text(host, f"cat {secret}") for host in lab.hosts}) == len(lab.hosts), secret


def test_firewalld_runs_on_one_host_as_debian_leaves_it(lab: Lab) -> None:
    finished = "systemctl is-active firewalld; systemctl is-enabled firewalld 2>/dev/null; true"
    assert text(lab["k8s-node-02"], finished) == "active\nenabled"
    assert text(lab["k8s-master-01"], finished) == "inactive"


def test_run_gives_streams_status_and_input_as_they_are(lab: Lab) -> None:
    host = lab["k8s-master-01"]
    done = host.run("cat; printf 'e\\0' >&2; exit 3", check=False, input=b"\0\xff\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"\0\xff\n", b"e\0", 3)
    with pytest.raises(LabError, match=r"k8s-master-01: `echo why >&2; false` failed \(1\): why"):
        host.run("echo why >&2; false")


def test_run_ends_what_takes_too_long(lab: Lab) -> None:
    host = lab["k8s-master-01"]
    with pytest.raises(subprocess.TimeoutExpired):
        host.run("sleep 4242", timeout=0.3)
    assert text(host, "pgrep -f '[s]leep 4242' || true") == ""


def test_a_power_cycle_keeps_files_and_forgets_the_rest(host: LabHost) -> None:
    machine_id = text(host, "cat /etc/machine-id")
    host.run(
        "sysctl -q -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=0;"
        "hostname changed; ip link add extra type bridge; ip route add 10.9.9.0/24 via 10.208.1.1;"
        "nft add table inet extra; echo kept > /root/kept; sync; touch /run/gone"
    )
    host.power_cycle()
    assert text(host, "sysctl -n net.ipv4.ip_forward") == "0"
    assert text(host, "sysctl -n net.bridge.bridge-nf-call-iptables") == "1"
    assert text(host, "hostname") == host.name
    assert text(host, "ls /sys/class/net") == "eth0\nlo"
    assert "10.9.9.0" not in text(host, "ip route")
    assert text(host, "nft list tables") == ""
    assert text(host, "cat /root/kept; cat /etc/machine-id") == f"kept\n{machine_id}"
    assert text(host, "test ! -e /run/gone && echo gone") == "gone"


def test_what_is_persisted_is_read_by_the_next_boot(host: LabHost) -> None:
    host.run(
        "echo net.ipv4.ip_forward=1 > /etc/sysctl.d/90-test.conf; echo other > /etc/hostname;"
        "systemctl disable ssh"
    )
    host.run("systemctl enable ssh")
    host.power_cycle()
    assert text(host, "sysctl -n net.ipv4.ip_forward; hostname") == "1\nother"


def test_without_a_hostname_file_the_name_is_not_the_machines(host: LabHost) -> None:
    (host.root / "etc/hostname").unlink()
    host.power_cycle()
    assert text(host, "hostname") == "localhost"


def test_a_reboot_from_inside_is_a_boot_like_any_other(host: LabHost) -> None:
    host.run("sysctl -q -w net.ipv4.ip_forward=1; echo kept > /root/kept")
    host.reboot()
    assert text(host, "sysctl -n net.ipv4.ip_forward; cat /root/kept") == "0\nkept"
    assert host.status().banner


def test_a_host_that_switched_itself_off_can_be_switched_on(host: LabHost) -> None:
    host.run("systemctl poweroff", check=False)
    until(lambda: not host.running)
    with pytest.raises(LabError, match="is off"):
        host.run("true")
    host.power_on()
    assert host.status().banner


def test_a_power_cut_kills_what_a_host_started_and_says_no_goodbye(host: LabHost, lab: Lab) -> None:
    host.run("setsid sleep 4343 > /dev/null 2>&1 < /dev/null &")
    watching = subprocess.Popen(
        ["ssh", "-F", lab.ssh_config, host.name, "echo in; sleep 600"],
        stdout=subprocess.PIPE,
    )
    assert watching.stdout
    assert watching.stdout.readline() == b"in\n"
    host.power_off()
    assert not host.running
    assert subprocess.run(["pgrep", "-f", "sleep 434[3]"], check=False).returncode == 1
    status = host.status()
    assert (status.on, status.banner, status.uptime) == (False, None, None)
    # A dead host sends no FIN: who was connected finds out by a timeout of his own.
    with pytest.raises(subprocess.TimeoutExpired):
        watching.wait(0.5)
    watching.kill()
    watching.communicate()


def test_reset_gives_a_fresh_disk_to_the_same_host(host: LabHost, lab: Lab) -> None:
    same = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    before = text(host, same)
    host.run("echo spoiled > /etc/issue; rm -rf /etc/ssh /usr/sbin/sshd; touch /etc/keep")
    subprocess.run(["chattr", "+i", host.folder / "upper/etc/keep"], check=True)
    host.reset()
    assert text(host, same) == before
    assert text(host, "ls /etc/keep 2>/dev/null; cat /etc/issue").startswith("Debian")
    finished = subprocess.run(["ssh", "-F", lab.ssh_config, host.name, "true"], check=False)
    assert finished.returncode == 0


def test_the_disk_can_be_changed_while_the_host_is_off(host: LabHost) -> None:
    host.power_off()
    (host.root / "etc/motd").write_text("written while off\n")
    host.power_on()
    assert text(host, "cat /etc/motd") == "written while off"


def test_uptime_is_the_hosts(host: LabHost) -> None:
    before = time.monotonic()
    host.power_cycle()
    uptime = host.status().uptime
    assert uptime is not None
    assert uptime <= time.monotonic() - before + 0.1, "it began to boot after the power cut"


def test_no_such_host(lab: Lab) -> None:
    with pytest.raises(LabError, match=re.escape("no host 'k8s-node-03'")):
        lab["k8s-node-03"]
    with pytest.raises(LabError, match="cannot be the name of a lab"):
        Lab("../etc")
