"""haproxy and keepalived of Debian 11 to 14 read the files, and haproxy works by them.

Each program is the release's own, in its own root, in network and mount namespaces where m1's
apiserver answers (load_balancer_start.py). Older versions are in test_load_balancer_config.py.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from facts.cluster import load_balancer_host
from facts.cluster.load_balancer_host import Ipv6, LoadBalancerHost, Version
from facts.parsers import haproxy_ingress
from facts.parsers.haproxy_stats import running_servers
from hale.model.evidence import File
from lab import machine
from lab.debian_releases import RELEASES, TESTING, unpack_releases
from remediate.cluster import load_balancer_config
from tests.install import factories, load_balancer_files, load_balancer_start

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
# A certificate that is its own CA, for the name of the control plane.
_CERTIFICATE = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kubernetes -days 2 \
  -addext subjectAltName=DNS:api.example -keyout apiserver.key -out apiserver.crt
"""
# eth0 has the masters' addresses; only m1's apiserver runs.
_NAMESPACES = """
set -eu
mount --bind "$2/haproxy" "$1/etc/haproxy"
mount --bind "$2/keepalived" "$1/etc/keepalived"
mount -t tmpfs tmpfs "$1/run"
mkdir "$1/run/haproxy"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
ip link set lo up
ip link add eth0 type veth peer name other
for n in 1 2 3; do ip address add "10.0.0.$n/24" dev eth0; done
ip link set eth0 up
ip link set other up
shift 2
exec "$@"
"""


@pytest.fixture(scope="module")
def releases() -> Path:
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    return unpack_releases(lambda _: None)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["sh", "-c", _CERTIFICATE], cwd=folder, capture_output=True, check=True)
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


class Release:
    """A release's root, and the files that stand there for one test."""

    def __init__(self, root: Path, files: Path, certificate: Path) -> None:
        self.root, self.files = root, files
        self.haproxy, self.keepalived = files / "haproxy", files / "keepalived"
        for folder in (self.haproxy, self.keepalived):
            folder.mkdir(mode=0o755)
        shutil.copyfile(certificate / "apiserver.crt", self.haproxy / "apiserver-ca.crt")
        for name in ("apiserver.crt", "apiserver.key"):
            shutil.copyfile(certificate / name, files / name)
        if (options := root / "etc/keepalived/keepalived.config-opts").exists():
            shutil.copy(options, self.keepalived)  # without it 2.3 tells no version
        check = self.keepalived / "check-apiserver"
        check.write_text("#!/bin/sh\n")
        check.chmod(0o755)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command in namespaces of its own, with these files in the root."""
        alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        inside = ["sh", "-c", _NAMESPACES, "sh", str(self.root), str(self.files), *argv]
        return subprocess.run(
            [*alone, *inside], capture_output=True, text=True, timeout=60, check=False
        )

    def versions(self) -> LoadBalancerHost:
        """What the probe of an install finds there."""
        programs = "".join(
            f'{name}() {{ chroot {self.root} /usr/sbin/{name} "$@"; }}\n'
            for name in load_balancer_host.PROGRAMS
        )
        done = self.run("sh", "-c", f"{programs}{load_balancer_host.probe().script}")
        subject = load_balancer_host.SUBJECT
        key = f"{subject}.{load_balancer_host.probe().name}"
        observed = factories.observed({"m1": {key: done.stdout}}, {})
        return load_balancer_host.read(observed.of("m1", subject))

    def start(self, text: str, network: str) -> dict[str, Any]:
        """How haproxy with this configuration does: load_balancer_start.py."""
        (self.haproxy / "haproxy.cfg").write_text(text)
        helper = [sys.executable, load_balancer_start.__file__]
        done = self.run(*helper, str(self.root), str(self.files), network)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(params=RELEASES)
def release(
    request: pytest.FixtureRequest, releases: Path, certificate: Path, tmp_path: Path
) -> Release:
    return Release(releases / request.param, tmp_path, certificate)


def version(release: Release) -> Version:
    found = release.versions().haproxy
    assert found is not None
    return found.version


def test_the_releases_have_the_versions_that_the_manual_names(release: Release) -> None:
    found = release.versions()
    versions = tuple(p.version[:2] for p in (found.haproxy, found.keepalived) if p)
    named = tuple(tuple(map(int, text.split("."))) for text in RELEASES[release.root.name])
    assert versions == named or (release.root.name == TESTING and versions > named)


def test_haproxy_reads_every_variant_without_a_warning(release: Release) -> None:
    known = version(release)
    for name, ipv6 in product(load_balancer_files.HAPROXY, (Ipv6.ENABLED, Ipv6.ABSENT)):
        text = load_balancer_files.haproxy(name, known, ipv6)
        (release.haproxy / "haproxy.cfg").write_text(text)
        done = release.run(
            "chroot", str(release.root), "/usr/sbin/haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"
        )
        output = (done.stdout + done.stderr).replace("Configuration file is valid\n", "")
        assert (done.returncode, output) == (0, ""), name


def test_keepalived_reads_every_variant_without_a_word(release: Release, tmp_path: Path) -> None:
    """By the check of an install, which wants no output."""
    found = release.versions().keepalived
    assert found is not None
    check = load_balancer_config.keepalived_check(found.version)
    keepalived = f'keepalived() {{ chroot {release.root} /usr/sbin/keepalived "$@"; }}\n'
    script = f"{keepalived}new=/etc/keepalived/keepalived.conf\n{check}"
    for name in load_balancer_files.KEEPALIVED:
        text = load_balancer_files.keepalived(name, found.version)
        (release.keepalived / "keepalived.conf").write_text(text)
        done = release.run("sh", "-c", script)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), name
    (release.keepalived / "keepalived.conf").write_text(text.replace("nopreempt", "nopreemt"))
    done = release.run("sh", "-c", script)
    assert (done.returncode, "nopreemt" in done.stdout) == (1, True), "it sees a wrong keyword"


WORKS = {
    "listens": True,
    "requests": ["GET /readyz HTTP/1.1 api.example"],
    "answer": "HTTP/1.1 200 OK",
}


@pytest.mark.parametrize("network", ["ipv6", "sysctl", "absent"])
def test_haproxy_listens_and_checks_readyz(release: Release, network: str) -> None:
    ipv6 = Ipv6.ABSENT if network == "absent" else Ipv6.DISABLED
    text = load_balancer_files.haproxy("haproxy.cfg", version(release), ipv6)
    found = release.start(text, network)
    assert {key: found[key] for key in WORKS} == WORKS, found["output"]
    assert found["checks"]["m1"] == "L7OK"


def test_haproxy_forwards_the_ingress_to_the_worker_that_answers(release: Release) -> None:
    text = load_balancer_files.haproxy("haproxy-ingress.cfg", version(release), Ipv6.DISABLED)
    found = release.start(text, "ipv6")
    assert found["ingress"] == ["80", "443"], found["output"]
    checks = {f"workers-{port}/w1": found["checks"][f"workers-{port}/w1"] for port in (80, 443)}
    assert set(checks.values()) == {"L4OK"}
    assert found["checks"]["workers-80/w12"] in ("L4CON", "L4TOUT")
    text = load_balancer_files.haproxy("haproxy.cfg", version(release), Ipv6.DISABLED)
    assert release.start(text, "ipv6")["ingress"] == ["", ""]


def test_an_audit_reads_what_haproxy_says_of_the_ingress(release: Release, tmp_path: Path) -> None:
    """The workers are behind both ports; one is taken out of service on 443, by the helper."""
    text = load_balancer_files.haproxy("haproxy-ingress.cfg", version(release), Ipv6.DISABLED)
    text = text.replace("level operator", "level admin")  # which may take a server out
    tables = release.start(text, "ipv6")["tables"].splitlines()
    hosts = "".join(f"{h.name} ansible_host={h.address}\n" for h in load_balancer_files.WORKERS)
    head, workers, rest = factories.INVENTORY.partition("[workers]\n")
    masters = head.replace("10.0.0.", "10.0.1.")
    complete = masters + workers + hosts + rest[rest.index("[k8s:children]") :]
    more = "ingress=traefik\ningress_on_vip=true\n"
    inventory = factories.made(tmp_path, more, complete=complete).inventory
    running = running_servers(tables)

    def faults(config: str) -> list[str]:
        file = File("/etc/haproxy/haproxy.cfg", "f", None, 0.0, tuple(config.splitlines()))
        return list(haproxy_ingress.now([file], running, inventory))

    (fault,) = faults(text)
    assert fault.startswith("w12 is not in service on the VIP's port 443 (MAINT")
    running = {name: servers for name, servers in running.items() if name != "workers-80"}
    assert faults(text)[:2] == [
        f"the running haproxy has no {name} behind the VIP's port 80" for name in ("w1", "w12")
    ]
    (away,) = (f for f in faults(text.replace(":::80 ", ":::81 ")) if "80" in f)
    assert away == "no line binds the VIP's port 80, which ingress_on_vip asks for"


def test_without_ipv6_haproxy_cannot_listen_on_both(release: Release) -> None:
    """What the host's fact is for: this passes `haproxy -c`, and does not start."""
    text = load_balancer_files.haproxy("haproxy.cfg", version(release), Ipv6.ENABLED)
    found = release.start(text, "absent")
    assert not found["listens"]
    assert "cannot create" in found["output"]
    assert ":::16443" in found["output"]


@pytest.mark.parametrize("release", ["bullseye", "bookworm"], indirect=True)
def test_the_check_for_older_versions_asks_the_same(release: Release) -> None:
    """2.2 and 2.6 still take the form that 1.8 and 2.0 need, with a warning; 3.0 does not."""
    text = load_balancer_files.haproxy("haproxy.cfg", (1, 8, 0), Ipv6.ENABLED)
    assert "http-check send" not in text
    found = release.start(text, "ipv6")
    assert {key: found[key] for key in WORKS} == WORKS, found["output"]
    assert found["checks"]["m1"] == "L7OK"
