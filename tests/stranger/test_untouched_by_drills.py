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
