"""The audit that ends an install waits for a cluster that is about to be healthy."""

from pathlib import Path

import pytest

from hale.apply import gates
from hale.install import final_audit, workflow
from hale.install.options import InstallOptions
from tests.install import factories

DOWN = "HA-LB-BACKENDS on m3: FAIL, m1 is down for it"
STOPPED = "CMP-KUBELET on w1: FAIL, inactive"


class Cluster:
    """Answers of the gate's audits, one after the other, the last one for ever."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers
        self.audits: list[int] = []  # how many answers there still were

    def problems(self, *_: object) -> list[str]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def audit(self, *_: object) -> bool:
        self.audits.append(len(self.answers))
        return not self.answers[0]


def _installed(
    answers: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    ignored: str = "",
    phase: str = "",
) -> tuple[bool, Cluster]:
    cluster = Cluster(answers)
    monkeypatch.setattr(workflow, "check_reachable", lambda _: None)
    monkeypatch.setattr(workflow, "joined_hosts", lambda *_: frozenset())
    monkeypatch.setattr(workflow, "pass_gate", lambda *_: True)
    monkeypatch.setattr(workflow, "run_phases", lambda *_: True)
    monkeypatch.setattr(workflow, "audit_passes", cluster.audit)
    monkeypatch.setattr(final_audit, "SETTLE_INTERVAL", 0.0)
    monkeypatch.setattr(gates, "cluster_problems", cluster.problems)
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


def test_a_cluster_that_does_not_become_healthy_is_judged_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(final_audit, "SETTLE_TIMEOUT", 0.2)
    ok, cluster = _installed([[DOWN]], monkeypatch, tmp_path)
    assert not ok
    assert cluster.audits == [1]


def test_it_does_not_wait_for_what_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = [[DOWN], [DOWN], []]
    _, cluster = _installed(answers, monkeypatch, tmp_path, ignored="HA-LB-BACKENDS")
    assert cluster.audits == [2]


def test_it_does_not_wait_where_no_phase_ran(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, cluster = _installed([[DOWN], []], monkeypatch, tmp_path, phase="audit")
    assert cluster.audits == [2]
