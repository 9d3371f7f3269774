"""What the lab's tests share: a lab of their own, and a look at what a lab left behind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import cgroups, network, nspawn
from lab.machine import Lab, LabHost, running_lab, unavailable
from lab.mirror import start_mirror
from lab.topology import STATE_ROOT, name_prefix


@pytest.fixture(scope="session", autouse=True)
def _available() -> None:
    if reason := unavailable():
        pytest.skip(reason)


def until(condition: Callable[[], bool], shown: Callable[[], object] = lambda: "") -> None:
    """Wait for it, two minutes at most; `shown` is what the failure prints."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, shown()
        time.sleep(0.05)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two hosts that the tests of this folder share; what a test changes on one, it resets."""
    with running_lab(f"test-{os.getpid()}-lab", hosts=["k8s-master-01", "k8s-node-02"]) as lab:
        yield lab


@pytest.fixture(scope="session")
def supplied() -> Iterator[LabHost]:
    """A host of a lab that is supplied."""
    with running_lab(f"test-{os.getpid()}-supply", hosts=["k8s-node-01"]) as lab:
        start_mirror(lab, lambda _: None)
        yield lab["k8s-node-01"]


_INSTALL = """
set -eu
mkdir -p /etc/apt/keyrings
cat > /etc/apt/keyrings/lab.asc
echo 'deb [signed-by=/etc/apt/keyrings/lab.asc] http://10.208.1.1:8080/apt ./' > /etc/apt/site.list
set -- -qq -o Dir::Etc::sourcelist=/etc/apt/site.list -o Dir::Etc::sourceparts=-
apt-get "$@" -o APT::Update::Error-Mode=any update
export DEBIAN_FRONTEND=noninteractive
apt-get "$@" install --yes --no-install-recommends {packages}
"""

Install = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def install() -> Install:
    """`install(host, *packages, key=…)`: from the lab's repository and no other."""

    def install(
        host: LabHost, *packages: str, key: bytes = b"", check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        script = _INSTALL.format(packages=" ".join(packages))
        key = key or (host.lab.state / "apt-key.asc").read_bytes()
        return host.run(script, input=key, check=check, timeout=600)

    return install


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a lab for this test alone; taken down afterwards, whatever is left of it."""
    name = f"test-{os.getpid()}-own"
    yield name
    Lab(name).down()


@dataclass(frozen=True)
class Inner:
    """The namespaces of a lab that is up: nothing may live in them when it is down."""

    namespaces: frozenset[str]

    @classmethod
    def of(cls, lab: Lab) -> Inner:
        found = {
            f"net:[{p.stat().st_ino}]" for p in network.NETNS.glob(f"{name_prefix(lab.name)}*")
        }
        for host in lab.hosts:
            if leader := nspawn.find_init(lab.name, host.name):
                ns = Path(f"/proc/{leader.pid}/ns")
                found.update(str((ns / kind).readlink()) for kind in ("pid", "mnt", "uts", "ipc"))
        return cls(frozenset(found))

    def inhabitants(self) -> list[str]:
        """Processes that live in one of the namespaces, dead ones that nobody reaped yet apart."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                kinds = ("net", "pid", "mnt", "uts", "ipc")
                homes = {str((process / "ns" / kind).readlink()) for kind in kinds}
                if homes & self.namespaces:
                    found.append(f"{process.name} {(process / 'comm').read_text().strip()}")
            except OSError:
                continue
        return found


def leftovers(name: str) -> list[str]:
    """Everything on the machine that carries the name of a lab."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    where = (f"{STATE_ROOT}/{name}/", f"{network.NETNS}/{name_prefix(name)}")
    return [
        *(mount for mount in mounts if mount.startswith(where)),
        *map(str, network.NETNS.glob(f"{name_prefix(name)}*")),
        *(str(group) for group in cgroups.groups(name) if group.exists()),
        *map(str, STATE_ROOT.glob(f"{name}*")),
        *map(str, Path("/run/systemd/nspawn").glob(f"*/{name_prefix(name)}*")),
        *(command for command in _commands() if name_prefix(name) in command),
    ]


def _commands() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) != os.getpid():
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


@pytest.fixture
def remaining() -> Callable[[str], list[str]]:
    """`left(name)`: what the machine still has of the lab of that name."""
    return leftovers


@pytest.fixture
def inner() -> Callable[[Lab], Inner]:
    """`inner(lab)`: the namespaces of a lab that is up."""
    return Inner.of
