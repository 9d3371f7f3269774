"""How the engine runs phases: failures, waits, Ctrl-C, preflight, gates, and hooks."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import pytest

from hale.apply.journal import InstallStepDone, InstallStepState
from hale.install import engine, planning
from hale.install.cluster_context import ClusterContext
from hale.install.engine import Engine, PhaseFailed
from hale.install.joined import InstallAborted, JoinedGate
from hale.install.observe import HostsUnreachable
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    RunScript,
    WaitForPhase,
)
from hale.install.secrets import TOKEN
from hale.model.errors import UserError
from tests.install.made_up_phases import PATIENCE, MadeUpInstall, MadeUpPhase, no_batches, until


def test_a_phase_is_waited_for_until_it_is_done(install: MadeUpInstall) -> None:
    """The next one is observed with the first observation, and again once it may begin."""
    remaining = iter([("not yet",), ("not yet",), ("still not",), ()])
    last = Batch(wait_for=WaitForPhase("it is there", PATIENCE))
    install.phase("comes", lambda: [last])
    install.phases["comes"].remaining = lambda site, observed: next(remaining)
    install.phase("next", no_batches, "comes")
    install.run()
    assert install.reported.phases == ["comes begun", "comes done", "next begun", "next done"]
    assert install.observed == [["comes", "next"], ["comes", "next"], ["next"], ["next"]]


def test_an_unreachable_host_is_waited_for(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = iter([False, True, True, False])  # before; after the steps; while it is waited for

    def observe(requests: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        if next(down):
            raise HostsUnreachable("m1 does not answer")
        return install.observe(requests, of)

    monkeypatch.setattr(engine, "observe", observe)
    install.phase("comes", lambda: [Batch(wait_for=WaitForPhase("it is there", PATIENCE))])
    install.run()
    assert install.reported.phases == ["comes begun", "comes done"]
    assert next(down, None) is None


def test_a_phase_that_is_never_done_fails_with_what_remains(install: MadeUpInstall) -> None:
    install.phase("comes", lambda: [Batch(wait_for=WaitForPhase("it is there", 0.01))])
    install.phases["comes"].remaining = lambda site, observed: ("m1 is not ready",)
    with pytest.raises(PhaseFailed, match=r"waited 0\.01 s until it is there: m1 is not ready"):
        install.run()
    assert install.reported.phases == ["comes begun", "comes failed"]


def test_a_failure_stops_the_other_phases_and_is_reported(install: MadeUpInstall) -> None:
    begun = threading.Event()

    def fails() -> Iterable[Batch]:
        assert begun.wait(PATIENCE)
        raise UserError("the disk is full.")

    def goes_on() -> Iterable[Batch]:
        begun.set()
        yield from until(lambda: False)

    install.phase("first", no_batches)
    install.phase("slow", goes_on, "first")
    install.phase("failing", fails, "first")
    install.phase("after", no_batches, "slow")
    with pytest.raises(PhaseFailed, match="the disk is full") as failed:
        install.run()
    assert failed.value.phase == "failing"
    assert install.reported.phases[-1] == "failing failed"
    assert "after begun" not in install.reported.phases


def test_after_ctrl_c_no_phase_begins(install: MadeUpInstall) -> None:
    def stop() -> Iterable[Batch]:
        install.engine.stop.set()
        return ()

    install.phase("first", stop)
    install.phase("second", no_batches, "first")
    with pytest.raises(InstallAborted):
        install.run()
    assert install.reported.phases == ["first begun", "first done"]


def test_ctrl_c_ends_a_wait(install: MadeUpInstall) -> None:
    def waits() -> Iterable[Batch]:
        install.engine.stop.set()
        yield from until(lambda: False)

    install.phase("first", waits)
    with pytest.raises(InstallAborted):
        install.run()
    assert install.reported.phases == ["first begun"]


def test_a_phase_that_is_refused_has_no_batches(install: MadeUpInstall) -> None:
    install.phase(
        "a",
        install.noting("batches"),
        preflight_probes=lambda site, host: {"who": ()},
        prepare=install.noting("prepare"),
        preflight=lambda site, observed: ("another program has it",),
    )
    with pytest.raises(PhaseFailed, match="another program has it"):
        install.run()
    assert install.order == ["prepare"]


def test_a_phase_that_is_done_runs_again_on_request(install: MadeUpInstall) -> None:
    install.phase("a", no_batches)
    install.phases["a"].done.set()
    install.run(again=True)
    assert install.reported.phases == ["a begun", "a done"]


def test_a_plan_to_run_a_phase_again_has_its_steps(install: MadeUpInstall) -> None:
    step = RunScript("m1", "pull", "true")
    install.phase("a", lambda: [Batch((step,))])
    install.phases["a"].done.set()
    site, sessions = install.engine.site, install.engine.sessions
    (once,) = planning.phase_statuses(site, sessions, ["a"])
    assert (once.remaining, once.steps, once.content) == ((), (), "")
    (found,) = planning.phase_statuses(site, sessions, ["a"], again=True)
    assert (found.remaining, found.steps) == ((), ("m1: run pull",))
    assert found.content


def test_kubeadm_seconds_of_parallel_steps_are_counted_once() -> None:
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

        class Odd(MadeUpPhase):
            def preflights(self, site: ClusterContext, observed: Observations) -> tuple[str, ...]:
                return ("never called",)


def test_a_phase_must_have_what_every_phase_has() -> None:
    class Bare(Phase):
        name = title = "bare"

    with pytest.raises(TypeError, match="abstract"):
        Bare()  # type: ignore[abstract]


def test_exempt_hosts_have_no_steps_and_are_reported(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the phase is run although it is done; the worker that is added is prepared."""
    ran: list[str] = []
    monkeypatch.setattr(Engine, "_host", lambda _, phase, steps, of: ran.append(steps[0].host))
    steps = tuple(RunScript(host, "t", "") for host in ("m1", "w1", "w2"))
    install.phase("packages", lambda: [Batch(steps)])
    done = install.phases["packages"].done
    vars(install.phases["packages"])["remaining"] = lambda site, found: (
        PhaseProblem("x", "m1"),
        *(() if done.is_set() else (PhaseProblem("x", "w2"),)),
    )
    install.engine.exempt = frozenset({("packages", "m1"), ("packages", "w1")})
    install.run(again=True)
    assert ran == ["w2"]
    assert list(install.engine.differences) == [
        "m1: x; left as it is, because this run only adds workers"
    ]


def test_an_upload_that_a_failed_step_attempted_is_recorded(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise UserError("killed")

    monkeypatch.setattr(Engine, "_step", fails)
    monkeypatch.setattr(engine, "InstallStepExecutor", lambda *_: None)
    monkeypatch.setattr(install.engine._leases, "lease", lambda: nullcontext(lambda _: None))
    step = RunScript("m1", "token", "", uploads=frozenset({TOKEN}))
    install.phase("workers", lambda: [Batch((step,))])
    with pytest.raises(PhaseFailed, match="killed"):
        install.run()
    secrets = install.engine.site.secrets
    assert (secrets.attempted, secrets.uploaded) == ({TOKEN}, set())


def test_after_a_failed_worker_the_other_workers_are_not_changed(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def fails(_: Engine, phase: str, steps: Sequence[RunScript], of: Any) -> None:
        ran.append(steps[0].host)
        raise UserError(f"{steps[0].host} is still unhealthy")

    monkeypatch.setattr(Engine, "_host", fails)
    install.phase("runtime", lambda: [Batch((RunScript("w1", "r", ""), RunScript("w2", "r", "")))])
    vars(install.phases["runtime"])["GATED"] = True
    install.engine.gate = JoinedGate(frozenset({"w1", "w2"}), frozenset(), lambda: ())
    with pytest.raises(PhaseFailed, match="is still unhealthy"):
        install.run()
    assert len(ran) == 1


def test_the_gate_is_given_what_steps_interrupt_and_await(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
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
    install.phase("runtime", lambda: [Batch((first, quiet, loud, *remedies))], GATED=True)
    install.engine.gate = cast("JoinedGate", Gate())
    install.run()
    assert sorted(gated) == [("w1", "", set()), ("w2", "restart", {"HA-A", "HA-B"})]
