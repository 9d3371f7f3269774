"""On a cluster that Hale did not build: audits, plans, a fix and its undo change what the plan
names, and no more."""

import pytest

from hale.audit import results_file
from lab import stranger as built
from tests.stranger import snapshot
from tests.stranger.stranger_fixture import Stranger

# Hosts' settings that the cluster does not have; the remedy is for them alone.
LIMITS = ("--only=LIM-NOFILE", f"--hosts={built.VOLUME_HOST}")


def test_the_cluster_is_healthy_and_has_nothing_of_hale(stranger: Stranger) -> None:
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
        run = stranger.histories()[-1].header.run
        done = stranger.invoke("undo", run, "--yes")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert stranger.lab[built.VOLUME_HOST].run(content).stdout == before
