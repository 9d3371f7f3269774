"""Which phases run when. The phases are made up, and ask no host; what real ones do, the cluster's
tests show."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from hale.apply.journal import InstallStepDone, InstallStepState
from hale.install import engine, planning, reporter, scheduler
from hale.install.cluster_context import GROUPS, ClusterContext
from hale.install.engine import Engine, PhaseFailed
from hale.install.joined import InstallAborted, JoinedGate
from hale.install.observe import HostsUnreachable
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    WaitFor,
    WaitForPhase,
)
from hale.install.secrets import TOKEN
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.ssh import SessionPool
from tests.install import factories

PATIENCE = 30.0


class Told:
    """What the operator was told of phases, in its order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, name: str, title: str, state: str, seconds: float, why: str = "") -> None:
        self.said.append(f"{name} {state}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class MadeUp(Phase):
    """A phase whose hooks are given as it is made."""

    name = title = "made up"

    def __init__(self, **hooks: Any) -> None:
        vars(self).update(hooks)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        return {}

    def remaining(self, site: ClusterContext, observed: Observations) -> Problems:
        raise NotImplementedError

    def batches(self, site: ClusterContext, observed: Observations) -> Iterable[Batch]:
        raise NotImplementedError


class Made:
    """An engine over phases that a test has made up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.phases: dict[str, Any] = {}
        self.told = Told()
        self.looks: list[list[str]] = []
        self.order: list[str] = []  # "PHASE HOST" as the parts begin
        self.engine = Engine(factories.made(folder), SessionPool({}), self.told)
        for module in (scheduler, engine, planning, reporter):
            monkeypatch.setattr(module, "load_phase", self.phases.__getitem__)
        for module in (engine, planning):
            monkeypatch.setattr(module, "observe", self.look)

    def look(self, wishes: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        wishes = list(wishes)
        if phases := [w for w in wishes if not isinstance(w.of, WaitFor)]:
            said = [
                (w.of.title, w.site.current_group, "whole" if w.with_preflight else "")
                for w in phases
            ]
            self.looks.append([" ".join(filter(None, words)) for words in said])
        return tuple(Observations() for _ in wishes)

    def phase(
        self, name: str, waves: Callable[[], Iterable[Batch]], *needs: str, **more: Any
    ) -> None:
        """One that is done once its waves were gone through."""
        done = threading.Event()

        def through(site: Any, observed: Any) -> Iterator[Batch]:
            yield from waves()
            done.set()

        self.phases[name] = MadeUp(
            title=name, DEPENDS_ON=needs, batches=through, done=done,
            remaining=lambda site, observed: () if done.is_set() else (name,),
            **more,
        )  # fmt: skip

    def parted(
        self,
        name: str,
        at: Callable[[str], Iterable[Batch]],
        *needs: str,
        groups: Sequence[str] = GROUPS,
        **more: Any,
    ) -> None:
        """One that goes in parts. at: what it does, by the first host of the part."""
        done: set[str] = set()

        def through(site: Any, observed: Any) -> Iterator[Batch]:
            self.order.append(f"{name} {site.current_hosts[0].name}")
            yield from at(site.current_hosts[0].name)
            done.add(site.current_hosts[0].name)

        self.phases[name] = MadeUp(
            title=name, DEPENDS_ON=needs, HOST_GROUPS=groups, batches=through, done=done,
            remaining=lambda site, observed: () if site.current_hosts[0].name in done else (name,),
            **more,
        )  # fmt: skip

    def noting(self, word: str) -> Callable[..., Iterable[Batch]]:
        """Waves that do nothing, and leave the word in `order`."""

        def waves(*_: Any) -> Iterable[Batch]:
            self.order.append(word)
            return ()

        return waves

    def run(self, **how: bool) -> None:
        self.engine.carry_out(list(self.phases), **how)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(tmp_path, monkeypatch)


def nothing() -> Iterable[Batch]:
    return ()


def until(happens: Callable[[], bool]) -> Iterable[Batch]:
    """A wave that waits for it."""
    wanted = lambda site, observed: () if happens() else (PhaseProblem("not yet"),)  # noqa: E731
    yield Batch(wait_for=WaitFor("it happens", (), lambda s, h: {}, wanted, PATIENCE, 0.01))


def test_what_needs_nothing_of_each_other_goes_at_once(made: Made) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet() -> Iterable[Batch]:
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


def quickly(_: str) -> Iterable[Batch]:
    return ()


def test_who_needs_one_part_does_not_wait_for_the_others(made: Made) -> None:
    def installs(host: str) -> Iterable[Batch]:
        return () if host == "m1" else until(made.phases["init"].done.is_set)

    made.parted("packages", installs)
    made.phase("init", nothing, "packages/first")
    made.phase("all", nothing, "packages")
    made.run()
    assert made.told.said == [
        "packages begun", "init begun", "init done", "packages done", "all begun", "all done",
    ]  # fmt: skip


def test_a_part_needs_only_the_same_part(made: Made) -> None:
    """A worker that is slow, and another master, keep nobody waiting but themselves."""

    def installs(host: str) -> Iterable[Batch]:
        return until(lambda: "joins m3" in made.order) if host == "w1" else ()

    made.parted("packages", installs)
    made.parted("runtime", quickly, "packages")
    made.parted("joins", quickly, "runtime", groups=("masters",))
    made.phase("workers", nothing, "runtime/workers")
    made.run()
    assert made.order.index("joins m3") < made.order.index("runtime w1")
    assert [f"{w} m2" for w in ("packages", "runtime", "joins")] == [
        o for o in made.order if o.endswith("m2")
    ]
    assert "joins m1" not in made.order
    assert made.order.count("packages w1") == 1, "workers go together"
    assert made.told.said.count("packages done") == 1
    assert made.told.said[-2:] == ["workers begun", "workers done"]


def test_parts_that_go_one_at_a_time(made: Made) -> None:
    at = threading.Lock()

    def joins(_: str) -> Iterable[Batch]:
        assert at.acquire(blocking=False), "two at once"
        yield from until(lambda: True)
        at.release()

    made.parted("joins", joins, STAGGER_SECONDS=math.inf)
    made.run()
    assert made.order == ["joins m1", "joins m2", "joins m3", "joins w1"]


def test_a_head_start_ends_by_itself(made: Made) -> None:
    def installs(host: str) -> Iterable[Batch]:
        return until(lambda: "packages w1" in made.order) if host == "m1" else ()

    made.parted("packages", installs, STAGGER_SECONDS=2.0)
    begun = time.monotonic()
    made.run()
    assert made.order == ["packages m1", "packages m2", "packages m3", "packages w1"]
    # m2 waits for its turn; m3 and the worker follow one that is through.
    assert 2.0 <= time.monotonic() - begun < 2.0 * 3


def test_a_head_start_ends_when_the_part_before_is_through(made: Made) -> None:
    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: f"packages {AFTER[host]}" in made.order) if host != "w1" else ()

    made.parted("packages", quickly, STAGGER_SECONDS=PATIENCE)
    made.parted("images", pulls, "packages", STAGGER_SECONDS=math.inf)
    begun = time.monotonic()
    made.run()
    assert time.monotonic() - begun < PATIENCE
    assert [o for o in made.order if o.startswith("packages")] == [f"packages {h}" for h in AFTER]
    assert [o for o in made.order if o.startswith("images")] == [f"images {h}" for h in AFTER]


AFTER = {"m1": "m2", "m2": "m3", "m3": "w1", "w1": "nobody"}


def test_a_part_goes_ahead_as_far_as_the_phase_says(made: Made) -> None:
    """The others of the masters have their images before the next part's packages begin."""

    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: "packages m2" in made.order) if host == "m1" else ()

    made.parted("packages", quickly, STAGGER_SECONDS=PATIENCE, CHAINS_INTO={"masters": "images"})
    made.parted("images", pulls, "packages", STAGGER_SECONDS=math.inf)
    begun = time.monotonic()
    made.run()
    assert time.monotonic() - begun < PATIENCE
    assert made.order.index("images m2") < made.order.index("packages m3")
    assert made.order.index("images m3") < made.order.index("packages w1")


def test_a_part_is_looked_at_once_the_one_before_is_through(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a master's join has made of the cluster is seen before the next one joins; and nobody
    is looked at who has to wait for another part all the same."""

    ends, ended = scheduler.Scheduler.end, set()

    def end(self: scheduler.Scheduler, unit: scheduler.PhaseTask, found: Any) -> None:
        ends(self, unit, found)
        ended.add(" ".join(unit))

    monkeypatch.setattr(scheduler.Scheduler, "end", end)

    def joins(host: str) -> Iterable[Batch]:
        return until(lambda: "images m3" in ended) if host == "m2" else ()

    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: "joins m2" in made.order) if host == "m3" else ()

    made.parted("images", pulls)
    made.parted("joins", joins, "images", groups=("masters",), STAGGER_SECONDS=math.inf)
    made.run()
    assert ["images m3"] in made.looks[1:]
    assert [looked for looked in made.looks if "joins m3" in looked] == [
        ["joins m2", "joins m3"],
        ["joins m3"],
    ]


def test_a_phase_is_waited_for_until_it_is_through(made: Made) -> None:
    """The next one is looked at with the first look alone, and anew once it may begin."""
    lefts = iter([("not yet",), ("not yet",), ("still not",), ()])
    last = Batch(wait_for=WaitForPhase("it is there", PATIENCE))
    made.phase("comes", lambda: [last])
    made.phases["comes"].remaining = lambda site, observed: next(lefts)
    made.phase("next", nothing, "comes")
    made.run()
    assert made.told.said == ["comes begun", "comes done", "next begun", "next done"]
    assert made.looks == [["comes", "next"], ["comes", "next"], ["next"], ["next"]]


def test_a_host_that_is_down_is_waited_for(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, True, True, False])  # before; after the steps; while it is waited for

    def look(wishes: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        if next(looks):
            raise HostsUnreachable("m1 does not answer")
        return made.look(wishes, of)

    monkeypatch.setattr(engine, "observe", look)
    made.phase("comes", lambda: [Batch(wait_for=WaitForPhase("it is there", PATIENCE))])
    made.run()
    assert made.told.said == ["comes begun", "comes done"]
    assert next(looks, None) is None


def test_a_phase_that_does_not_come_through_fails_with_what_is_left(made: Made) -> None:
    made.phase("comes", lambda: [Batch(wait_for=WaitForPhase("it is there", 0.01))])
    made.phases["comes"].remaining = lambda site, observed: ("m1 is not ready",)
    with pytest.raises(PhaseFailed, match=r"waited 0\.01 s until it is there: m1 is not ready"):
        made.run()
    assert made.told.said == ["comes begun", "comes failed"]


def test_who_goes_ahead_through_a_phase_that_is_not_asked_for_keeps_nobody(made: Made) -> None:
    made.parted("packages", quickly, STAGGER_SECONDS=PATIENCE, CHAINS_INTO={"masters": "images"})
    begun = time.monotonic()
    made.run()
    assert time.monotonic() - begun < PATIENCE
    assert made.order == [f"packages {h}" for h in AFTER]


def test_a_head_start_over_what_is_done_is_none(made: Made) -> None:
    made.parted("packages", quickly, STAGGER_SECONDS=PATIENCE)
    made.parted("images", quickly, "packages", STAGGER_SECONDS=math.inf)
    made.parted("joins", quickly, "images", groups=("masters",), STAGGER_SECONDS=math.inf)
    for name in ("packages", "images"):
        made.phases[name].done.update(AFTER)
    made.phases["joins"].done.add("m2")
    begun = time.monotonic()
    made.run()
    assert time.monotonic() - begun < PATIENCE
    assert made.order == ["joins m3"]


def test_ctrl_c_ends_a_head_start(made: Made) -> None:
    def stop(_: str) -> Iterable[Batch]:
        made.engine.stop.set()
        return ()

    made.parted("packages", stop, STAGGER_SECONDS=PATIENCE)
    with pytest.raises(InstallAborted):
        made.run()
    assert made.order == ["packages m1"]


def test_a_part_that_ends_well_does_not_hide_one_that_failed(made: Made) -> None:
    def installs(host: str) -> Iterable[Batch]:
        if host == "m1":
            yield from until(lambda: len(made.order) == 4)
            raise UserError("the disk is full.")
        yield from until(lambda: True)
        until_failed = time.monotonic() + PATIENCE
        while host == "w1" and "packages failed" not in made.told.said:
            assert time.monotonic() < until_failed
            time.sleep(0.01)

    made.parted("packages", installs)
    with pytest.raises(PhaseFailed, match="the disk is full"):
        made.run()
    assert made.told.said == ["packages begun", "packages failed"]


def test_parts_that_are_done_are_skipped_and_the_phase_is_told_once(made: Made) -> None:
    made.parted("packages", quickly)
    made.phases["packages"].done.update(("m1", "m2", "w1"))
    made.parted("runtime", quickly, "packages")
    made.phases["runtime"].done.update(AFTER)
    made.run()
    assert made.order == ["packages m3"]
    assert sorted(made.told.said) == ["packages begun", "packages done", "runtime skipped"]


def test_a_failure_stops_the_others_and_is_what_is_told(made: Made) -> None:
    begun = threading.Event()

    def fails() -> Iterable[Batch]:
        assert begun.wait(PATIENCE)
        raise UserError("the disk is full.")

    def goes_on() -> Iterable[Batch]:
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
    def stop() -> Iterable[Batch]:
        made.engine.stop.set()
        return ()

    made.phase("first", stop)
    made.phase("second", nothing, "first")
    with pytest.raises(InstallAborted):
        made.run()
    assert made.told.said == ["first begun", "first done"]


def test_ctrl_c_ends_a_wait(made: Made) -> None:
    def waits() -> Iterable[Batch]:
        made.engine.stop.set()
        yield from until(lambda: False)

    made.phase("first", waits)
    with pytest.raises(InstallAborted):
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
        made.phases[name].preflight_probes = lambda site, host: {"who": ()}
    made.phases["done"].done.set()
    made.run()
    assert made.looks == [["a", "b", "done"], ["a whole"], ["a", "b"], ["b whole"], ["b"]]


def test_what_nothing_can_stand_in_the_way_of_is_not_looked_at_again(made: Made) -> None:
    made.phase("a", nothing, preflight_probes=lambda site, host: {})
    made.run()
    assert made.looks == [["a"], ["a"]]


def test_what_no_obstacle_concerns_is_done_while_they_are_looked_for(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = threading.Event(), threading.Event()

    def look(wishes: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        wishes = list(wishes)
        if any(w.with_preflight for w in wishes):
            asked.set()
            assert free.wait(PATIENCE)
        return made.look(wishes, of)

    def beforehand(site: Any, observed: Any) -> Iterator[Batch]:
        made.order.append("beforehand")
        yield from until(asked.is_set)
        free.set()

    monkeypatch.setattr(engine, "observe", look)
    waves = made.noting("waves")
    made.phase("a", waves, preflight_probes=lambda site, host: {"who": ()}, prepare=beforehand)
    made.run()
    assert made.order == ["beforehand", "waves"]
    assert made.told.said == ["a begun", "a done"]


def test_what_is_refused_is_not_gone_on_with(made: Made) -> None:
    made.phase(
        "a",
        made.noting("waves"),
        preflight_probes=lambda site, host: {"who": ()},
        prepare=made.noting("beforehand"),
        preflight=lambda site, observed: ("somebody has it",),
    )
    with pytest.raises(PhaseFailed, match="somebody has it"):
        made.run()
    assert made.order == ["beforehand"]


def test_a_plan_looks_at_all(made: Made) -> None:
    made.phase("a", nothing)
    statuses = planning.phase_statuses(made.engine.site, made.engine.sessions, ["a"])
    assert [tuple(map(str, one.remaining)) for one in statuses] == [("a",)]
    assert made.looks == [["a whole"]]


def test_done_again_where_it_is_asked_for(made: Made) -> None:
    made.phase("a", nothing)
    made.phases["a"].done.set()
    made.run(again=True)
    assert made.told.said == ["a begun", "a done"]


def test_a_plan_of_what_is_done_again_has_its_steps(made: Made) -> None:
    step = RunScript("m1", "pull", "true")
    made.phase("a", lambda: [Batch((step,))])
    made.phases["a"].done.set()
    site, sessions = made.engine.site, made.engine.sessions
    (once,) = planning.phase_statuses(site, sessions, ["a"])
    assert (once.remaining, once.steps, once.content) == ((), (), "")
    (found,) = planning.phase_statuses(site, sessions, ["a"], again=True)
    assert (found.remaining, found.steps) == ((), ("m1: run pull",))
    assert found.content


def test_kubeadms_seconds_that_go_at_once_are_counted_once() -> None:
    def act(begun: int, seconds: float, own: bool = True) -> InstallStepDone:
        end = begun + seconds
        return InstallStepDone(
            "p", "h", "t", InstallStepState.DONE, seconds, own, f"2026-01-01T00:00:{end:06.3f}Z"
        )

    assert engine.kubeadm_seconds([]) == 0
    acts = [act(20, 10), act(22, 3.5), act(28, 4), act(0, 5), act(40, 9, own=False)]
    assert engine.kubeadm_seconds(acts) == pytest.approx(5 + 12)


def test_a_misspelt_hook_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"Odd\.preflights: a phase has no such hook"):

        class Odd(MadeUp):
            def preflights(self, site: ClusterContext, observed: Observations) -> tuple[str, ...]:
                return ("never asked",)


def test_a_phase_must_have_what_every_phase_has() -> None:
    class Bare(Phase):
        name = title = "bare"

    with pytest.raises(TypeError, match="abstract"):
        Bare()  # type: ignore[abstract]


def test_what_is_left_alone_has_no_steps_and_is_reported(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the phase is run although it is done; the worker that is added is prepared."""
    ran: list[str] = []
    monkeypatch.setattr(Engine, "_host", lambda _, phase, steps, of: ran.append(steps[0].host))
    steps = tuple(RunScript(host, "t", "") for host in ("m1", "w1", "w2"))
    made.phase("packages", lambda: [Batch(steps)])
    done = made.phases["packages"].done
    vars(made.phases["packages"])["remaining"] = lambda site, found: (
        PhaseProblem("x", "m1"),
        *(() if done.is_set() else (PhaseProblem("x", "w2"),)),
    )
    made.engine.exempt = frozenset({("packages", "m1"), ("packages", "w1")})
    made.run(again=True)
    assert ran == ["w2"]
    assert list(made.engine.differences) == [
        "m1: x; left as it is, because this run only adds workers"
    ]


def test_what_a_failed_step_may_have_uploaded_is_remembered(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise UserError("killed")

    monkeypatch.setattr(Engine, "_step", fails)
    monkeypatch.setattr(engine, "InstallStepExecutor", lambda *_: None)
    monkeypatch.setattr(made.engine._leases, "lease", lambda: nullcontext(lambda _: None))
    step = RunScript("m1", "token", "", uploads=frozenset({TOKEN}))
    made.phase("workers", lambda: [Batch((step,))])
    with pytest.raises(PhaseFailed, match="killed"):
        made.run()
    secrets = made.engine.site.secrets
    assert (secrets.attempted, secrets.uploaded) == ({TOKEN}, set())


def test_after_a_failed_worker_the_other_workers_are_not_changed(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def fails(_: Engine, phase: str, steps: Sequence[RunScript], of: Any) -> None:
        ran.append(steps[0].host)
        raise UserError(f"{steps[0].host} is still unhealthy")

    monkeypatch.setattr(Engine, "_host", fails)
    made.phase("runtime", lambda: [Batch((RunScript("w1", "r", ""), RunScript("w2", "r", "")))])
    vars(made.phases["runtime"])["GATED"] = True
    made.engine.gate = JoinedGate(frozenset({"w1", "w2"}), frozenset(), lambda: ())
    with pytest.raises(PhaseFailed, match="is still unhealthy"):
        made.run()
    assert len(ran) == 1


def test_what_steps_interrupt_and_bring_about_is_named_to_the_gate(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated: list[tuple[str, str, set[str]]] = []

    class Gate:
        unfinished = frozenset({("runtime", "m1")})  # of a first install that was interrupted

        @contextmanager
        def changing(
            self, host: str, stop: Any, interrupts: str, fail: Any, awaited: frozenset[str]
        ) -> Iterator[None]:
            gated.append((host, interrupts, set(awaited)))
            yield

    monkeypatch.setattr(Engine, "_host", lambda *_: None)
    quiet, loud = RunScript("w1", "q", ""), RunScript("w2", "restart", "", interrupts=True)
    remedies = [RunScript("w2", name, "", awaited=frozenset({name})) for name in ("HA-A", "HA-B")]
    first = RunScript("m1", "the first one's", "")
    made.phase("runtime", lambda: [Batch((first, quiet, loud, *remedies))], GATED=True)
    made.engine.gate = cast("JoinedGate", Gate())
    made.run()
    assert sorted(gated) == [("w1", "", set()), ("w2", "restart", {"HA-A", "HA-B"})]
