"""The shell scripts of a reset, run here: files, volumes, virtual servers, interfaces, nodes."""

import hashlib
import re
import shlex
from pathlib import Path

import pytest

from facts.cluster import leftovers
from remediate.cluster import reset, scripts
from tests.install.script_host import in_a_mount_namespace, needs_root, run


def test_files_are_as_before_the_install(tmp_path: Path) -> None:
    backups, written, folder = tmp_path / "backups", tmp_path / "written", tmp_path / "drop in"
    folder.mkdir()
    names = ("the site's", "not there before", "ours without a backup", "edited", "edited, new")
    changed, created, ours, *edited = paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_text("# written by Hale\n")
        record = Path(f"{written}{path}")
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")
    Path(f"{written}{ours}").unlink()  # an earlier Hale's
    Path(f"{backups}{tmp_path}").mkdir(parents=True)
    for path in (changed, edited[0]):
        Path(f"{backups}{path}").write_text("old\n")
    for path in (created, edited[1]):
        Path(f"{backups}{path}.absent").touch()
    for path in edited:
        path.write_text("# written by Hale\nby the site\n")
    given = {"backups": str(backups), "written": str(written), "folder": str(folder)}
    done = run(tmp_path, scripts.load("restore_files", *map(str, paths), **given))
    assert (done.returncode, done.stderr) == (0, "")
    assert changed.read_text() == "old\n"
    assert not created.exists()
    assert not ours.exists()
    assert not folder.exists()
    for path in edited:
        assert path.read_text() == "# written by Hale\nby the site\n"
    assert re.findall("note: (.*) was edited", done.stdout) == [str(p) for p in edited]
    kept = {Path(f"{backups}{edited[0]}"), Path(f"{backups}{edited[1]}.absent")}
    assert {p for p in backups.rglob("*") if p.is_file()} == kept


def test_files_that_are_kept_survive(tmp_path: Path) -> None:
    kept, there = tmp_path / "kept", tmp_path / "a file"
    key, last = tmp_path / "ca.key", tmp_path / "sa.pub"
    for path in (there, key, last):
        path.write_text(f"{path.name}\n")
    given = {"kept": str(kept), "pki": f"{key} {last}"}
    script = (
        scripts.load("keep_files", str(there), str(tmp_path / "none"), **given)
        + f"(rm -f '{there}' {key} {last})\n"
        + scripts.load("restore_kept_files")
    )
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert [p.read_text() for p in (there, key, last)] == ["a file\n", "ca.key\n", "sa.pub\n"]
    assert not kept.exists()
    last.write_text("")  # an init that was interrupted before it had all keys
    done = run(tmp_path, script)
    assert done.returncode == 0
    assert there.exists()
    assert not key.exists()


KUBEADMS = (
    *("admin.conf", "kubelet.conf", "manifests/etcd.yaml", "pki/ca.key", "pki/etcd/ca.crt"),
    *("super-admin.conf", "scheduler.conf", "controller-manager.conf", "bootstrap-kubelet.conf"),
    *("kube-apiserver.yaml.hale-drill", "tmp/kubeadm-backup-etcd/etcd.yaml"),
)


@pytest.mark.parametrize("own", [(), ("policies/audit.yaml", "enc/enc.yaml", "cloud.conf")])
def test_files_of_the_site_beside_kubeadms_stay(tmp_path: Path, own: tuple[str, ...]) -> None:
    """A policy, and the keys that encrypt etcd's data, of which there is no copy."""
    folder = tmp_path / "kubernetes"
    for name in (*KUBEADMS, *own):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    script = scripts.load("remove_kubeadm_files", folder=str(folder))
    for _ in range(2):
        done = run(tmp_path, script)
        assert (done.returncode, done.stderr) == (0, "")
        there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        assert there == set(own)
        assert folder.exists() == bool(own)


DELETE = "find /var/lib/kubelet -xdev -mindepth 1 -delete\n"


@needs_root
def test_volumes_are_unmounted_before_the_kubelets_folder_is_emptied() -> None:
    done = in_a_mount_namespace(
        f"({scripts.load('unmount_pods')}{DELETE})\n"
        "cat /var/lib/pv/file; ls -A /var/lib/kubelet; grep -c kubelet /proc/self/mountinfo || :"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "data\n0\n", "")


@needs_root
def test_nothing_is_deleted_while_a_volume_stays_mounted() -> None:
    # In a user namespace the mounts of the one above are locked (mount_namespaces(7)).
    inner = f"set -eu\n{scripts.load('unmount_pods')}{DELETE}"
    done = in_a_mount_namespace(
        "status=0\n"
        f"unshare --user --map-root-user --mount sh -c {shlex.quote(inner)} || status=$?\n"
        "cat /var/lib/pv/file /var/lib/kubelet/pods/1/etc/file; exit $status"
    )
    assert (done.returncode, done.stdout) == (1, "data\ndata\n"), done.stderr
    assert "still mounted, so nothing is deleted" in done.stderr
    assert "\n/var/lib/kubelet/pods/1/volumes/a b\n" in done.stderr


IP_VS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> 0AD001BF:192B      Masq    1      0          0
UDP  0A60000A:0035 rr
TCP  0A600009:0050 rr
  -> 0AF40105:1F90      Masq    1      0          0
  -> 0AF40206:1F90      Masq    1      0          0
TCP  0AD001BF:7530 rr
  -> 0AF40206:1F90      Masq    1      0          0
TCP  0AD001BE:7531 wlc
  -> 0AF40206:1F90      Masq    1      0          0
  -> C0A80A07:1F90      Route   1      0          0
TCP  0AD001BE:7532 wlc
TCP  C0A80A05:0050 wlc persistent 300
FWM  00000001 rr
TCP  [fd00:0096:0000:0000:0000:0000:0000:0001]:01BB rr
UDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 rr
TCP  [2001:0db8:0000:0000:0000:0000:0000:0005]:0050 wlc
"""


def test_only_kube_proxys_virtual_servers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "ip_vs").write_text(IP_VS)
    ip = (
        "echo '9: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet 10.96.0.10/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet 10.96.0.9/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet6 fd00:96::1/128 scope global'\n"
        "echo '9: kube-ipvs0    inet6 fd00:96::a/128 scope global'"
    )
    done = run(tmp_path, f"ip_vs={tmp_path}/ip_vs\n{leftovers.KUBE_IPVS}kube_ipvs", ip=ip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "-t 10.96.0.1:443\n-u 10.96.0.10:53\n-t 10.96.0.9:80\n-t 10.208.1.191:30000\n"
        "-t [fd00:0096:0000:0000:0000:0000:0000:0001]:443\n"
        "-u [fd00:0096:0000:0000:0000:0000:0000:000a]:53\n"
    )


def test_without_kube_proxys_interface_nothing_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "ip_vs").write_text(IP_VS)
    done = run(tmp_path, f"ip_vs={tmp_path}/ip_vs\n{leftovers.KUBE_IPVS}kube_ipvs", ip="exit 1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# In a network namespace of its own: interfaces of kube-proxy, of a network plugin, and another.
LINKS = """
mount -t sysfs sysfs /sys
for i in kube-ipvs0 cni0 br-site; do ip link add "$i" type bridge; done
ip addr add 10.96.0.1/32 dev kube-ipvs0
"""


@needs_root
@pytest.mark.parametrize(
    ("ipvsadm", "remaining"),
    [("exit 1", {"lo", "br-site", "kube-ipvs0"}), (": >{}", {"lo", "br-site"})],
)
def test_kube_proxys_interface_stays_as_long_as_its_virtual_servers(
    tmp_path: Path, ipvsadm: str, remaining: set[str]
) -> None:
    table = tmp_path / "ip_vs"
    table.write_text(IP_VS)
    script = (
        f"{LINKS}ip_vs={table}\n{leftovers.KUBE_IPVS}"
        + scripts.load("remove_interfaces", interfaces=leftovers.INTERFACES, bridges="")
        + "ls /sys/class/net\n"
    )
    alone = f"unshare --net --mount --propagation private sh -euc {shlex.quote(script)}"
    done = run(tmp_path, alone, ipvsadm=ipvsadm.format(table))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == remaining


def test_a_dead_hosts_pods_do_not_take_the_timeout_of_its_drain(tmp_path: Path) -> None:
    """kubectl counts from a pod's DeletionTimestamp: the end of its grace period."""
    script = scripts.load(
        "drain_node", "kubectl", node="w1", timeout=f"{reset.DRAIN_TIMEOUT}", more=""
    )
    assert run(tmp_path, script, kubectl='case $1 in get) printf "w1 " ;; esac').returncode == 0
    found = re.search(r"--skip-wait-for-delete-timeout=(\d+)", (tmp_path / "calls").read_text())
    assert found is not None
    assert reset.GRACE + int(found[1]) <= reset.DRAIN_TIMEOUT - 30


@pytest.mark.parametrize(
    ("node", "drains", "status", "uncordoned"),
    [("w1 ", 0, 0, False), ("w1 ", 1, 1, True), ("w1 true", 1, 1, False), ("", 1, 0, False)],
)
def test_a_node_that_is_not_drained_stays(
    tmp_path: Path, node: str, drains: int, status: int, uncordoned: bool
) -> None:
    kubectl = f'case $1 in get) printf "%s" "{node}" ;; drain) exit {drains} ;; esac'
    script = scripts.load(
        "drain_node", "kubectl", node="w1", timeout="9", more="--disable-eviction"
    )
    done = run(tmp_path, script, kubectl=kubectl)
    assert done.returncode == status
    calls = (tmp_path / "calls").read_text()
    assert ("kubectl uncordon w1" in calls) == uncordoned
    assert ("--timeout=9s" in calls and "--disable-eviction" in calls) == bool(node)
    assert ("w1 was not drained, so it stays in the cluster" in done.stderr) == (status == 1)
    assert ("w1 was cordoned before, and stays so" in done.stderr) == (
        status == 1 and "true" in node
    )


@pytest.mark.parametrize(
    ("haproxy", "keepalived", "stopped", "restored"),
    [
        ("ours\n", "ours\n", ["keepalived", "haproxy"], "vip-is-removed keepalived haproxy"),
        ("ours\nlisten site\n", "ours\n", ["keepalived"], "vip-is-removed keepalived"),
        ("ours\n", "site's\n", ["haproxy"], "haproxy"),
        ("site's\n", "site's\n", [], ""),
        ("# written by Hale\n", None, ["haproxy"], "vip-is-removed keepalived haproxy"),
    ],
)
def test_a_load_balancer_of_the_site_keeps_running(
    tmp_path: Path, haproxy: str, keepalived: str | None, stopped: list[str], restored: str
) -> None:
    written = tmp_path / "written"
    for name, content in (("haproxy", haproxy), ("keepalived", keepalived)):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        if content is not None and "written by" not in content:
            record = Path(f"{written}{path}")
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(hashlib.sha256(b"ours\n").hexdigest() + "\n")
    (tmp_path / "calls").touch()
    script = scripts.load(
        "stop_load_balancer",
        vip="10.0.0.100",
        written=str(written),
        haproxy=f"{tmp_path}/haproxy {tmp_path}/more",
        keepalived=str(tmp_path / "keepalived"),
    )
    running = keepalived == "site's\n"
    done = run(
        tmp_path,
        script + "echo $*\n",
        systemctl=f'[ "$2" != is-active ] || exit {0 if running else 3}',
        ip='[ "$1" != -o ] || echo "2: eth0    inet 10.0.0.100/32 scope global eth0"',
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [c.split()[-1] for c in calls if " disable --now " in c] == stopped
    removed = "ip addr del 10.0.0.100/32 dev eth0" in calls
    files = " ".join(Path(p).name for p in done.stdout.split() if not p.endswith("/more"))
    assert " ".join([*["vip-is-removed"] * removed, files]).strip() == restored
