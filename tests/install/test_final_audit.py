"""The audit that ends an install waits for a cluster that is about to be healthy."""

from collections.abc import Collection
from pathlib import Path

import pytest

from hale.apply import gates
from hale.install import final_audit, workflow
from hale.install.options import InstallOptions
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.standard import loader
from tests.install import factories

DOWN = "HA-LB-BACKENDS on m3: FAIL, m1 is down for it"
STOPPED = "CMP-KUBELET on w1: FAIL, inactive"
STANDARD = loader.load_standard(ROOT / "standard")


def _row(problem: str, aspect: str = "runtime") -> Result:
    subject, _, actual = problem.partition(": ")
    requirement, _, host = subject.partition(" on ")
    return Result(
        host=host,
        requirement=requirement,
        aspect=aspect,
        verdict=Verdict.FAIL,
        actual=actual.partition(", ")[2],
        chapter=1,
        title="",
        subject="",
        severity="",
        profile="",
        expected="",
        test="",
    )


class Cluster:
    """Answers of the looks and of the audits, one after the other, the last one for ever."""

    def __init__(self, looks: list[list[str]], audits: list[list[Result]]) -> None:
        self.looks = looks
        self.found = audits
        self.audits: list[int] = []  # how many answers to looks there still were
        self.hosts: list[str] = []
        self.awaited: set[str] = set()

    def problems(
        self, _one: object, _two: object, _three: object, hosts: list[str], ids: Collection[str]
    ) -> list[str]:
        self.hosts, self.awaited = hosts, set(ids)
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return [p for p in found if gates.requirement_of(p) in ids]

    def audit(self, *_: object) -> list[Result]:
        self.audits.append(len(self.looks))
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


def _installed(
    looks: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    audits: list[list[Result]] | None = None,
    ignored: str = "",
    phase: str = "",
) -> tuple[bool, Cluster]:
    cluster = Cluster(looks, audits or [[]])
    monkeypatch.setattr(workflow, "check_reachable", lambda _: None)
    monkeypatch.setattr(workflow, "joined_hosts", lambda *_: frozenset())
    monkeypatch.setattr(workflow, "pass_gate", lambda *_: True)
    monkeypatch.setattr(workflow, "run_phases", lambda *_: True)
    monkeypatch.setattr(final_audit, "judge", cluster.audit)
    monkeypatch.setattr(final_audit, "SETTLE_INTERVAL", 0.0)
    monkeypatch.setattr(gates, "health_problems", cluster.problems)
    typed = InstallOptions(
        reports=folder / "reports",
        inventory=factories.made(folder).inventory.path,
        ignore_preflight_errors=(ignored,) if ignored else (),
        phase=phase,
    )
    return workflow.install_cluster(typed), cluster


def test_it_waits_until_the_cluster_is_healthy_and_says_for_what(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ok, cluster = _installed([[DOWN, STOPPED], [DOWN], [DOWN], []], monkeypatch, tmp_path)
    assert ok
    assert cluster.audits == [1]  # once, with the last answer
    output = [line for line in capsys.readouterr().out.splitlines() if "waiting" in line]
    assert output == [f"  waiting: {DOWN}; {STOPPED}", f"  waiting: {DOWN}"]
    assert cluster.hosts == ["m1", "m2", "m3", "w1", "w2"]


def test_a_cluster_that_does_not_become_healthy_is_judged_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(final_audit, "SETTLE_TIMEOUT", 0.2)
    ok, cluster = _installed([[DOWN]], monkeypatch, tmp_path, audits=[[_row(DOWN)]])
    assert not ok
    assert cluster.audits == [1]


def test_what_was_healthy_in_the_wait_and_fails_in_the_audit_is_audited_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine etcd's members answered late in the audit, and a moment later they did."""
    late = "HA-ETCD-MEMBERS on cluster: FAIL, m2 does not answer"
    looks = [[], [late], []]
    ok, cluster = _installed(looks, monkeypatch, tmp_path, audits=[[_row(late)], []])
    assert ok
    assert cluster.audits == [2, 1]
    output = capsys.readouterr().out
    assert f"the audit is repeated, because the cluster was healthy before: {late}" in output
    assert f"  waiting: {late}" in output


def test_an_audit_that_fails_again_and_again_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ok, cluster = _installed([[]], monkeypatch, tmp_path, audits=[[_row(DOWN)]])
    assert not ok
    assert len(cluster.audits) == final_audit.AUDITS


@pytest.mark.parametrize(
    "row",
    [_row("SWAP-OFF on w1: FAIL, on"), _row(DOWN, aspect="persisted")],
    ids=["of-a-host", "after-a-boot"],
)
def test_what_no_wait_mends_is_audited_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: Result
) -> None:
    ok, cluster = _installed([[]], monkeypatch, tmp_path, audits=[[row]])
    assert not ok
    assert cluster.audits == [1]


def test_it_does_not_wait_for_what_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks = [[DOWN], [DOWN], []]
    ok, cluster = _installed(
        looks, monkeypatch, tmp_path, audits=[[_row(DOWN)]], ignored="HA-LB-BACKENDS"
    )
    assert ok
    assert cluster.audits == [2]
    assert "HA-LB-BACKENDS" not in cluster.awaited


def test_it_does_not_wait_where_no_phase_ran(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ok, cluster = _installed(
        [[DOWN], []], monkeypatch, tmp_path, audits=[[_row(DOWN)], []], phase="audit"
    )
    assert not ok
    assert cluster.audits == [2]


def test_it_waits_for_what_guards_a_change_and_for_what_the_phases_are_for() -> None:
    assert final_audit.settling(STANDARD, ["init"]) >= {"HA-ETCD-MEMBERS", "CMP-KUBELET"}
    assert "CMP-INGRESS" not in final_audit.settling(STANDARD, ["init"])
    assert "CMP-INGRESS" in final_audit.settling(STANDARD, ["init", "ingress"])
