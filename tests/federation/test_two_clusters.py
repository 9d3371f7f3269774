"""Two clusters of the lab: Karmada is installed on one, the other joins, and leaves again.

In a soak alone: two clusters take eight minutes and, with four hosts, 90 of root's 128 inotify
instances.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.drill.fault import Fault
from hale.model.drill import FaultKind
from hale.shell import load_script, variables
from lab import machine, mirror
from lab.machine import Lab
from lab.mirror import images, karmada
from lab.topology import VIP
from tests.cluster.cluster_fixture import ROOT
from tests.federation.processes import until

HOSTS = ("k8s-master-01", "k8s-node-01", "k8s-node-02", "k8s-b-master-01")
MEMBER = "k8s-b-master-01"
# The fault of the member drill on its host: rules, and the timer that would revert them.
_FAULT = (
    "ip rule show pref 7; ip -6 rule show pref 7; systemctl list-timers --no-legend 'hale-drill*'"
)
_KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
_IN_A_POD = "nsenter --net=$(ls /run/netns/cni-* | head -n 1)"
ONE_MASTER = "hale_nodes_odd_masters__accepted='[1]'\n"
_OBJECTS = load_script(Path(__file__).with_name("objects.sh"))
_FAILOVER, _NO_FAILOVER, _SERVICE, _NO_SERVICE = (
    load_script(Path(__file__).with_name(f"{name}.sh"))
    for name in ("failover", "no_failover", "service", "no_service")
)
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
        given = (
            f"--inventory={self.lab.second_inventory}",
            f"--host-inventory={self.first}",
            *([] if "--plan" in words else [f"--reports={self.reports}"]),
        )
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
        with ThreadPoolExecutor() as pool:
            second, first = pool.map(made.install, (lab.second_inventory, made.first))
        assert second.returncode == 0, second.stdout[-4000:]
        # No cluster has joined, and nothing else is wrong.
        assert "✓ federation: Federation" in first.stdout, first.stdout[-4000:]
        yield made


@pytest.fixture(scope="module")
def before(clusters: Clusters) -> str:
    """The objects of the second cluster before it has joined."""
    return clusters.on(MEMBER, _OBJECTS)


pytestmark = [pytest.mark.soak("two clusters, ten minutes"), pytest.mark.lab]


def test_a_cluster_joins(clusters: Clusters, before: str) -> None:
    alone = clusters.audit()
    assert "FAIL" in alone
    assert "no cluster has joined" in alone

    planned = clusters.federation("join", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert clusters.on(MEMBER, _OBJECTS) == before, "a plan changes nothing"
    joined = clusters.federation("join", "--yes")
    assert joined.returncode == 0, joined.stderr
    assert "CMP-FEDERATION] PASS" in clusters.audit()
    again = clusters.federation("join", "--yes")
    assert "this cluster has joined already, as second" in again.stderr


@pytest.mark.parametrize(
    ("host", "lost", "other"),
    [
        ("k8s-b-master-01", "10.244.0.0/16", "kubernetes"),
        ("k8s-node-01", "10.245.0.0/16", "second"),
    ],
)
def test_a_route_is_missing(clusters: Clusters, host: str, lost: str, other: str) -> None:
    route = clusters.on(host, f"ip route show {lost}").strip()
    assert route.startswith(lost)
    clusters.on(host, f"ip route del {lost}")
    try:
        refused = clusters.federation("join", "--plan")
    finally:
        clusters.on(host, f"ip route add {route}")
    assert refused.returncode == 1
    wanted = f"must lead {lost} to the nodes of {other}"
    of_host = [line for line in refused.stderr.splitlines() if line.startswith(f"  {host}: ")]
    assert of_host
    assert all(line.endswith(wanted) for line in of_host), refused.stderr


def test_a_workload_for_the_member(clusters: Clusters) -> None:
    """A workload for the member runs there and nowhere else, and a Pod of the first cluster calls
    it."""
    tool = clusters.lab["k8s-master-01"].root / "usr/local/bin/karmadactl"
    programs, _ = karmada.build_programs(print)
    shutil.copy(programs / "karmadactl", tool)
    image = f"{images.REGISTRY}/{images.LAB}/echo:{images.OWN}"
    shown = clusters.on("k8s-master-01", variables(image=image) + _PLACE)
    assert re.search(r"second +Karmada +v\S+ +Push +True", shown), shown
    get = f"{_KUBECTL} get pods -A -l app=far --no-headers"
    ready = f"{get} -o custom-columns=:.status.podIP,:.status.phase"

    def runs() -> bool:
        return clusters.on(MEMBER, ready).count("Running") == 2

    until("both replicas run", runs, 120)
    assert clusters.on("k8s-master-01", ready) == ""
    address = clusters.on(MEMBER, ready).split()[0]
    called = clusters.on("k8s-node-01", f"{_IN_A_POD} curl -sS -m 20 http://{address}:8080/")
    assert called.startswith("far-")


def test_a_pod_of_the_first_cluster_calls_a_service_of_the_second(clusters: Clusters) -> None:
    """By its address in the first one, which kube-proxy leads to Pods of the second."""
    clusters.on("k8s-master-01", variables(vip=str(VIP)) + _FAILOVER)
    clusters.on("k8s-master-01", _SERVICE)
    get = f"{_KUBECTL} -n placed get service far --ignore-not-found"
    answers: list[str] = []

    def is_called() -> bool:
        address = clusters.on("k8s-master-01", f"{get} -o 'jsonpath={{.spec.clusterIP}}'")
        done = clusters.lab["k8s-node-01"].run(
            f"{_IN_A_POD} curl -sS -m 5 http://{address}/", check=False
        )
        answers.append(f"{address}: {done.stdout!r} {done.stderr!r}")
        return done.stdout.startswith(b"far-")

    try:
        until("the Service answers", is_called, 120)
    finally:
        print(answers[-3:])
        clusters.on("k8s-master-01", _NO_SERVICE)
    until("it is gone", lambda: not clusters.on("k8s-master-01", f"{get} -o name"), 120)


def test_a_member_is_cut_off(clusters: Clusters) -> None:
    """Karmada misses it, the workload moves, and comes back neither lost nor doubled."""
    given = f"--inventory={clusters.first}", f"--reports={clusters.reports}"
    other = f"--member-inventory={clusters.lab.second_inventory}"
    done = clusters.invoke("drill", "member", "--yes", other, *given)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "CMP-FEDERATION is FAIL: member second is not Ready" in done.stdout + done.stderr
    (folder,) = clusters.reports.glob("*-drill")
    (drill,) = json.loads((folder / "drill.json").read_text())["drills"]
    assert not drill["doubt"]
    intervals = {thing["name"]: thing["broken"] for thing in drill["things"]}
    missed, moved = intervals["member Ready"], intervals["replicas"]
    assert 0 < missed[0]["began"] < drill["given"] < missed[-1]["ended"]
    assert moved[0]["ended"] < drill["given"], "it has moved while the member was away"
    assert moved[-1]["ended"] is not None, "no replica is lost or doubled afterwards"

    assert not clusters.on(MEMBER, _FAULT)
    until("the drill's namespace is gone on both", lambda: _is_forgotten(clusters), 120)
    clusters.on("k8s-master-01", _NO_FAILOVER)


def test_a_drill_that_was_killed_is_reverted(clusters: Clusters, tmp_path: Path) -> None:
    given = f"--inventory={clusters.first}", f"--reports={tmp_path}"
    other = f"--member-inventory={clusters.lab.second_inventory}"
    argv = [sys.executable, "-m", "invoke", "drill", "member", "--yes", other, *given]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL) as child:
        try:
            until("it is injected", lambda: "blackhole" in clusters.on(MEMBER, _FAULT), 180)
        finally:
            child.kill()
    assert "hale-drill-undo.timer" in clusters.on(MEMBER, _FAULT)
    done = clusters.invoke("drill", "--revert", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not clusters.on(MEMBER, _FAULT)
    until("the drill's namespace is gone on both", lambda: _is_forgotten(clusters), 120)


def test_a_member_reverts_its_fault_by_itself(clusters: Clusters) -> None:
    host = clusters.lab[MEMBER]
    fault = Fault(FaultKind.MEMBER, MEMBER, unreached=("10.208.1.196", "fd00::/64"))

    def answers(caller: str) -> bool:
        at = "timeout 1 bash -c '</dev/tcp/10.208.1.211/22'"
        return not clusters.lab[caller].run(at, check=False).returncode

    assert answers("k8s-node-01")
    host.run(fault.inject_script(10))
    assert not answers("k8s-node-01")
    assert answers("k8s-node-02"), "only what is named is not answered"
    assert host.run(fault.inject_script(10), check=False).returncode, "never twice"
    until("it is reverted", lambda: not clusters.on(MEMBER, _FAULT), 60)
    assert answers("k8s-node-01")


def _is_forgotten(clusters: Clusters) -> bool:
    """Whether no cluster has the namespace of the drill's workload."""
    get = f"{_KUBECTL} get namespaces -o name"
    return not any("hale-drill" in clusters.on(host, get) for host in ("k8s-master-01", MEMBER))


def test_a_cluster_leaves(clusters: Clusters, before: str) -> None:
    left = clusters.federation("leave", "--yes")
    assert left.returncode == 0, left.stderr
    assert "placed on second, and removed there: Deployment/placed/far" in left.stdout
    assert clusters.on(MEMBER, _OBJECTS) == before


def test_a_reset_leaves_nothing_of_karmada(clusters: Clusters) -> None:
    given = f"--inventory={clusters.first}", f"--reports={clusters.reports}"
    done = clusters.invoke("reset", "--yes", "--cluster-name=kubernetes", *given)
    assert done.returncode == 0, done.stdout[-3000:]
    for name in HOSTS[:3]:
        assert not (clusters.lab[name].root / "var/lib/hale-karmada").exists()
