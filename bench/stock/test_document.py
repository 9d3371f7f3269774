"""Chapters 4 to 9 of the document as testinfra's documentation advises to write them.

One test for each requirement and aspect, named after both: the benchmark compares its verdict
with the audit's. Simpler than the audit's readers (no precedence of every folder, no boot-time
rewriting), and right for the lab's hosts.
"""

from math import inf
from typing import Any

Host = Any  # its modules (file, service, …) are not in testinfra's types

VIP = "10.208.1.190"
VIP_NAMES = ("master.k8s.io", "k8s-vip")
USER = "ops"
FOLDER = "/etc/security/limits.d"


def test_os_release_runtime(host: Host) -> None:
    assert host.system_info.distribution == "debian"
    assert host.system_info.release == "12"
    major, minor = host.check_output("uname -r").split(".")[:2]
    assert (int(major), int(minor)) >= (4, 18)


def test_hosts_vip_runtime(host: Host) -> None:
    for name in VIP_NAMES:
        assert host.addr(name).ip_addresses == [VIP]


def test_hosts_vip_persisted(host: Host) -> None:
    lines = host.file("/etc/hosts").content_string.splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    for name in VIP_NAMES:
        assert [w[0] for w in words if name in w[1:]] == [VIP]


def test_name_hostname_runtime(host: Host) -> None:
    assert host.check_output("hostname") == host.backend.get_hostname()


def test_name_hostname_persisted(host: Host) -> None:
    assert host.file("/etc/hostname").content_string.strip() == host.backend.get_hostname()


def test_fw_firewalld_runtime(host: Host) -> None:
    assert not host.service("firewalld").is_running


def test_fw_firewalld_persisted(host: Host) -> None:
    assert not host.service("firewalld").is_enabled


def test_sec_selinux_runtime(host: Host) -> None:
    enforce = host.file("/sys/fs/selinux/enforce")
    assert not enforce.exists or enforce.content_string == "0"


def test_sec_selinux_persisted(host: Host) -> None:
    config = host.file("/etc/selinux/config")
    assert not config.exists or config.contains("^SELINUX=disabled")


def test_swap_off_runtime(host: Host) -> None:
    assert host.check_output("swapon --noheadings --show") == ""


def test_swap_off_persisted(host: Host) -> None:
    lines = host.file("/etc/fstab").content_string.splitlines()
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    assert not [f for f in fields if f[2:3] == ["swap"]]
    units = "systemctl list-unit-files --type=swap --no-legend --plain"  # status 1 for none
    assert host.run(units).stdout == ""


def test_sys_ip_forward_runtime(host: Host) -> None:
    assert host.sysctl("net.ipv4.ip_forward") == 1


def test_sys_ip_forward_persisted(host: Host) -> None:
    assert _at_boot(host, "net.ipv4.ip_forward") == "1"


def test_sys_bridge_iptables_runtime(host: Host) -> None:
    assert host.sysctl("net.bridge.bridge-nf-call-iptables") == 1


def test_sys_bridge_iptables_persisted(host: Host) -> None:
    assert _at_boot(host, "net.bridge.bridge-nf-call-iptables") == "1"


def test_sys_bridge_ip6tables_runtime(host: Host) -> None:
    assert host.sysctl("net.bridge.bridge-nf-call-ip6tables") == 1


def test_sys_bridge_ip6tables_persisted(host: Host) -> None:
    assert _at_boot(host, "net.bridge.bridge-nf-call-ip6tables") == "1"


def _at_boot(host: Host, key: str) -> str | None:
    """The value of the last line for this key, in the order in which systemd reads them."""
    value = None
    for line in host.check_output("systemd-analyze cat-config sysctl.d").splitlines():
        name, equals, text = line.partition("=")
        if equals and name.strip().lstrip("-").replace("/", ".") == key:
            value = text.strip()
    return value


def test_mod_br_netfilter_runtime(host: Host) -> None:
    # Neither lsmod nor /sys/module has it where it is built into the kernel.
    assert host.file("/proc/sys/net/bridge/bridge-nf-call-iptables").exists


def test_mod_br_netfilter_persisted(host: Host) -> None:
    lines = host.check_output("systemd-analyze cat-config modules-load.d").splitlines()
    assert "br_netfilter" in [line.strip() for line in lines]
    forbidden = r"grep -rhsE '^(blacklist|install) +br_netfilter' /etc/modprobe.d /lib/modprobe.d"
    assert host.run(forbidden).stdout == ""


def test_bridge_proc_runtime(host: Host) -> None:
    assert host.file("/proc/sys/net/bridge").is_directory


def test_lim_nofile_runtime(host: Host) -> None:
    assert _least_of_login(host, "n") >= 65536


def test_lim_nofile_persisted(host: Host) -> None:
    assert _least_in_files(host, "nofile") >= 65536


def test_lim_nproc_runtime(host: Host) -> None:
    assert _least_of_login(host, "u") >= 65536


def test_lim_nproc_persisted(host: Host) -> None:
    assert _least_in_files(host, "nproc") >= 65536


def test_lim_memlock_runtime(host: Host) -> None:
    assert _least_of_login(host, "l") == inf


def test_lim_memlock_persisted(host: Host) -> None:
    assert _least_in_files(host, "memlock") == inf


def _least_of_login(host: Host, letter: str) -> float:
    """The lower of soft and hard limit in a fresh login; bash has a letter for each."""
    script = f"bash -c 'ulimit -S{letter}; ulimit -H{letter}'"
    found = host.check_output("su - %s -c %s", USER, script).splitlines()
    return min(_number(word) for word in found)


def _least_in_files(host: Host, item: str) -> float:
    """The lower of soft and hard limit for `*`, of each the last line; 0 where none sets it."""
    limits = {"soft": 0.0, "hard": 0.0}
    for path in ("/etc/security/limits.conf", *sorted(host.file(FOLDER).listdir())):
        file = host.file(path if path.startswith("/") else f"{FOLDER}/{path}")
        for line in file.content_string.splitlines():
            words = line.partition("#")[0].split()
            if len(words) == 4 and words[0] == "*" and words[2] == item:
                kinds = ("soft", "hard") if words[1] == "-" else (words[1],)
                limits.update(dict.fromkeys(kinds, _number(words[3])))
    return min(limits.values())


def _number(word: str) -> float:
    return inf if word in ("unlimited", "infinity", "-1") else float(word)
