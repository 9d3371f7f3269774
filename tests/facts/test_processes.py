"""Whose process it is, in a /proc of files: a name alone, which anyone may take, counts nowhere.

test_processes_on_lab.py has the same on a real host.
"""

import subprocess
from pathlib import Path

import pytest

from facts import firewalld, time_sync
from facts.cluster import leftovers
from facts.parsers.listeners import LISTENERS, foreign_owner
from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import Unreadable
from hale.shell import PROCESSES

DIGEST = "0123456789abcdef0123456789abcdef"
API_UID = "55014bea-1dcc-4dcb-9b01-c4d817e9fe81"
SYSTEMD = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-1.scope"
CGROUPFS = "0::/kubepods/burstable/pod{}/8d2"
V1 = "12:pids:/kubepods/burstable/pod{0}/8d2\n1:name=systemd:/kubepods/burstable/pod{0}/8d2"
USERS = "0::/user.slice/user-1000.slice/user@1000.service/kubepods/pod{}/1"
SESSION = "0::/user.slice/user-1000.slice/session-3.scope"
ROOT_MAP = "         0          0 4294967295\n"


class Proc:
    """A folder in the place of /proc, and of the other folders that are named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process(1, "systemd", "0::/init.scope")
        (folder / "proc/self").mkdir()
        (folder / "proc/self/uid_map").write_text(ROOT_MAP)
        (folder / "proc/net").mkdir()

    def process(
        self, pid: int, name: str, group: str, *, uid: int = 0, net: str = "net:[1]",
        uid_map: str = ROOT_MAP, argv: str = "", exe: str = "", sockets: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        its = self.folder / f"proc/{pid}"
        (its / "fd").mkdir(parents=True)
        (its / "ns").mkdir()
        (its / "ns/net").symlink_to(net)
        (its / "comm").write_text(f"{name[:15]}\n")
        (its / "cgroup").write_text(f"{group}\n")
        (its / "cmdline").write_text((argv or name).replace(" ", "\0") + "\0")
        (its / "uid_map").write_text(uid_map)
        if exe:
            (its / "exe").symlink_to(exe)
        ids = "\t".join([str(uid)] * 4)
        (its / "status").write_text(f"Name:\t{name}\nUid:\t{ids}\nCapEff:\t000001ffffffffff\n")
        for number in sockets:
            (its / f"fd/{number}").symlink_to(f"socket:[{number}]")

    def logs(self, name: str) -> None:
        (self.folder / f"var/log/pods/{name}").mkdir(parents=True)

    def run(self, script: str) -> list[str]:
        for path in ("/proc/", "/var/log/pods/"):
            script = script.replace(path, f"{self.folder}{path}")
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
        assert not done.stderr
        return done.stdout.replace(str(self.folder), "").splitlines()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.mark.parametrize("form", [SYSTEMD, CGROUPFS, V1])
@pytest.mark.parametrize("logs", ["kube-system_kube-controller-manager-m1", ""])
def test_kubeadms_own(proc: Proc, form: str, logs: str) -> None:
    proc.process(7, "kube-controller-manager", form.format(DIGEST))
    if logs:
        proc.logs(f"{logs}_{DIGEST}")
    assert proc.run(f"{PROCESSES}static_pids kube-controller-manager") == ["7"]


@pytest.mark.parametrize(
    ("group", "logs"),
    [
        (SESSION, ""),
        ("0::/system.slice/users.service", ""),
        (USERS.format(DIGEST), ""),
        (USERS.format(DIGEST), f"kube-system_etcd-m1_{DIGEST}"),
        (f"0::/system.slice/x.service/pod{DIGEST}/1", f"kube-system_etcd-m1_{DIGEST}"),
        (CGROUPFS.format(API_UID), f"tenant_etcd-0_{API_UID}"),
        (SYSTEMD.format(API_UID.replace("-", "_")), f"kube-system_etcd-0_{API_UID}"),
        (CGROUPFS.format(DIGEST), f"kube-system_site-etcd-m1_{DIGEST}"),
        (CGROUPFS.format(DIGEST), f"tenant_etcd-m1_{DIGEST}"),
    ],
)
def test_no_etcd_of_kubeadms(proc: Proc, group: str, logs: str) -> None:
    proc.process(7, "etcd", group)
    if logs:
        proc.logs(logs)
    assert proc.run(f"{PROCESSES}static_pids etcd") == []


def test_a_daemon_sets(proc: Proc) -> None:
    proc.process(7, "kube-proxy", SYSTEMD.format(API_UID.replace("-", "_")))
    proc.process(8, "kube-proxy", CGROUPFS.format(API_UID.replace("5", "6")))
    proc.process(9, "kube-proxy", SESSION, uid=1000)
    proc.logs(f"kube-system_kube-proxy-x2vd4_{API_UID}")
    proc.logs(f"tenant_kube-proxy-x2vd4_{API_UID.replace('5', '6')}")
    assert proc.run(f"{PROCESSES}api_pod_pids kube-proxy") == ["7"]


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ("0::/system.slice/kube-proxy.service", True),
        ("1:name=systemd:/system.slice/kube-proxy.service", True),
        ("0::/system.slice/snap.microk8s.daemon-kube-proxy.service", True),
        ("0::/system.slice/kube-proxy.service/sub", True),
        ("0::/system.slice/cron.service", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/kube-proxy.service", False),
        ("0::/user.slice/system.slice/kube-proxy.service", False),
    ],
)
def test_a_unit_of_the_system(proc: Proc, group: str, found: bool) -> None:
    proc.process(7, "kube-proxy", group)
    assert proc.run(f"{PROCESSES}unit_pids kube-proxy") == (["7"] if found else [])


def listen(proc: Proc, address: str, uid: int, inode: int, state: str = "0A") -> None:
    file = proc.folder / ("proc/net/tcp" if len(address) == 13 else "proc/net/tcp6")
    before = file.read_text() if file.exists() else "  sl  local_address rem_address   st\n"
    file.write_text(
        f"{before}   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000"
        f" {uid:5} {0:8} {inode} 1 0000000000000000 100 0 0 10 0\n"
    )


def owner(proc: Proc, address: str = "127.0.0.1") -> str:
    lines = proc.run(f"{PRELUDE}{LISTENERS}listeners 10257 7")
    return foreign_owner(lines, address, 10257)


def test_its_own_socket(proc: Proc) -> None:
    proc.process(7, "kube-controller", SESSION, sockets=(100, 501))
    listen(proc, "0100007F:2811", 0, 501)
    assert owner(proc) == ""


def test_a_users_socket(proc: Proc) -> None:
    proc.process(7, "kube-controller", SESSION, sockets=(100,))
    proc.process(4242, "kube-controller", SESSION, uid=1000, sockets=(501,))
    listen(proc, "0100007F:2811", 1000, 501)
    assert owner(proc) == "process 4242 ('kube-controller') of the user 1000"


def test_an_address_is_more_than_all_of_them(proc: Proc) -> None:
    proc.process(7, "kube-controller", SESSION, sockets=(501,))
    listen(proc, f"{'0' * 32}:2811", 0, 501)
    listen(proc, "0200007F:2811", 1000, 502)
    assert owner(proc) == ""
    assert owner(proc, "127.0.0.2") == "an unknown process of the user 1000"


def test_no_listening_socket(proc: Proc) -> None:
    proc.process(7, "kube-controller", SESSION, sockets=(501,))
    listen(proc, "0100007F:2811", 0, 501, "01")
    with pytest.raises(Unreadable, match=r"the owner of port 10257 on 127\.0\.0\.1 is not in"):
        owner(proc)


def test_its_files_are_not_readable(proc: Proc) -> None:
    proc.process(7, "kube-controller", SESSION)
    (proc.folder / "proc/7/fd").rmdir()
    listen(proc, "0100007F:2811", 0, 501)
    script = f"{PRELUDE}{LISTENERS}(listeners 10257 7) 2>&1; echo $?"
    assert proc.run(script) == ["/proc/7/fd is not readable by this user", "3"]


def test_whose_firewalld_counts(proc: Proc) -> None:
    python = "/usr/bin/python3 -s /usr/sbin/firewalld --nofork"
    proc.process(5, "firewalld", SESSION, uid=1000)
    proc.process(6, "python3", SESSION, uid=1000, argv=python)
    proc.process(7, "firewalld", "0::/docker/1", net="net:[2]")
    script = firewalld._processes("firewalld")
    assert proc.run(script) == []
    proc.process(8, "firewalld", "0::/system.slice/firewalld.service")
    proc.process(9, "python3", "0::/system.slice/x.service", argv=python)
    assert proc.run(script) == ["/proc/8/comm", "/proc/9/cmdline"]


@pytest.mark.parametrize(
    ("name", "exe", "argv", "found"),
    [
        ("tail", "/usr/bin/tail", "tail -f /usr/sbin/firewalld", False),
        ("vim", "/usr/bin/vim.basic", "vim /usr/sbin/firewalld", False),
        ("sleep", "/usr/bin/sleep", "/usr/sbin/firewalld 1000", False),  # by `exec -a`
        ("python3", "/usr/bin/python3.11", "python3 /opt/watch /usr/sbin/firewalld", False),
        ("python3", "/usr/bin/python3.11", "python3 -m site /usr/sbin/firewalld", False),
        ("tail", "", "tail -f /usr/sbin/firewalld", False),  # its exe is not readable
        ("python3", "/usr/bin/python3.11", "python3 -s /usr/sbin/firewalld --nofork", True),
        ("firewalld", "/usr/bin/python3.11", "/usr/bin/python3 -s /usr/sbin/firewalld", True),
        ("firewalld", "/usr/libexec/platform-python3.6", "/usr/libexec/platform-python -s x", True),
        ("firewalld", "/usr/sbin/firewalld (deleted)", "/usr/sbin/firewalld", True),
    ],
)
def test_a_path_among_arguments_is_no_firewalld(
    proc: Proc, name: str, exe: str, argv: str, found: bool
) -> None:
    proc.process(9, name, "0::/system.slice/x.service", argv=argv, exe=exe)
    assert bool(proc.run(firewalld._processes("firewalld"))) is found


def test_who_may_set_the_clock(proc: Proc) -> None:
    script = time_sync._script()
    script = PRELUDE + script[script.index("for p in /proc") : script.index("date '+now")]
    proc.process(5, "chronyd", SESSION, uid=1000, uid_map="         0       1000          1\n")
    assert proc.run(script) == []
    proc.process(6, "chronyd", "0::/system.slice/chrony.service", uid=106)
    assert proc.run(script) == [
        "process 6 chronyd 000001ffffffffff 0::/system.slice/chrony.service"
    ]


def test_what_a_cluster_leaves(proc: Proc) -> None:
    script = leftovers.probe("10.0.0.1", "", stacked=True).script
    start = script.index("{\n  grep -sE '/(")
    script = script[start : script.index("awk '$2")]
    proc.process(5, "kube-burner", SESSION, uid=1000)
    proc.process(6, "coredns", "0::/system.slice/coredns.service")
    proc.process(7, "etcd", "0::/system.slice/etcd.service")
    proc.process(8, "pause", USERS.format(DIGEST), uid=1000)
    shim = "/usr/bin/containerd-shim-runc-v2 -namespace {} -id 1"
    proc.process(9, "containerd-shim-runc-v2", "0::/a", argv=shim.format("moby"))
    proc.process(10, "containerd-shim-runc-v2", SESSION, uid=1000, argv=shim.format("k8s.io"))
    named = shim.format("moby").replace("-id 1", "-id k8s.io")
    proc.process(13, "containerd-shim-runc-v2", "0::/a", argv=named)
    proc.process(14, "exporter", "0::/system.slice/kubepods-exporter.service")
    assert proc.run(script) == []
    proc.process(11, "containerd-shim-runc-v2", "0::/a", argv=shim.format("k8s.io"))
    proc.process(12, "coredns", CGROUPFS.format(API_UID), uid=65532)
    assert sorted(proc.run(script)) == ["process containerd-shim", "process coredns"]
