"""Which phases run when. The phases are made up, and ask no host; what real ones do, the cluster's
tests show."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hale.apply.journal import Act
from hale.errors import HaleError
from hale.install import course, engine
from hale.install.engine import Engine, PhaseFailed, Stopped
from hale.install.step import Await, Seen, Wave
from tests.install import sites

PATIENCE = 10.0


class Told:
    """What the operator was told of phases, in its order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, name: str, title: str, state: str, seconds: float, why: str = "") -> None:
        self.said.append(f"{name} {state}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Made:
    """An engine over phases that a test has made up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.phases: dict[str, Any] = {}
        self.told = Told()
        self.looks: list[list[str]] = []
        self.engine = Engine(sites.made(folder), self.told)
        for module in (course, engine):
            monkeypatch.setattr(module, "load", self.phases.__getitem__)
        monkeypatch.setattr(engine, "look", self.look)

    def look(self, site: Any, wishes: Iterable[Any], of: Any = None) -> dict[str, Seen]:
        wishes = list(wishes)
        self.looks.append([f"{w.name}{' whole' if w.whole else ''}" for w in wishes])
        return {w.name: Seen() for w in wishes}

    def phase(
        self, name: str, waves: Callable[[], Iterable[Wave]], *needs: str, follows: Any = ()
    ) -> None:
        """One that is done once its waves were gone through."""
        done = threading.Event()

        def through(site: Any, seen: Any) -> Iterator[Wave]:
            yield from waves()
            done.set()

        self.phases[name] = SimpleNamespace(
            TITLE=name, NEEDS=needs, FOLLOWS=follows, waves=through, done=done,
            left=lambda site, seen: () if done.is_set() else (name,),
            probes=lambda site, host: {},
        )  # fmt: skip

    def run(self, **how: bool) -> None:
        self.engine.carry_out(list(self.phases), **how)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch)


def nothing() -> Iterable[Wave]:
    return ()


def until(happens: Callable[[], bool]) -> Iterable[Wave]:
    """A wave that waits for it."""
    wanted = lambda site, seen: () if happens() else ("not yet",)  # noqa: E731
    yield Wave(afterwards=Await("it happens", (), lambda s, h: {}, wanted, PATIENCE, 0.01))


def test_what_needs_nothing_of_each_other_goes_at_once(made: Made) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet() -> Iterable[Wave]:
        both.wait()
        return ()

    made.phase("first", nothing)
    made.phase("left", meet, "first")
    made.phase("right", meet, "first")
    made.phase("last", nothing, "left", "right")
    made.run()
    assert made.told.said[:2] == ["first begun", "first done"]
    assert sorted(made.told.said[2:6]) == ["left begun", "left done", "right begun", "right done"]
    assert made.told.said[6:] == ["last begun", "last done"]


def test_who_follows_waits_only_for_what_is_no_background(made: Made) -> None:
    def pulls() -> Iterable[Wave]:
        yield Wave(background=True)
        yield from until(made.phases["init"].done.is_set)

    made.phase("images", pulls)
    made.phase("init", nothing, follows=("images",))
    made.phase("joins", nothing, "images")
    made.run()
    assert made.told.said == [
        "images begun", "init begun", "init done", "images done", "joins begun", "joins done",
    ]  # fmt: skip


def test_a_failure_stops_the_others_and_is_what_is_told(made: Made) -> None:
    begun = threading.Event()

    def fails() -> Iterable[Wave]:
        assert begun.wait(PATIENCE)
        raise HaleError("the disk is full.")

    def goes_on() -> Iterable[Wave]:
        begun.set()
        yield from until(lambda: False)

    made.phase("first", nothing)
    made.phase("slow", goes_on, "first")
    made.phase("ill", fails, "first")
    made.phase("after", nothing, "slow")
    with pytest.raises(PhaseFailed, match="the disk is full") as told:
        made.run()
    assert told.value.phase == "ill"
    assert made.told.said[-1] == "ill failed"
    assert "after begun" not in made.told.said


def test_ctrl_c_lets_nothing_more_begin(made: Made) -> None:
    def stop() -> Iterable[Wave]:
        made.engine.stop.set()
        return ()

    made.phase("first", stop)
    made.phase("second", nothing, "first")
    with pytest.raises(Stopped):
        made.run()
    assert made.told.said == ["first begun", "first done"]


def test_ctrl_c_ends_a_wait(made: Made) -> None:
    def waits() -> Iterable[Wave]:
        made.engine.stop.set()
        yield from until(lambda: False)

    made.phase("first", waits)
    with pytest.raises(Stopped):
        made.run()
    assert made.told.said == ["first begun"]


def test_what_is_done_is_looked_at_once_and_skipped_in_order(made: Made) -> None:
    for name, needs in (("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c"))):
        made.phase(name, nothing, *needs)
        made.phases[name].done.set()
    made.run()
    assert made.told.said == ["a skipped", "b skipped", "c skipped", "d skipped"]
    assert made.looks == [["a", "b", "c", "d"]]


def test_what_was_seen_before_something_was_done_is_not_gone_by(made: Made) -> None:
    made.phase("a", nothing)
    made.phase("b", nothing, "a")
    made.phase("c", nothing, "b")
    made.phase("other", nothing)
    made.phases["b"].done.set()
    made.phases["c"].done.set()
    made.phases["other"].done.set()
    made.run()
    # All; then what comes after `a` with it, and the one after that anew.
    assert made.looks == [["a", "b", "c", "other"], ["a", "b"], ["c"]]
    assert sorted(made.told.said) == [
        "a begun", "a done", "b skipped", "c skipped", "other skipped",
    ]  # fmt: skip


def test_what_takes_long_is_looked_at_only_before_the_phase_begins(made: Made) -> None:
    for name, needs in (("a", ()), ("b", ("a",)), ("done", ())):
        made.phase(name, nothing, *needs)
        made.phases[name].obstacles = lambda site, host: {}
    made.phases["done"].done.set()
    made.run()
    assert made.looks == [["a", "b", "done"], ["a whole"], ["a", "b"], ["b whole"], ["b"]]


def test_a_plan_looks_at_all(made: Made) -> None:
    made.phase("a", nothing)
    assert [one.left for one in made.engine.plan(["a"])] == [("a",)]
    assert made.looks == [["a whole"]]


def test_done_again_where_it_is_asked_for(made: Made) -> None:
    made.phase("a", nothing)
    made.phases["a"].done.set()
    made.run(again=True)
    assert made.told.said == ["a begun", "a done"]


def test_kubeadms_seconds_that_go_at_once_are_counted_once() -> None:
    def act(begun: int, seconds: float, own: bool = True) -> Act:
        end = begun + seconds
        return Act("p", "h", "t", "done", seconds, own, f"2026-01-01T00:00:{end:06.3f}Z")

    assert engine.kubeadm_seconds([]) == 0
    acts = [act(20, 10), act(22, 3.5), act(28, 4), act(0, 5), act(40, 9, own=False)]
    assert engine.kubeadm_seconds(acts) == pytest.approx(5 + 12)
