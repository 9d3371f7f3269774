"""The lab's ssh works from anywhere on the machine and believes no key but the hosts' own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from lab.machine import Lab, LabHost

pytestmark = pytest.mark.lab


def ssh(lab: Lab, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-F", str(lab.ssh_config), "-o", "BatchMode=yes", *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    """A host that the test may spoil."""
    yield lab["k8s-master-01"]
    lab["k8s-master-01"].reset()


def test_by_name_and_by_address(lab: Lab) -> None:
    for host in lab.hosts:
        for target in (host.name, host.address):
            assert ssh(lab, target, "hostname; id -un").stdout == f"{host.name}\nroot\n"


def test_a_changed_host_key_is_refused(lab: Lab, host: LabHost) -> None:
    host.run(
        "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key;"
        "systemctl restart ssh"
    )
    refused = ssh(lab, host.address, "true")
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr


def test_an_unknown_host_key_is_refused_and_not_learnt(lab: Lab, host: LabHost) -> None:
    known = lab.known_hosts.read_text()
    lab.known_hosts.write_text("")
    try:
        refused = ssh(lab, host.address, "true")
        assert lab.known_hosts.read_text() == ""
    finally:
        lab.known_hosts.write_text(known)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_the_keys_are_those_on_the_hosts_disks(lab: Lab) -> None:
    known = lab.known_hosts.read_text()
    for host in lab.hosts:
        for public in (host.root / "etc/ssh").glob("ssh_host_*_key.pub"):
            assert " ".join(public.read_text().split()[:2]) in known


def test_only_the_owner_reads_private_keys(lab: Lab) -> None:
    for key in [lab.state / "id_ed25519", *lab.state.glob("hosts/*/identity/ssh_host_*_key"),
                *lab.state.glob("hosts/*/root/etc/ssh/ssh_host_*_key")]:  # fmt: skip
        assert key.stat().st_mode & 0o077 == 0, key


def test_a_dead_host_is_told_by_an_error(lab: Lab, host: LabHost) -> None:
    host.power_off()
    begun = time.monotonic()
    dead = ssh(lab, host.address, "true")
    assert dead.returncode == 255
    assert "proxy dialer did not pass back a connection" in dead.stderr
    assert time.monotonic() - begun < 90


def test_a_host_is_reached_as_soon_as_it_is_on(lab: Lab, host: LabHost) -> None:
    def operator(*argv: str) -> None:
        subprocess.run(lab.operator_argv(argv), check=True, timeout=120)

    # As if the last question for its address (arp(7)) had been asked just before it was on.
    often = "net.ipv4.neigh.br0.retrans_time_ms"
    host.power_off()
    operator("sysctl", "-q", f"{often}=20000")
    try:
        assert ssh(lab, host.address, "true").returncode == 255
        host.power_on()
        assert ssh(lab, host.address, "true").returncode == 0
    finally:
        operator("sysctl", "-q", f"{often}=1000")


def test_it_does_not_need_the_users_own_configuration(lab: Lab) -> None:
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        ["ssh", "-F", lab.ssh_config, "k8s-master-01", "true"],
        env=clean,
        cwd="/",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0
