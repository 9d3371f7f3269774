"""Who is missed while a step runs. The looks are made up; real ones, and a power cut, are in
tests/cluster/test_taken_off."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hale.install import peer_monitor as module
from hale.install.cluster_context import ClusterContext
from hale.install.observe import HostsUnreachable
from hale.install.peer_monitor import monitor_peers
from hale.install.phase import Observations, PhaseProblem, Problems, RunScript, WaitFor
from tests.install import factories

PATIENCE = 30.0
ILL, WELL = "m2: its etcd is not healthy", ""


class Looks:
    """What each look finds, the last one again and again; `seen` is set when all were taken."""

    def __init__(self, found: list[str | HostsUnreachable]) -> None:
        self._found: Iterator[str | HostsUnreachable] = iter(found)
        self._last: str | HostsUnreachable = WELL
        self.observed = threading.Event()

    def look(self, wishes: Any, of: Any) -> tuple[Observations, ...]:
        try:
            self._last = next(self._found)
        except StopIteration:
            self.observed.set()
        if isinstance(self._last, HostsUnreachable):
            raise self._last
        return tuple(Observations() for _ in wishes)

    def remaining(self, site: ClusterContext, observed: Observations) -> Problems:
        return (PhaseProblem(str(self._last)),) if self._last else ()


def waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[str | HostsUnreachable]
) -> tuple[list[str], tuple[str, ...]]:
    """What the operator was told, and who is missed when the step ends."""
    looks, output = Looks(found), list[str]()
    monkeypatch.setattr(module, "PEER_TIMEOUT", 0.0)
    monkeypatch.setattr(module, "observe", looks.look)
    others = WaitFor(
        "the others are well", ("m2",), lambda s, h: {}, looks.remaining, interval=0.001
    )
    joins = RunScript("m3", "kubeadm join", "true", timeout=600, watch_peers=others)
    with monitor_peers(joins, factories.made(tmp_path), {}, output.append) as missed:
        assert looks.observed.wait(PATIENCE)
    return output, missed.problems


def test_an_unreachable_peer_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, missed = waited_for(tmp_path, monkeypatch, [ILL, ILL, ILL, ILL])
    assert output == [
        f"m3: kubeadm join may be blocked: {ILL}. It continues once that is healthy again, and is "
        "stopped after 600 s."
    ]
    assert missed == (ILL,)


def test_a_host_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, missed = waited_for(
        tmp_path, monkeypatch, [ILL, HostsUnreachable("m2 does not answer."), WELL]
    )
    assert "may be blocked: m2 does not answer." in output[0]
    assert output[1:] == ["m3: kubeadm join continues: the others are well"]
    assert missed == ()


def test_an_election_is_no_illness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited_for(tmp_path, monkeypatch, [ILL, WELL, ILL, WELL]) == ([], ())


def test_a_step_that_watches_no_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "observe", lambda *_: pytest.fail("nobody is to be looked at"))
    before = set(threading.enumerate())  # those of other tests may still be ending
    with monitor_peers(
        RunScript("m3", "token", "true"), factories.made(tmp_path), {}, print
    ) as missed:
        assert set(threading.enumerate()) <= before
    assert missed.problems == ()
