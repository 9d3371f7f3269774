"""Every command on a cluster that Hale did not build changes what its plan names, and no more.

The last tests take hosts off; who needs the cluster after them builds it again.
"""

import pytest

from hale.audit import results_file
from lab import stranger as built
from tests.stranger import snapshot
from tests.stranger.stranger_fixture import Stranger

WORKER = built.ROOT_ONLY_HOST
# Hosts' settings that the cluster does not have; the remedy is for them alone.
LIMITS = ("--only=LIM-NOFILE", f"--hosts={built.VOLUME_HOST}")

# Rows of the gate that a host without an ordinary user cannot have.
WITHOUT_LIMITS = ("--ignore-preflight-errors", "LIM-NOFILE,LIM-NPROC,LIM-MEMLOCK")


def test_it_is_whole_and_not_of_hale(stranger: Stranger) -> None:
    """The fixture: what the other tests look at is there, and healthy."""
    rows = [line.split() for line in stranger.kubectl("get nodes --no-headers").splitlines()]
    assert {row[0]: row[1] for row in rows} == {h.name: "Ready" for h in stranger.lab.hosts}
    assert "coredns" not in stranger.kubectl("-n kube-system get deployments,pods -o name")
    for host in stranger.lab.hosts:
        ours = "grep -rlsI 'written by Hale' /etc /usr/local /root /var/lib/hale"
        assert host.run(ours, check=False).stdout == b""
        assert host.run("ctr -n k8s.io containers ls -q").stdout
        assert host.run("containerd config dump | grep '^root'").stdout.split()[-1] == (
            b'"/data/containerd"'
        )
    issuer = "openssl x509 -noout -issuer -in /etc/kubernetes/pki/ca.crt"
    assert b"Example Corp Root" in stranger.lab.hosts[0].run(issuer).stdout
    tenant = stranger.lab[built.TENANT_HOST]
    for name in ("etcd", "kube-apiserver"):
        assert len(tenant.run(f"pgrep -x {name}").stdout.split()) == 2
    allowed = "-n shop get poddisruptionbudget shop -o jsonpath={.status.disruptionsAllowed}"
    assert stranger.kubectl(allowed) == "0"


def test_a_snapshot_sees_what_is_changed(stranger: Stranger) -> None:
    """What the other tests rest on: a file rewritten with the same bytes, a restart, a label."""
    host = stranger.lab.hosts[-1]
    before = snapshot.take(stranger.lab)
    host.run("cp -p /etc/containerd/config.toml /etc/x && cat /etc/x >/etc/containerd/config.toml")
    host.run("rm /etc/x; systemctl restart chrony; ip addr add 10.208.1.250/32 dev eth0")
    host.run("echo new >/srv/share/new")
    stranger.kubectl(f"label node {host.name} site=changed")
    try:
        found = snapshot.changes(before, snapshot.take(stranger.lab))
    finally:
        host.run("rm -f /srv/share/new; ip addr del 10.208.1.250/32 dev eth0")
        stranger.kubectl(f"label node {host.name} site-")
    named = {f"{c.where}: {c.what}" for c in found if not c.what.startswith("process ")}
    assert named >= {
        f"{host.name}: file /etc/containerd/config.toml",
        f"{host.name}: unit chrony.service",
        f"{host.name}: address eth0 10.208.1.250/32",
        f"{host.name}: volume /srv/share/new",
        f"cluster: Node /{host.name}",
    }, snapshot.shown(found)


def test_an_audit_changes_nothing_and_tells_no_password(stranger: Stranger) -> None:
    with stranger.unchanged():
        done = stranger.audit()
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    known = results_file.load_results(stranger.audited() / "results.json").results
    assert {r.host for r in known} >= {h.name for h in stranger.lab.hosts}
    shown = done.stdout + done.stderr
    assert built.REGISTRY_PASSWORD not in shown
    for path in stranger.reports.rglob("*"):
        if path.is_file():
            assert built.REGISTRY_PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("words", ["fix", "install --plan"])
def test_a_plan_changes_nothing(stranger: Stranger, words: str) -> None:
    with stranger.unchanged():
        done = stranger.invoke(*words.split())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "Nothing was changed" in done.stdout


def test_a_fix_and_its_undo_leave_it_as_it_was(stranger: Stranger) -> None:
    file = f"{built.VOLUME_HOST}: file /etc/security/"
    content = "find /etc/security -type f | sort | xargs sha256sum"
    before = stranger.lab[built.VOLUME_HOST].run(content).stdout
    with stranger.unchanged(but=(file,)):
        done = stranger.invoke("fix", *LIMITS, "--apply", "--yes")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert stranger.lab[built.VOLUME_HOST].run(content).stdout != before
        run = stranger.stories()[-1].header.run
        done = stranger.invoke("undo", run, "--yes")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert stranger.lab[built.VOLUME_HOST].run(content).stdout == before


def test_an_install_of_what_is_there_changes_nothing(stranger: Stranger) -> None:
    """All hosts have joined: what differs from Hale's own files is reported, and left."""
    with stranger.unchanged():
        done = stranger.install(*WITHOUT_LIMITS)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    assert "config.toml" in done.stdout, done.stdout[-3000:]


@pytest.mark.soak("a minute and a half")
def test_without_kube_proxy_it_stays_without(stranger: Stranger) -> None:
    """Another program serves the Services; CoreDNS has another name anyway."""
    built.delete_kube_proxy(stranger.lab)
    stranger.spoiled = True
    with stranger.unchanged():
        done = stranger.install(*WITHOUT_LIMITS)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    objects = stranger.kubectl("-n kube-system get daemonsets,deployments -o name")
    assert "kube-proxy" not in objects
    assert "coredns" not in objects


@pytest.mark.soak("a minute")
@pytest.mark.parametrize("kind", ["apiserver", "etcd"])
def test_a_drill_takes_no_other_program_of_that_name(stranger: Stranger, kind: str) -> None:
    """The tenant's etcd and kube-apiserver, in a pod of the same master, run all the time."""
    host = stranger.lab[built.TENANT_HOST]
    ask = (
        "for p in $(pgrep -x 'etcd|kube-apiserver'); do grep -q {} /proc/$p/cgroup && echo $p; done"
    )
    pods = stranger.kubectl("-n tenant get pods -o jsonpath={.items[0].metadata.uid}")
    tenants = host.run(ask.format(f"-e {pods} -e {pods.replace('-', '_')}")).stdout.split()
    assert len(tenants) == 2
    moving = (  # the master's own pods of that drill restart, and follow each other
        f"{host.name}: process ",
        "k8s-master-01: process kube-",
        "k8s-master-03: process kube-",
        "cluster: Pod kube-system/",
    )
    with stranger.unchanged(but=moving):
        done = stranger.invoke("drill", kind, "--yes", "--host", host.name)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    assert "the cluster is unhealthy" not in done.stderr, done.stderr[-2000:]
    results = max(stranger.reports.glob("*-drill")) / "results.json"
    assert results_file.load_results(results).run.state == "finished", done.stdout[-3000:]
    assert host.run(ask.format(f"-e {pods} -e {pods.replace('-', '_')}")).stdout.split() == tenants


def test_a_budget_that_refuses_an_eviction_stops_a_reset(stranger: Stranger) -> None:
    shop = "-n shop get pods -o jsonpath={.items[*].metadata.uid}"
    before = stranger.kubectl(shop)
    stranger.spoiled = True  # the drain has moved other pods
    done = stranger.reset("--hosts", built.VOLUME_HOST)
    assert stranger.kubectl(shop) == before, done.stdout[-3000:]
    assert done.returncode == 1, done.stdout[-3000:]
    assert "shop" in done.stdout + done.stderr
    assert built.VOLUME_HOST in stranger.kubectl("get nodes -o name")


# What a reset takes off a host: kubeadm's, the pods' network's and their processes.
TAKEN = (
    "file /etc/kubernetes",
    "file /var/lib/kubelet",
    "file /var/lib/etcd",
    "file /var/lib/cni",
    "file /etc/cni/net.d/10-lab.conflist",
    "file /opt/cni",
    "mount /var/lib/kubelet/",
    "mount /var/lib/containerd/",
    "volume /var/lib/kubelet/",
    "unit kubelet.service",
    "enabled kubelet.service",
    "process ",
    "interface cni0",
    "address cni0 ",
    "table ",
    "route 10.244.",
    "sysctl net.bridge",
)


def test_a_worker_is_reset_and_joined_with_no_other_host_touched(stranger: Stranger) -> None:
    taken = tuple(f"{WORKER}: {what}" for what in TAKEN)
    moved = (
        f"cluster: Node /{WORKER}", f"cluster: CSINode /{WORKER}", "cluster: Pod ",
        "cluster: CertificateSigningRequest ", "cluster: Secret kube-system/bootstrap-token-",
        "cluster: ConfigMap kube-public/cluster-info", "cluster: ControllerRevision ",
    )  # fmt: skip
    routes = tuple(f"{h.name}: route 10.244." for h in stranger.lab.hosts)
    before = snapshot.take(stranger.lab)
    stranger.spoiled = True
    done = stranger.reset("--hosts", WORKER)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    after = snapshot.take(stranger.lab)
    found = snapshot.changes(before, after)
    assert not [c for c in found if not str(c).startswith((*taken, *moved, *routes))], (
        snapshot.shown([c for c in found if not str(c).startswith((*taken, *moved, *routes))])
    )
    kept = f"{WORKER}: volume /srv/"
    assert [k for k in before if k.startswith(kept)] == [k for k in after if k.startswith(kept)]
    assert stranger.remains(WORKER) == ["file /etc/cni/net.d/87-podman-bridge.conflist"]

    done = stranger.install(*WITHOUT_LIMITS)
    assert WORKER in stranger.kubectl("get nodes -o name"), done.stdout[-3000:]
    found = snapshot.changes(after, snapshot.take(stranger.lab))
    assert not [c for c in found if not str(c).startswith((f"{WORKER}: ", *moved, *routes))], (
        snapshot.shown(
            [c for c in found if not str(c).startswith((f"{WORKER}: ", *moved, *routes))]
        )
    )


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
    found = [c for c in snapshot.changes(before, after) if not c.what.startswith((*TAKEN, "unit "))]
    assert not found, snapshot.shown(found)
