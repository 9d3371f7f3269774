"""Hosts that have joined a cluster: what is printed and asked, and one at a time."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hale.install import joined
from hale.install.joined import JoinedGate, confirm_changes
from hale.install.options import InstallOptions
from hale.install.phase import PhaseProblem
from hale.install.planning import PhaseStatus
from hale.model.errors import UserError
from hale.ssh import SessionPool
from tests.install import factories

LEFT = PhaseStatus("runtime", "Container runtime", (PhaseProblem("differs", "m1"),))
KEPT = PhaseStatus("runtime", "R", differences=(PhaseProblem("x is left as it is\na line", "m1"),))


def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: PhaseStatus, *, yes: bool = False
) -> None:
    monkeypatch.setattr(joined, "phase_statuses", lambda *_: [status])
    options = InstallOptions(tmp_path, yes=yes)
    console = Console(highlight=False, soft_wrap=True)
    confirm_changes(
        options, factories.made(tmp_path), SessionPool({}), console, ["runtime"], {"m1", "w2"}
    )


def test_without_a_terminal_nothing_is_changed_unless_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UserError, match="nothing was changed: stdin is not a terminal"):
        ask(tmp_path, monkeypatch, LEFT)
    printed = capsys.readouterr().out
    assert "These hosts have joined a cluster: m1, w2." in printed
    assert "remaining: m1: differs" in printed
    ask(tmp_path, monkeypatch, LEFT, yes=True)
    assert "remaining: m1: differs" in capsys.readouterr().out


def test_a_no_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(joined, "confirm", lambda _: False)
    with pytest.raises(UserError, match="nothing was changed"):
        ask(tmp_path, monkeypatch, LEFT)


def test_a_difference_alone_is_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ask(tmp_path, monkeypatch, KEPT)


class Health:
    """What the guards say, one answer a call; the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> Sequence[str]:
        self.calls += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def gate(health: Any) -> JoinedGate:
    return JoinedGate(frozenset({"m1", "m2", "w1"}), frozenset({"m1", "m2", "m3"}), health)


def test_an_unhealthy_cluster_closes_the_gate_of_a_master() -> None:
    closed = gate(Health(["etcd has lost m2"]))
    with (
        pytest.raises(UserError, match=r"m1 was not changed.*etcd has lost m2"),
        closed.changing("m1", lambda: False),
    ):
        raise AssertionError("it was changed")
    with closed.changing("w1", lambda: False):
        pass
    with closed.changing("m3", lambda: False):
        pass


def test_a_master_is_healthy_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health([], [])
    both = gate(health)
    changed: list[str] = []
    with both.changing("m1", lambda: False):
        other = threading.Thread(target=lambda: _change(both, "m2", changed))
        other.start()
        other.join(0.2)
        assert (changed, health.calls) == ([], 1)
    other.join(10)
    assert (changed, health.calls) == (["m2"], 4)


def _change(both: JoinedGate, host: str, changed: list[str]) -> None:
    with both.changing(host, lambda: False):
        changed.append(host)


def test_while_the_control_plane_is_incomplete_nothing_can_call_it_healthy() -> None:
    with gate(None).changing("m1", lambda: False):
        pass
