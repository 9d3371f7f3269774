"""On a cluster that Hale did not build: a worker is reset without the networks of other programs,
and joins again, also after a join that was interrupted; a budget that refuses an eviction stops the
reset."""

import pytest

from facts.cluster import kubernetes
from lab import stranger as built
from tests.stranger.stranger_fixture import WITHOUT_LIMITS, Stranger

WORKER = built.ROOT_ONLY_HOST
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
    host = stranger.lab[WORKER]
    stranger.spoiled = True
    host.run(OTHERS)
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

    # apt refuses two keys for one repository.
    host.run("rm /etc/apt/sources.list.d/site.list")
    stranger.killed("workers", 3.0, *WITHOUT_LIMITS)
    done = stranger.install("--force-unlock", *WITHOUT_LIMITS)
    output = f"{[a.title for s in stranger.stories() for a in s.acts]}\n{done.stdout[-3000:]}"
    ready = stranger.kubectl(f"get node {WORKER} --no-headers").split()
    assert ready[1] == "Ready", output
    assert host.run(f"ls {kubernetes.JOIN_BEGAN}", check=False).returncode == 2, output
    assert "kubeadm join" in output
