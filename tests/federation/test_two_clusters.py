"""Two clusters of the lab: Karmada is installed on one, the other joins, and leaves again.

In a soak alone: two clusters take eight minutes and, with four hosts, 90 of root's 128 inotify
instances.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.shell import load_script, variables
from lab import machine, mirror
from lab.machine import Lab
from lab.mirror import images, karmada
from tests.cluster.cluster_fixture import ROOT
from tests.federation.processes import until

HOSTS = ("k8s-master-01", "k8s-node-01", "k8s-node-02", "k8s-b-master-01")
ONE_MASTER = "hale_nodes_odd_masters__accepted='[1]'\n"
_OBJECTS = load_script(Path(__file__).with_name("objects.sh"))
_PLACE = load_script(Path(__file__).with_name("place.sh"))


@dataclass(frozen=True)
class Clusters:
    """The lab with both; reports: of the runs."""

    lab: Lab
    reports: Path

    @property
    def first(self) -> Path:
        return self.lab.state / "first.ini"

    def invoke(self, *words: str, timeout: float = 900) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "invoke", *words]
        return subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout
        )

    def install(self, inventory: Path) -> "subprocess.CompletedProcess[str]":
        given = f"--inventory={inventory}", f"--reports={self.reports}"
        return self.invoke("install", "--fix", "--yes", *given)

    def federation(self, *words: str) -> "subprocess.CompletedProcess[str]":
        given = f"--inventory={self.lab.second_inventory}", f"--host-inventory={self.first}"
        return self.invoke("federation", *words, *given)

    def audit(self) -> str:
        """CMP-FEDERATION: its verdict and actual value."""
        argv = [sys.executable, "-m", "pytest", f"--inventory={self.first}", "--hosts=all",
                f"--reports={self.reports}", "-k", "FEDERATION", "-v"]  # fmt: skip
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        return done.stdout

    def on(self, host: str, script: str) -> str:
        return self.lab[host].run(script, timeout=120).stdout.decode()


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Both are installed, the first with Karmada."""
    if reason := machine.unavailable():
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}-two", hosts=HOSTS) as lab:
        mirror.start_mirror(lab, lambda line: print(line, flush=True), with_karmada=True)
        made = Clusters(lab, tmp_path_factory.mktemp("two"))
        made.first.write_text(lab.inventory.read_text() + ONE_MASTER)
        second = made.install(lab.second_inventory)
        assert second.returncode == 0, second.stdout[-4000:]
        first = made.install(made.first)
        # No cluster has joined, and nothing else is wrong.
        assert "✓ federation: Federation" in first.stdout, first.stdout[-4000:]
        yield made


@pytest.mark.soak("two clusters, eight minutes")
@pytest.mark.lab
def test_a_cluster_joins_and_leaves(clusters: Clusters) -> None:
    alone = clusters.audit()
    assert "FAIL" in alone
    assert "no cluster has joined" in alone
    before = clusters.on("k8s-b-master-01", _OBJECTS)

    planned = clusters.federation("join", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert clusters.on("k8s-b-master-01", _OBJECTS) == before, "a plan changes nothing"
    joined = clusters.federation("join", "--yes")
    assert joined.returncode == 0, joined.stderr
    assert "CMP-FEDERATION] PASS" in clusters.audit()
    again = clusters.federation("join", "--yes")
    assert "this cluster has joined already, as second" in again.stderr

    _place(clusters)
    left = clusters.federation("leave", "--yes")
    assert left.returncode == 0, left.stderr
    assert "placed on second, and removed there: Deployment/placed/far" in left.stdout
    assert clusters.on("k8s-b-master-01", _OBJECTS) == before

    given = f"--inventory={clusters.first}", f"--reports={clusters.reports}"
    done = clusters.invoke("reset", "--yes", "--cluster-name=kubernetes", *given)
    assert done.returncode == 0, done.stdout[-3000:]
    for name in HOSTS[:3]:
        assert not (clusters.lab[name].root / "var/lib/hale-karmada").exists()


def _place(clusters: Clusters) -> None:
    """A workload for the member runs there and nowhere else, and a Pod of the first cluster calls
    it."""
    tool = clusters.lab["k8s-master-01"].root / "usr/local/bin/karmadactl"
    programs, _ = karmada.build_programs(print)
    shutil.copy(programs / "karmadactl", tool)
    image = f"{images.REGISTRY}/{images.LAB}/echo:{images.OWN}"
    shown = clusters.on("k8s-master-01", variables(image=image) + _PLACE)
    assert re.search(r"second +Karmada +v\S+ +Push +True", shown), shown
    get = "kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -A -l app=far --no-headers "
    ready = f"{get} -o custom-columns=:.status.podIP,:.status.phase"

    def runs() -> bool:
        return clusters.on("k8s-b-master-01", ready).count("Running") == 2

    until("both replicas run", runs, 120)
    assert clusters.on("k8s-master-01", ready) == ""
    address = clusters.on("k8s-b-master-01", ready).split()[0]
    inside = "nsenter --net=$(ls /run/netns/cni-* | head -n 1)"
    called = clusters.on("k8s-node-01", f"{inside} curl -sS -m 20 http://{address}:8080/")
    assert called.startswith("far-")
