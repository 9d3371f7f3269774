"""The cluster taken off its hosts and built again: over wrong inputs, kills and power cuts.

The last of this folder: it leaves the cluster whole, for whoever comes after in the same run.
"""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.audit import results_file
from hale.install import scheduler
from hale.model.verdict import Verdict
from lab import mirror
from lab.errors import LabError
from lab.machine import LabHost
from lab.mirror import kube_vip
from tests.cluster import external_services
from tests.cluster.cluster_fixture import NOT_ASKED_FOR, PATIENCE, Built, phases
from tests.cluster.fault_audit import Standing
from tests.cluster.faults.kube_vip import FAULTS
from tests.faults import audit

SOAK = bool(os.environ.get("HALE_SOAK"))
SEED = os.environ.get("HALE_SEED") or f"{random.SystemRandom().randrange(1 << 32)}"


def test_a_part_may_go_and_come_back(cluster: Built) -> None:
    """One worker, then one master: the rest stays a cluster, and both join again."""
    done = cluster.reset("--hosts", "k8s-node-02,k8s-master-03")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    for name in ("k8s-node-02", "k8s-master-03"):
        assert cluster.remains(name) == []
    nodes = cluster.kubectl("get nodes -o name").split()
    assert nodes == ["node/k8s-master-01", "node/k8s-master-02", "node/k8s-node-01"]
    done = cluster.install()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_a_host_that_answers_is_not_gone(cluster: Built) -> None:
    done = cluster.reset("--gone", "k8s-node-01")
    assert done.returncode == 1
    assert "nothing was changed: k8s-node-01 answers, so it is not gone" in done.stderr
    assert "node/k8s-node-01" in cluster.kubectl("get nodes -o name").split()


@pytest.mark.soak("three minutes more: a join, and until a node is NotReady")
def test_a_master_that_is_gone_is_forgotten(cluster: Built) -> None:
    """From a master that is left; it then joins again, as a new machine of its name would."""
    lost = cluster.lab["k8s-master-03"]
    lost.power_off()
    try:
        done = cluster.reset("--gone", lost.name)
        assert done.returncode == 1
        assert f"the cluster says that {lost.name} is Ready" in done.stderr
        until = time.monotonic() + 120
        while "NotReady" not in cluster.kubectl(f"get node {lost.name}"):
            assert time.monotonic() < until
            time.sleep(2)
        done = cluster.reset("--gone", lost.name)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert f"node/{lost.name}" not in cluster.kubectl("get nodes -o name").split()
    finally:
        lost.power_on()
    # Its disk is the old one: no machine of that name is new here.
    done = cluster.reset("--hosts", lost.name)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    done = cluster.install()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_lab_puts_no_kube_vip_beside_keepalived(cluster: Built) -> None:
    with pytest.raises(LabError, match="k8s-master-01 is in a cluster with keepalived"):
        mirror.start_mirror(cluster.lab, print, with_kube_vip=True)


@pytest.mark.soak("two minutes more")
def test_a_master_is_lost_while_another_joins(cluster: Built) -> None:
    """The operator is told who is missed; it comes back, and the same run goes on to its end."""
    lost, joins = cluster.lab["k8s-master-02"], cluster.lab["k8s-master-03"]
    done = cluster.reset("--hosts", joins.name)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    # It looks at all masters, and one that is lost while it does ends the run.
    done = cluster.install("--phase", "load_balancer")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    known = set(cluster.reports.glob("*-install"))
    running = cluster.start("install", "--yes")
    try:
        assert cluster.reached(running, known, "masters"), running.account()
        # It has the cluster's certificates: kubeadm would not wait for anybody to give it those.
        joins.run("until [ -s /etc/kubernetes/pki/sa.key ]; do sleep 0.1; done", timeout=60)
        lost.power_off()
        until = time.monotonic() + 120
        while "may be blocked" not in running.completed().stdout:
            assert running.child.poll() is None, running.account()
            assert time.monotonic() < until, running.account()
            time.sleep(1)
        lost.power_on()
        running.child.wait(PATIENCE)
    finally:
        running.kill()
        if not lost.running:
            lost.power_on()
    done = running.completed()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{joins.name}: kubeadm join may be blocked: {lost.name}" in done.stdout
    assert f"{joins.name}: kubeadm join continues: the other masters are healthy" in done.stdout


def test_reset_leaves_nothing(cluster: Built) -> None:
    done = cluster.reset()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    remaining = {host.name: cluster.remains(host.name) for host in cluster.lab.hosts}
    assert remaining == {host.name: [] for host in cluster.lab.hosts}
    for host in cluster.lab.hosts:  # packages and host requirements stay
        host.run("command -v kubelet && command -v containerd")
        host.run("grep -q master.k8s.io /etc/hosts && [ $(cat /proc/sys/net/ipv4/ip_forward) = 1 ]")
    masters = cluster.lab.hosts[:3]
    assert all(b"Hale" not in h.run("cat /etc/haproxy/haproxy.cfg").stdout for h in masters)
    done = cluster.reset()
    assert done.returncode == 0, "again, of nothing: " + done.stdout[-3000:]


@pytest.mark.parametrize(
    ("options", "old", "new", "output"),
    [
        (
            "--until gate",
            "k8s-master-03 ansible_host=10.208.1.195\n",
            "",
            "NODES-ODD-MASTERS inventory on cluster: FAIL: the inventory names 2 masters",
        ),
        ("--until gate", "kubernetes_version=1.34.4", "kubernetes_version=1.34.9",
         "manifests/v1.34.9: the registry does not have it"),
        ("--until gate", "10.208.1.1:5000/k8s", "10.208.1.1:5000/nowhere", "nowhere/"),
        ("--until packages", "apt_key=apt-key.asc", "apt_key=known_hosts", "NO_PUBKEY"),
        # With the right key again, which the tests after this one need.
        (
            "--until packages --ignore-preflight-errors NODES-IMAGE-PULL",
            "kubernetes_version=1.34.4",
            "kubernetes_version=1.34.9",
            "no kubeadm 1.34.9 in the repository; it has: 1.34.4-",
        ),
    ],
    ids=["two-masters", "no-such-version", "no-such-image", "another-key", "no-such-package"],
)  # fmt: skip
def test_wrong_inputs(cluster: Built, options: str, old: str, new: str, output: str) -> None:
    """Each is told before anything is built by it, and mended by a run with the right one."""
    with cluster.edited((old, new)) as path:
        done = cluster.install("--inventory", str(path), *options.split())
    printed = done.stdout + done.stderr
    assert (done.returncode, output in printed) == (1, True), printed[-3000:]
    assert all(cluster.remains(h.name) == [] for h in cluster.lab.hosts)


def test_a_vip_that_somebody_has(cluster: Built) -> None:
    stranger = cluster.lab["k8s-node-01"]
    stranger.run("ip addr add 10.208.1.190/32 dev eth0")
    try:
        done = cluster.install("--phase", "load_balancer")
    finally:
        stranger.run("ip addr del 10.208.1.190/32 dev eth0")
    assert done.returncode == 1
    assert "the VIP 10.208.1.190 is in use by another machine" in done.stdout, done.stdout[-2000:]
    assert all(b"Hale" not in h.run("cat /etc/haproxy/haproxy.cfg").stdout
               for h in cluster.lab.hosts[:3])  # fmt: skip


OTHER = b"""
vrrp_instance other {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 10
    advert_int 1
    mcast_src_ip 10.208.1.88
    virtual_ipaddress {
        10.208.1.189/32
    }
}
"""


def test_a_vrrp_id_that_somebody_speaks(cluster: Built) -> None:
    """A keepalived of somebody else's, by multicast, with the same id."""
    stranger = cluster.lab["k8s-master-01"]
    stranger.run("cat >/run/other.conf; ip addr add 10.208.1.88/24 dev eth0", input=OTHER)
    stranger.run(
        "keepalived -f /run/other.conf -p /run/o.pid -r /run/ov.pid --vrrp >/dev/null 2>&1"
    )
    stranger.run("until ip addr | grep -qF 10.208.1.189; do sleep 0.2; done")
    try:
        done = cluster.install("--phase", "load_balancer")
    finally:
        stranger.run("kill $(cat /run/o.pid); ip addr del 10.208.1.88/24 dev eth0; sleep 1")
    assert done.returncode == 1
    assert "10.208.1.88 already speaks VRRP with the id 51" in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize("port", [16443, 6443])  # on the way to init haproxy gets the first one
def test_a_port_that_somebody_has(cluster: Built, port: int) -> None:
    host = cluster.lab["k8s-master-02"]
    command = f"socat TCP-LISTEN:{port},fork,reuseaddr /dev/null"
    host.run(f"systemd-run -q --collect --unit=taken {command}")
    host.run(f"until ss -Hltn 'sport = :{port}' | grep -q .; do sleep 0.1; done")
    try:
        phase = "init" if port == 6443 else "load_balancer"
        done = cluster.install("--until" if phase == "init" else "--phase", phase)
    finally:
        host.run("systemctl stop taken")
    assert done.returncode == 1
    assert f"k8s-master-02: port {port} is in use by socat" in done.stdout, done.stdout[-3000:]
    assert not host.run("ls -d /etc/kubernetes/manifests/*.yaml", check=False).stdout


def test_a_host_that_is_off(cluster: Built) -> None:
    host = cluster.lab["k8s-node-02"]
    host.power_off()
    try:
        done = cluster.install("--until", "packages")
    finally:
        host.power_on()
    assert done.returncode == 1
    assert "nothing was changed: k8s-node-02" in done.stderr


@pytest.fixture
def theirs(cluster: Built, tmp_path: Path) -> Iterator[Path]:
    """An inventory whose masters have an etcd of the site's own, with a load balancer elsewhere."""
    masters, other = cluster.lab.hosts[:3], cluster.lab["k8s-node-01"]
    given = cluster.inventory.with_name("kubeadm-extra.yaml").read_text()
    more = cluster.inventory.with_name("own-extra.yaml")
    more.write_text(given + external_services.extra(masters))
    changes = (
        (f"{other.name} ansible_host={other.address}\n", ""),
        ("kubeadm_extra=kubeadm-extra.yaml", f"kubeadm_extra={more.name}"),
        ("vip_port=", "endpoint_kind=external\netcd_kind=external\nvip_port="),
    )
    done = cluster.reset()  # the masters have our load balancer, and with it the VIP
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    try:
        external_services.etcd(masters, tmp_path)
        external_services.balancer(other, masters)
        with cluster.edited(*changes) as path:
            yield path
    finally:
        external_services.no_etcd(masters)
        external_services.no_balancer(other)
        more.unlink()


@pytest.mark.soak("two minutes more")
def test_etcd_and_the_load_balancer_may_be_the_sites_own(cluster: Built, theirs: Path) -> None:
    """Neither an install that was cut off nor a reset takes anything of either away."""
    first, *_ = masters = cluster.lab.hosts[:3]
    known = ("--inventory", str(theirs))
    external_services.ask(first, "put /site/own kept")
    external_services.ask(first, "put /registry/minions/other of-another-cluster")
    done = cluster.install(*known, "--until", "init")
    assert done.returncode == 1
    assert "etcd has 1 keys below /registry/ already" in done.stdout, done.stdout[-3000:]
    external_services.ask(first, "del --prefix /registry/")

    assert cluster.killed("init", 5.0, *known)
    done = cluster.install("--force-unlock", *known)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    acts = [a.title for a in cluster.histories()[-1].acts]
    assert "an interrupted init is cleaned up" in acts
    found = results_file.load_results(
        max(cluster.reports.glob("*-install/*-audit")) / "results.json"
    ).results
    verdicts = {(r.requirement, r.verdict) for r in found if r.chapter in (1, 2)}
    assert {v for _, v in verdicts} == {Verdict.PASS, Verdict.NOT_APPLICABLE}
    assert ("HA-ETCD-MEMBERS", Verdict.NOT_APPLICABLE) in verdicts
    assert ("HA-APISERVER-VIP", Verdict.PASS) in verdicts
    assert "etcd-k8s" not in cluster.kubectl("-n kube-system get pods -o name")

    done = cluster.reset(*known)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    theirs_too = ("port ", "file /var/lib/etcd/member", "file /etc/kubernetes")
    for host in masters:
        assert [r for r in cluster.remains(host.name) if not r.startswith(theirs_too)] == []
        assert external_services.ask(host, "get /site/own --print-value-only").strip() == "kept"
    first.run(f"ls {' '.join(external_services.FILES.values())}")


@pytest.fixture
def theirs_is_kube_vip(cluster: Built) -> Iterator[tuple[LabHost, ...]]:
    """The lab's inventory says that kube-vip has the VIP, and the masters have its manifest."""
    masters = cluster.lab.hosts[:3]
    done = cluster.reset()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    try:
        mirror.start_mirror(cluster.lab, print, with_kube_vip=True)
        yield masters
    finally:
        kube_vip.remove_manifest(masters)
        mirror.start_mirror(cluster.lab, print)


@pytest.mark.soak("five minutes more")
def test_kube_vip_may_have_the_vip(cluster: Built, theirs_is_kube_vip: tuple[LabHost, ...]) -> None:
    """Also after an init that was cut off; its faults are seen, and a reset leaves its manifest."""
    assert cluster.killed("init", 5.0)
    done = cluster.install("--force-unlock")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = results_file.load_results(
        max(cluster.reports.glob("*-install/*-audit")) / "results.json"
    ).results
    verdicts = {(r.requirement, r.verdict) for r in found if r.chapter in (1, 2)}
    assert {v for _, v in verdicts} == {Verdict.PASS, Verdict.NOT_APPLICABLE}
    assert ("HA-LB-BACKENDS", Verdict.NOT_APPLICABLE) in verdicts
    assert ("HA-VIP-OWNER", Verdict.PASS) in verdicts

    engine = audit.Engine(cluster.inventory)
    try:
        standing = Standing(cluster.lab, engine)
        standing.begin()
        for fault in FAULTS:
            standing.prove(fault)
    finally:
        engine.close()

    done = cluster.invoke("drill", "apiserver", "--yes")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    drilled = results_file.load_results(max(cluster.reports.glob("*-drill")) / "results.json")
    assert drilled.run.state == "finished", done.stdout
    rows = {r.requirement: r for r in drilled.results}
    assert rows["HA-VIP-OWNER"].verdict in (Verdict.PASS, Verdict.FAIL)  # the machine is busy
    done = cluster.invoke("drill", "vip", "--yes")
    assert done.returncode == 1
    assert "no haproxy on these hosts carries the VIP" in done.stderr

    done = cluster.reset()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    for host in theirs_is_kube_vip:
        assert cluster.remains(host.name) == ["file /etc/kubernetes"]
        kept = host.run("find /etc/kubernetes -type f").stdout.decode().split()
        assert kept == ["/etc/kubernetes/manifests/kube-vip.yaml"]


@dataclass(frozen=True)
class Cut:
    """Seconds after a phase began: the operator is killed, or a host at work loses its power."""

    phase: str
    after: float
    host: str = ""


def cuts() -> list[Cut]:
    """All of them in a soak, in the order of the phases; else two kills and a power cut."""
    dice = random.Random(SEED)
    names = [name for name in scheduler.phase_names() if name not in NOT_ASKED_FOR]
    power = [
        Cut("init", dice.uniform(1, 12), "k8s-master-01"),
        Cut("masters", dice.uniform(2, 18), "k8s-master-02"),
    ]
    kills = [
        Cut(name, after)
        for name in names
        for after in (0.0, dice.uniform(0.2, 2), dice.uniform(2, 8))
    ]
    if not SOAK:
        power = [dice.choice(power)]
        long = {"images", "init", "masters", "workers"} - {power[0].phase}
        inside = [cut for cut in kills if cut.after and cut.phase in long]
        kills = [dice.choice([cut for cut in kills if not cut.after]), dice.choice(inside)]
    return sorted((*power, *kills), key=lambda cut: names.index(cut.phase))


def test_an_install_is_cut_off_again_and_again(cluster: Built) -> None:
    """Each next run goes on, and the last one ends in the same healthy cluster."""
    printed = f"HALE_SEED={SEED} {cuts()}"
    assert cluster.reset("--force-unlock").returncode == 0
    for cut in cuts():
        if cut.host:
            powerless(cluster, cut)
        else:
            cluster.killed(cut.phase, cut.after)
    done = cluster.install("--force-unlock")
    assert done.returncode == 0, f"{printed}\n{done.stdout[-5000:]}\n{done.stderr[-1000:]}"
    assert set(phases(cluster.histories()[-1]).values()) <= {"done", "skipped"}


def powerless(cluster: Built, cut: Cut) -> None:
    """The run ends by itself, and says where."""
    known = set(cluster.reports.glob("*-install"))
    running = cluster.start("install", "--yes", "--force-unlock")
    try:
        assert cluster.reached(running, known, cut.phase), running.account()
        time.sleep(cut.after)
        cluster.lab[cut.host].power_off()
        running.child.wait(PATIENCE)
    finally:
        running.kill()
    done = running.completed()
    assert done.returncode in (0, 1), f"{cut}: {done.stderr[-2000:]}"
    assert done.returncode == 0 or cut.host in done.stdout, f"{cut}: {done.stdout[-2000:]}"
    cluster.lab[cut.host].power_on()
