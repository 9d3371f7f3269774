"""`pytest --drift` on a cluster: none while it is not touched, then what was changed alone.

Hale has installed it, so it passes all of its extended profile, twenty times. How long etcd's
writes took is the machine's: that row alone may be red. Its nodes report, its leaders renew Leases,
certificates grow older, etcd writes: no row's value may be of these.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.model.comparison import ChangeKind, RowChange
from hale.model.results import Result, RowKey
from hale.model.verdict import Verdict
from hale.polling import wait_until
from tests.apply.invoke_cli import INVOKE
from tests.cluster.cluster_fixture import ROOT, SETTLES, Built
from tests.cluster.fault_audit import MEASURED
from tests.engine.pytest_cli import Done, typed

pytestmark = pytest.mark.soak("four minutes of audits; tests/apply has hosts without a cluster")

WORKER, SITE = "k8s-node-01", "/etc/sysctl.d/zz-drift.conf"
UNTOUCHED = 20  # audits
LOOKS = 3  # at most, of an audit on a busy machine
SCALE = "-n kube-system scale deployment/coredns --replicas"


class Watched:
    """The cluster, and a folder of its own for each of its audits."""

    def __init__(self, cluster: Built, folder: Path) -> None:
        self.cluster = cluster
        self._folder = folder
        self._audits = 0

    def audit(self, *words: str) -> Done:
        """All rows of all hosts; again where a busy machine was late, or unhealthy for a moment."""
        for _ in range(LOOKS):
            self.last = self._audited(*words)
            if not any(row.aspect == "runtime" for row in self.unhealthy()):
                break
        return self.last

    def failed(self) -> list[str]:
        """What an audit finds that fails or is not known."""
        self.audit()
        return [
            f"{row.requirement} {row.aspect} on {row.host}: {row.actual}"
            for row in self.unhealthy()
        ]

    def unhealthy(self) -> list[Result]:
        return [
            row
            for row in self.last.results.results
            if row.verdict.failed and row.requirement not in MEASURED
        ]

    def _audited(self, *words: str) -> Done:
        self._audits += 1
        given = (f"--inventory={self.cluster.inventory}", "--hosts=all", "--profile=extended")
        reports = self._folder / f"{self._audits}"
        return typed(
            reports, *given, "--connect-timeout=60", "--gather-timeout=240", *words, timeout=600
        )


@pytest.fixture
def accepted(cluster: Built, tmp_path: Path) -> Iterator[Watched]:
    """A cluster that is as its baseline has it, and accepted so."""
    made = Watched(cluster, tmp_path)
    assert not wait_until(made.failed, SETTLES, 5.0)
    assert made.last.folder
    command = [INVOKE, "accept", str(made.last.folder), f"--inventory={cluster.inventory}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        yield made
    finally:
        cluster.inventory.with_name("accepted.jsonl").unlink()
        cluster.lab[WORKER].run(f"rm -f {SITE}")
        cluster.kubectl(f"{SCALE}=2")
        cluster.kubectl("-n kube-system rollout status deployment/coredns --timeout=240s")


def drift(done: Done) -> dict[RowKey, ChangeKind]:
    """What has changed since the accepted run, by row."""
    found = done.results.drift
    assert found, done.output
    assert found.comparison.same > 300
    return {
        RowKey(*change.row.key): change.kind
        for change in found.comparison.changes
        if not is_measured_now(change)
    }


def is_measured_now(change: RowChange) -> bool:
    """Whether it is of etcd's writes, whose first thousand show no disk, and the next ones may."""
    unknown = change.before is not None and change.before.verdict is Verdict.UNKNOWN
    return change.row.requirement in MEASURED and (unknown or change.kind is not ChangeKind.CHANGED)


def test_an_untouched_cluster_does_not_drift_and_a_changed_one_does(accepted: Watched) -> None:
    for _ in range(UNTOUCHED):
        done = accepted.audit("--drift")
        assert drift(done) == {}, done.output
        assert not accepted.unhealthy(), done.output
    accepted.cluster.lab[WORKER].run(f"echo net.ipv4.ip_forward=0 >{SITE}")
    accepted.cluster.kubectl(f"{SCALE}=3")
    accepted.cluster.kubectl("-n kube-system rollout status deployment/coredns --timeout=240s")
    done = accepted.audit("--drift")
    assert drift(done) == {
        RowKey(WORKER, "SYS-IP-FORWARD", "persisted"): ChangeKind.BROKEN,
        RowKey("cluster", "CMP-COREDNS", "runtime"): ChangeKind.CHANGED,
        RowKey("cluster", "CMP-POD-NETWORK", "runtime"): ChangeKind.CHANGED,
    }, done.output
