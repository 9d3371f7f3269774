"""What the lab serves: packages that install from it alone, images that pull, and how it ends."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hale.inventory import ini
from lab.build import cache_root
from lab.errors import LabError
from lab.machine import Lab, LabHost
from lab.mirror import binaries, images, services, start_mirror

from .conftest import Inner, Install

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
Left = Callable[[str], list[str]]


def silent(_: str) -> None:
    pass


@pytest.fixture
def host(supplied: LabHost) -> LabHost:
    """A host of a lab that is supplied."""
    return supplied


def test_packages_install_from_the_labs_repository_alone(host: LabHost, install: Install) -> None:
    wanted = ("kubelet", "kubeadm", "kubectl", "containerd", "haproxy", "keepalived", "etcd-client")
    install(host, *wanted)
    version = f"{binaries.KUBERNETES_VERSION}-1.1"
    shown = "dpkg-query --show --showformat '${Package} ${Version}\\n' kubelet kubeadm kubectl"
    assert host.run(shown).stdout.decode().split() == [
        "kubeadm", version, "kubectl", version, "kubelet", version,
    ]  # fmt: skip
    output = host.run(
        "kubeadm version -o short; kubelet --version; etcdctl version; runc --version"
    )
    assert f"v{binaries.KUBERNETES_VERSION}" in output.stdout.decode()
    # The kubelet waits for kubeadm; nobody takes a VIP before there is a configuration.
    command = (
        "systemctl is-enabled kubelet; systemctl is-active kubelet keepalived containerd; true"
    )
    assert host.run(command).stdout == b"enabled\ninactive\ninactive\nactive\n"
    assert host.run("systemctl --failed --no-legend").stdout == b""
    assert host.run("systemctl cat kubelet | grep -c KUBELET_KUBEADM_ARGS").stdout == b"1\n"


def test_a_repository_of_another_key_is_refused(
    host: LabHost, install: Install, tmp_path: Path
) -> None:
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", "other", "ed25519", "sign"], check=True)
    other = subprocess.check_output([*gpg, "--armor", "--export"])
    subprocess.run(["gpgconf", "--homedir", str(tmp_path), "--kill", "all"], check=True)
    refused = install(host, "socat", key=other, check=False)
    assert refused.returncode != 0
    assert b"NO_PUBKEY" in refused.stderr


def test_every_image_that_kubeadm_names_can_be_had(host: LabHost) -> None:
    """Each manifest is asked for as a runtime does, and each blob has the hash it is named by."""
    kubeadm = next((cache_root() / "supply").glob("kubernetes-*/kubeadm"))
    listed = [str(kubeadm), "config", "images", "list", "--image-repository=k8s",
              f"--kubernetes-version=v{binaries.KUBERNETES_VERSION}"]  # fmt: skip
    names = subprocess.check_output(listed, text=True).split()
    assert len(names) == 7
    for name in (*names, "lab/network:1", "lab/echo:1"):
        repository, _, tag = name.partition(":")
        url = f"http://10.208.1.1:5000/v2/{repository}"
        command = f"curl -sSf -H 'Accept: {images.MANIFEST}' {url}/manifests/{tag}"
        manifest = json.loads(host.run(command).stdout)
        for blob in (manifest["config"], *manifest["layers"]):
            got = host.run(f"curl -sSf {url}/blobs/{blob['digest']}").stdout
            assert f"sha256:{hashlib.sha256(got).hexdigest()}" == blob["digest"]
            assert len(got) == blob["size"]


def test_the_registry_takes_nothing(host: LabHost) -> None:
    tried = "curl -s -o /dev/null -w '%{http_code}' -X POST 10.208.1.1:5000/v2/k8s/x/blobs/uploads/"
    assert host.run(tried).stdout == b"405"


def test_the_inventory_has_the_clusters_variables_and_the_files_they_name(host: LabHost) -> None:
    lab = host.lab
    read = ini.load_inventory(lab.inventory)
    found = {name: variable.value for name, variable in read.variables.items()}
    assert found["apt_repository"] == "http://10.208.1.1:8080/apt ./"
    assert found["kubernetes_version"] == binaries.KUBERNETES_VERSION
    assert found["image_repository"] == "10.208.1.1:5000/k8s"
    for name in ("apt_key", "network_manifest", "kubeadm_extra", "addons"):
        assert (lab.inventory.parent / found[name]).is_file(), name


def test_again_is_a_matter_of_seconds_and_changes_nothing(host: LabHost) -> None:
    lab = host.lab
    output: list[str] = []
    before = lab.inventory.read_text()
    begun = time.monotonic()
    start_mirror(lab, output.append)
    assert time.monotonic() - begun < 100  # building it takes minutes
    assert output == [
        "packages at http://10.208.1.1:8080, as before",
        "images at http://10.208.1.1:5000, as before",
    ]
    assert lab.inventory.read_text() == before


@pytest.mark.parametrize("service", services.ALL, ids=lambda s: s.name)
def test_a_service_that_died_is_started_again(
    host: LabHost, service: services.MirrorService
) -> None:
    lab = host.lab
    service.stop(lab.name)
    assert not service.answers(lab.name)
    start_mirror(lab, silent)
    assert service.answers(lab.name)
    assert host.run(f"curl -sS -o /dev/null {service.url}", check=False).returncode == 0


def test_status_shows_the_supply(host: LabHost) -> None:
    lab = host.lab
    command = [sys.executable, "-m", "invoke", "lab.status", "--name", lab.name]
    shown = subprocess.check_output(command, cwd=ROOT, text=True)
    assert "packages at http://10.208.1.1:8080: answers" in shown
    services.IMAGES.stop(lab.name)
    try:
        shown = subprocess.check_output(command, cwd=ROOT, text=True)
        assert "images at http://10.208.1.1:5000: is dead: `invoke lab.supply`" in shown
    finally:
        start_mirror(lab, silent)


def test_the_key_is_its_owners(host: LabHost) -> None:
    assert host
    for key in (cache_root() / "supply").glob("key-*"):
        assert key.stat().st_mode & 0o077 == 0
        for secret in key.glob("private-keys-v1.d/*"):
            assert secret.stat().st_mode & 0o077 == 0


def test_down_ends_the_services(name: str, remaining: Left, inner: Callable[[Lab], Inner]) -> None:
    lab = Lab(name, hosts=["k8s-node-01"])
    lab.up()
    start_mirror(lab, silent)
    assert all(service.answers(name) for service in services.ALL)
    world = inner(lab)
    lab.down()
    assert remaining(name) == []
    assert world.inhabitants() == []


def test_killed_in_the_middle(name: str, remaining: Left) -> None:
    """Killed with SIGKILL: the next run makes it good, and `down` finds everything."""
    lab = Lab(name, hosts=["k8s-node-01"])
    lab.up()
    code = """
import os, sys
from lab.machine import Lab
from lab.mirror import start_mirror
def say(line):
    if line.startswith(sys.argv[2]): os.kill(os.getpid(), 9)
start_mirror(Lab(sys.argv[1]), say)
"""
    for after in ("packages at", "images at"):
        killed = subprocess.run([sys.executable, "-c", code, name, after], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
        start_mirror(lab, silent)
        assert all(service.answers(name) for service in services.ALL)
        services.PACKAGES.stop(name)
    lab.down()
    assert remaining(name) == []


def test_a_lab_that_is_down_is_told() -> None:
    command = [sys.executable, "-m", "invoke", "lab.supply", "--name", "test-1-nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "lab test-1-nowhere is down" in done.stderr


def test_a_folder_without_a_release_is_told(host: LabHost, tmp_path: Path) -> None:
    (tmp_path / "kubeadm").write_text("#!/bin/sh\necho v1.34.9\n")
    (tmp_path / "kubeadm").chmod(0o755)
    with pytest.raises(LabError, match="lacks kubelet, kubectl, kube-apiserver"):
        start_mirror(host.lab, silent, tmp_path)
