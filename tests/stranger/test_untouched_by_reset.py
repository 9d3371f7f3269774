"""On a cluster that Hale did not build: a reset takes the cluster off a host and nothing else, and
the host joins again, also after a join that was interrupted. No other host is touched."""

import pytest

from facts.cluster import kubernetes
from lab import stranger as built
from tests.stranger import snapshot
from tests.stranger.stranger_fixture import WITHOUT_LIMITS, Stranger

WORKER = built.ROOT_ONLY_HOST
MASTER = "k8s-master-03"
OTHERS = """
mkdir -p /var/lib/cni/networks/podman /var/lib/cni/networks/site
echo orders >/var/lib/cni/networks/podman/10.88.0.2
echo orders >/var/lib/cni/networks/site/10.89.0.2
cat >/etc/cni/net.d/site.conflist <<'END'
{"args": {"podman_labels": {}}, "name": "site", "plugins": [{"type": "bridge", "bridge": "cni9"}]}
END
for i in cni-podman0 cni9 lxcbr0 docker0; do
  [ -e "/sys/class/net/$i" ] || ip link add "$i" type bridge
done
nft add table inet flannel-of-the-site
nft add chain inet flannel-of-the-site kept
"""
LEFT = """
find /var/lib/cni /etc/cni/net.d -type f | sort
ls /sys/class/net | grep -E 'cni|lxc|docker' | sort
nft list tables | grep site
"""


# Programs in containers, but for those of static pods.
OF_PODS = ("containerd-shim", "coredns", "echo", "pause", "kube-proxy")
CONFIGURATIONS = (
    *("admin", "super-admin", "kubelet", "bootstrap-kubelet"),
    *("controller-manager", "scheduler"),
)
# What a reset takes off a host: kubeadm's, the pods' network's and their processes.
TAKEN = (
    *(f"file /etc/kubernetes/{name}" for name in ("manifests", "pki", "tmp")),
    *(f"file /etc/kubernetes/{name}.conf" for name in CONFIGURATIONS),
    "file /var/lib/kubelet",
    "file /var/lib/etcd",
    "file /var/lib/cni",
    "file /etc/cni/net.d/10-lab.conflist",
    "mount /var/lib/kubelet/",
    "mount /var/lib/containerd/",
    "volume /var/lib/kubelet/",
    "unit kubelet.service",
    "enabled kubelet.service",
    *(f"process {name}" for name in (*OF_PODS, "kubelet", "kube-", "etcd")),
    "interface cni0",
    "address cni0 ",
    "table ",
    "route 10.244.",
    "sysctl net.bridge",
)
# Objects that a join makes, and that follow a node or its pods.
FOLLOWING = (
    *("Pod ", "CertificateSigningRequest ", "ControllerRevision "),
    *("Secret kube-system/bootstrap-token-", "Secret kube-system/kubeadm-certs"),
    "ConfigMap kube-public/cluster-info",
)


def _moved(stranger: Stranger, host: str) -> tuple[str, ...]:
    """What follows the host's leave and return elsewhere: its objects, and on the other hosts the
    pods that were on it, with their network and volumes."""
    pods = (
        *(f"process {name} " for name in OF_PODS),
        *("interface cni0", "address cni0 ", "route 10.244.", "mount /var/lib/kubelet/pods/"),
        # The kubelet's own lists of its pods.
        *(f"file /var/lib/kubelet/{list_}_pods_state" for list_ in ("actuated", "allocated")),
    )
    return (
        *(f"cluster: {kind} /{host}" for kind in ("Node", "CSINode")),
        *(f"cluster: {what}" for what in FOLLOWING),
        *(f"{h.name}: {what}" for h in stranger.lab.hosts for what in pods),
    )


@pytest.mark.soak("two minutes")
def test_a_budget_that_refuses_an_eviction_stops_a_reset(stranger: Stranger) -> None:
    shop = "-n shop get pods -o jsonpath={.items[*].metadata.uid}"
    before = stranger.kubectl(shop)
    moved = _moved(stranger, built.VOLUME_HOST)[2:]  # the Node stays as it was
    with stranger.unchanged(but=moved, moves=True):
        done = stranger.reset("--hosts", built.VOLUME_HOST)
    assert stranger.kubectl(shop) == before, done.stdout[-3000:]
    assert done.returncode == 1, done.stdout[-3000:]
    assert "shop" in done.stdout + done.stderr


@pytest.mark.soak("five minutes")
def test_a_worker_is_reset_and_joins_again(stranger: Stranger) -> None:
    """The join is killed in its middle and resumed; no other host is touched by either."""
    host = stranger.lab[WORKER]
    stranger.spoiled = True
    host.run(OTHERS)
    before = snapshot.take(stranger.lab)
    done = stranger.reset("--hosts", WORKER)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert host.run(LEFT).stdout.decode().split("\n")[:-1] == [
        "/etc/cni/net.d/87-podman-bridge.conflist",
        "/etc/cni/net.d/site.conflist",
        "/var/lib/cni/networks/podman/10.88.0.2",
        "/var/lib/cni/networks/site/10.89.0.2",
        *("cni-podman0", "cni9", "docker0", "lxcbr0"),
        "table inet flannel-of-the-site",
    ]
    assert f"node/{WORKER}" not in stranger.kubectl("get nodes -o name").split()
    built.settle(stranger.lab)
    taken = tuple(f"{WORKER}: {what}" for what in TAKEN)
    moved = _moved(stranger, WORKER)
    stranger.require_unchanged(before, snapshot.take(stranger.lab), (*taken, *moved))

    # apt refuses two keys for one repository.
    host.run("rm /etc/apt/sources.list.d/site.list")
    assert stranger.killed("workers", 3.0, *WITHOUT_LIMITS)
    done = stranger.install("--force-unlock", *WITHOUT_LIMITS)
    output = f"{[a.title for s in stranger.histories() for a in s.acts]}\n{done.stdout[-3000:]}"
    ready = stranger.kubectl(f"get node {WORKER} --no-headers").split()
    assert ready[1] == "Ready", output
    assert host.run(f"ls {kubernetes.JOIN_BEGAN}", check=False).returncode == 2, output
    assert "kubeadm join" in output
    built.settle(stranger.lab)
    stranger.require_unchanged(before, snapshot.take(stranger.lab), (f"{WORKER}: ", *moved))
    stranger.spoiled = False  # the next test has a new disk for this host


@pytest.mark.soak("five minutes")
def test_a_new_worker_joins_without_touching_another_host(stranger: Stranger) -> None:
    """Its machine is new, with a disk of its own, and the inventory has it as the others."""
    host = stranger.lab[WORKER]
    stranger.spoiled = True
    before = snapshot.take(stranger.lab)
    stranger.kubectl(f"drain {WORKER} --ignore-daemonsets --delete-emptydir-data --force")
    stranger.kubectl(f"delete node {WORKER}")
    host.reset()
    known = len(stranger.histories())
    done = stranger.install("--fix")
    output = done.stdout[-4000:] + done.stderr[-2000:]
    assert stranger.kubectl(f"get node {WORKER} --no-headers").split()[1] == "Ready", output
    runs = stranger.histories()[known:]
    assert {step.host for run in runs for step in run.begun.values()} == {WORKER}, output
    # The first master has the token for the join.
    assert {act.host for run in runs for act in run.acts} == {WORKER, "k8s-master-01"}, output
    built.settle(stranger.lab)
    moved = (f"{WORKER}: ", *_moved(stranger, WORKER))
    stranger.require_unchanged(before, snapshot.take(stranger.lab), moved)
    stranger.spoiled = False


@pytest.mark.soak("six minutes")
def test_a_master_is_reset_and_joins_again(stranger: Stranger) -> None:
    """The site's load balancer there keeps running, and its files stay as they are."""
    stranger.spoiled = True
    before = snapshot.take(stranger.lab)
    done = stranger.reset("--hosts", MASTER)
    output = done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode == 0, output
    for unit in ("haproxy", "keepalived"):
        assert f"{unit} keeps running" in done.stdout, output
    assert f"node/{MASTER}" not in stranger.kubectl("get nodes -o name").split()
    built.settle(stranger.lab)
    taken = tuple(f"{MASTER}: {what}" for what in TAKEN)
    moved = _moved(stranger, MASTER)
    after = snapshot.take(stranger.lab)
    stranger.require_unchanged(before, after, (*taken, *moved))
    kept = f"{MASTER}: process haproxy "
    balancers = [k for k in before if k.startswith(kept)]
    assert balancers
    assert [k for k in after if k.startswith(kept)] == balancers

    # apt refuses two keys for one repository.
    stranger.lab[MASTER].run("rm /etc/apt/sources.list.d/site.list")
    done = stranger.install(*WITHOUT_LIMITS)
    output = done.stdout[-3000:]
    assert f"{MASTER}: it would join with a load balancer of Hale's" in done.stdout, output
    assert done.returncode == 1, output
    with stranger.edited(("vip_port=", "endpoint_kind=external\nvip_port=")) as path:
        done = stranger.install(*WITHOUT_LIMITS, "--inventory", str(path))
    output = f"{[a.title for s in stranger.histories() for a in s.acts]}\n{done.stdout[-3000:]}"
    assert stranger.kubectl(f"get node {MASTER} --no-headers").split()[1] == "Ready", output
    built.settle(stranger.lab)
    last = snapshot.take(stranger.lab)
    stranger.require_unchanged(before, last, (f"{MASTER}: ", *moved))
    balancer = (f"{MASTER}: file /etc/haproxy", f"{MASTER}: file /etc/keepalived", kept)
    assert [k for k in before.items() if k[0].startswith(balancer)] == [
        k for k in last.items() if k[0].startswith(balancer)
    ]
    stranger.spoiled = False


@pytest.mark.soak("three minutes, and a new cluster for the next test")
def test_a_reset_of_all_leaves_what_is_the_sites(stranger: Stranger) -> None:
    """Volumes, packages, the load balancer's and containerd's files, podman's, other servers."""
    before = snapshot.take(stranger.lab)
    stranger.spoiled = True
    done = stranger.reset()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    after = {
        f"{host.name}: {what}": value
        for host in stranger.lab.hosts
        for what, value in snapshot.host_lines(host)
    }
    before = {k: v for k, v in before.items() if not k.startswith("cluster: ")}
    taken = tuple(f"{h.name}: {what}" for h in stranger.lab.hosts for what in TAKEN)
    stranger.require_unchanged(before, after, taken)
