"""A host with dnf and containerd 2, in a cluster whose others have apt and containerd 1; and a
cluster where all have dnf, masters too."""

import os
from pathlib import Path

import pytest

from lab import machine, mirror
from tests.cluster.cluster_fixture import DNF, Built

OURS = ("kubelet", "kubeadm", "kubectl", "containerd.io", "kubernetes-cni")
BALANCER = ("haproxy", "keepalived")


@pytest.fixture
def has_dnf(cluster: Built) -> None:
    if cluster.lab[DNF].run("command -v dnf", check=False).returncode:
        pytest.skip(f"`invoke lab.supply --dnf {DNF}` before the cluster was built was not said")


@pytest.mark.usefixtures("has_dnf")
def test_it_runs_what_dnf_brought(cluster: Built) -> None:
    host = cluster.lab[DNF]
    assert b"not installed" not in host.run(f"rpm -q {' '.join(OURS)}").stdout
    field = "custom-columns=:.status.nodeInfo.containerRuntimeVersion"
    runtimes = {
        name: cluster.kubectl(f"get node {name} --no-headers -o {field}").strip()
        for name in (h.name for h in cluster.lab.hosts)
    }
    assert runtimes.pop(DNF).startswith("containerd://2.")
    assert all(output.startswith("containerd://1.") for output in runtimes.values())


@pytest.mark.usefixtures("has_dnf")
def test_an_upgrade_of_all_leaves_kubernetes_as_it_is(cluster: Built) -> None:
    host = cluster.lab[DNF]
    command = "dnf -q {} repoquery kubelet kubeadm kubectl"
    assert host.run(command.format("")).stdout == b""
    there = host.run(command.format("--disableexcludes=hale-kubernetes")).stdout
    assert len(there.split()) == 3, "the repository has them, and they are left out"


# A site's own: what the kubelet needs is its default, or is set by what it imports.
OWN_CONFIG = """\
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins."io.containerd.cri.v1.images"]
  max_concurrent_downloads = 5

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
"""


@pytest.mark.usefixtures("has_dnf")
@pytest.mark.soak("two installs that drain a worker")
def test_a_config_of_the_sites_own_stays_and_imports_what_it_lacks(cluster: Built) -> None:
    host = cluster.lab[DNF]
    config = host.root / "etc/containerd/config.toml"
    drop_in = host.root / "etc/containerd/conf.d/zz-hale.toml"
    by_hale = config.read_text()
    settings = "containerd config dump 2>/dev/null | grep -E '(sandbox|config_path|Systemd.*) ='"
    before = host.run(settings).stdout
    try:
        config.write_text(OWN_CONFIG)
        host.run("systemctl restart containerd")
        assert host.run(settings).stdout != before
        done = cluster.install()
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert config.read_text() == OWN_CONFIG
        assert host.run(settings).stdout == before
        assert b"max_concurrent_downloads = 5" in host.run("containerd config dump").stdout
        assert "zz-hale.toml, which has Hale's settings" in done.stdout
        done = cluster.install()
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert "What remains to do" not in done.stdout
    finally:
        config.write_text(by_hale)
        drop_in.unlink(missing_ok=True)
        host.run("systemctl restart containerd")


@pytest.mark.usefixtures("has_dnf")
def test_it_goes_with_its_packages_and_comes_back(cluster: Built) -> None:
    """Nothing is installed that another key has signed, or while the repository is away."""
    host = cluster.lab[DNF]
    done = cluster.reset("--hosts", DNF, "--packages")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert cluster.remains(DNF) == []
    output = host.run(f"rpm -q {' '.join(OURS)}", check=False).stdout.decode()
    assert output.count("is not installed") == len(OURS)
    assert host.run("ls -A /etc/yum.repos.d /etc/pki/rpm-gpg").stdout.count(b"hale") == 0
    assert b"Hale" not in host.run("cat /etc/containerd/config.toml", check=False).stdout
    # rpm keeps a key that dnf has once been let to import.
    host.run("! rpm -q gpg-pubkey >/dev/null || rpm --erase --force-debian $(rpm -q gpg-pubkey)")
    host.run("find /var/lib/containerd -mindepth 1 -delete", timeout=600)

    for old, new, why in (
        ("dnf_key=rpm-key.asc", "dnf_key=known_hosts", "GPG check FAILED"),
        (":8081", ":8081/nowhere", "Failed to download metadata for repo 'hale-kubernetes'"),
    ):
        with cluster.edited((old, new)) as path:
            done = cluster.install("--inventory", str(path), "--until", "packages")
        assert (done.returncode, why in done.stdout) == (1, True), done.stdout[-3000:]
        assert host.run("rpm -q kubelet", check=False).returncode == 1

    done = cluster.install()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.soak("a cluster of its own")
def test_masters_may_have_it_too(tmp_path: Path) -> None:
    """haproxy and keepalived by units as Red Hat's packages have them."""
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}-dnf") as lab:
        mirror.start_mirror(lab, lambda line: print(line, flush=True), dnf=lab.hosts)
        made = Built(lab, tmp_path / "reports")
        done = made.install("--fix")
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        first, *_ = lab.hosts
        assert b"not installed" not in first.run(f"rpm -q {' '.join((*OURS, *BALANCER))}").stdout
        units = first.run("systemctl cat haproxy keepalived").stdout
        assert b"/etc/haproxy/conf.d" in units
        assert b"Type=forking" in units

        done = made.invoke("drill", "vip", "--yes")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

        done = made.reset("--packages")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        for host in lab.hosts:
            assert made.remains(host.name) == []
        output = first.run(f"rpm -q {' '.join((*OURS, *BALANCER))}", check=False).stdout
        assert output.count(b"is not installed") == len(OURS) + len(BALANCER)
