"""On a cluster that Hale did not build: each drill takes what it names, and gives it back."""

import pytest

from hale.audit import results_file
from lab import stranger as built
from lab.topology import VIP
from tests.stranger.stranger_fixture import Stranger

# The tenant's etcd and kube-apiserver, by the control group of their pod.
TENANT = (
    "for p in $(pgrep -x 'etcd|kube-apiserver'); do "
    "! grep -q -e {0} -e {1} /proc/$p/cgroup || echo $p; done"
)
PODS = "cluster: Pod "  # a lost apiserver's leaders follow each other, evicted pods are made again
# The drill of the apiserver moves it aside and back, so that its inode changes, and nothing in it.
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# What the network's plugin makes on a node with its first pod, and keeps after its last one; and
# the kubelet's own lists of its pods.
BY_PODS = (
    *("interface cni0", "address cni0 ", "route 10.244."),
    *(f"file /var/lib/kubelet/{list_}_pods_state" for list_ in ("actuated", "allocated")),
)


def _masters(stranger: Stranger, what: str) -> tuple[str, ...]:
    return tuple(f"{h.name}: {what}" for h in stranger.lab.hosts if h.spec.role == "masters")


def _vips(stranger: Stranger) -> tuple[str, ...]:
    both = (VIP, built.SHOP_VIP)
    return tuple(one for vip in both for one in _masters(stranger, f"address eth0 {vip}/"))


def _drill(stranger: Stranger, kind: str, host: str = "") -> None:
    done = stranger.invoke("drill", kind, "--yes", *(("--host", host) if host else ()))
    output = done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode in (0, 1), output
    assert "no fault was injected" not in done.stderr, output
    folder = max(stranger.reports.glob("*-drill*"), key=lambda p: p.stat().st_mtime)
    saved = results_file.load_results(folder / "results.json")
    assert saved.run.state == "finished", output


@pytest.mark.soak("a minute each")
@pytest.mark.parametrize("kind", ["apiserver", "etcd"])
def test_a_drill_takes_no_other_program_of_that_name(stranger: Stranger, kind: str) -> None:
    """The tenant's etcd and kube-apiserver, in a pod of the same master, run all the time."""
    host = stranger.lab[built.TENANT_HOST]
    uid = stranger.kubectl("-n tenant get pods -o jsonpath={.items[0].metadata.uid}")
    ask = TENANT.format(uid, uid.replace("-", "_"))
    tenants = host.run(ask).stdout.split()
    assert len(tenants) == 2
    # The master's own static pods start again, and the leaders of all masters follow each other.
    moving = (
        f"{host.name}: process ",
        f"{host.name}: file {MANIFEST}",
        *_masters(stranger, "process kube-"),
        PODS + "kube-system/",
    )
    content = host.run(f"sha256sum {MANIFEST}").stdout
    with stranger.unchanged(but=moving, moves=True):
        _drill(stranger, kind, host.name)
    assert host.run(ask).stdout.split() == tenants
    assert host.run(f"sha256sum {MANIFEST}").stdout == content


@pytest.mark.soak("a minute")
def test_the_drill_of_the_vip_takes_haproxy_alone(stranger: Stranger) -> None:
    """It starts again; the VIPs and keepalived's addresses move, and nothing else does."""
    moving = (
        *_masters(stranger, "unit haproxy.service"),
        *_masters(stranger, "process haproxy "),
        *_masters(stranger, "process kube-"),  # leaders whose requests fail for a second
        *_vips(stranger),
        PODS + "kube-system/kube-",
    )
    with stranger.unchanged(but=moving, moves=True):
        _drill(stranger, "vip")


@pytest.mark.soak("three minutes each")
@pytest.mark.parametrize("kind", ["worker", "master"])
def test_a_drill_of_power_leaves_what_is_the_sites(stranger: Stranger, kind: str) -> None:
    """The host boots; its files, and everything on the other hosts, stay as they are."""
    host = built.ROOT_ONLY_HOST if kind == "worker" else "k8s-master-03"
    booted = tuple(
        f"{host}: {what}"
        for what in (
            "unit ", "process ", "mount ", "interface ", "address ", "route ", "table ", "rules ",
            "sysctl ", "file /srv/share", "file /var/lib/kubelet/",
            # What a boot's timers catch up with.
            "file /var/lib/apt/", "file /var/lib/logrotate/", "file /var/backups",
        )
    )  # fmt: skip
    # What the site mounts by hand is mounted again below, so that no volume lacks a file.
    moving = (
        *booted,
        *(f"{h.name}: {what}" for h in stranger.lab.hosts for what in BY_PODS),
        *_masters(stranger, "process kube-"),
        *_vips(stranger),
        PODS,
        f"cluster: Node /{host}",
    )
    with stranger.unchanged(but=moving, moves=True):
        stranger.spoiled = True
        _drill(stranger, kind, host)
        built.mount_volumes(stranger.lab[host])
    stranger.spoiled = False
    assert "hale-drill" not in stranger.kubectl("get namespaces -o name")
