"""When hosts are observed for a phase, and how long an observation is good."""

import math
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from hale.install import engine, planning, scheduler
from hale.install.phase import (
    Batch,
    Observations,
)
from tests.install.made_up_phases import (
    PATIENCE,
    MadeUpInstall,
    no_batches,
    until,
)


def test_a_group_is_observed_once_the_one_before_is_done(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster after one join is observed before the next; a group that has to wait for another
    one is not observed."""

    ends, ended = scheduler.Scheduler.end, set()

    def end(self: scheduler.Scheduler, unit: scheduler.PhaseTask, found: Any) -> None:
        ends(self, unit, found)
        ended.add(" ".join(unit))

    monkeypatch.setattr(scheduler.Scheduler, "end", end)

    def joins(host: str) -> Iterable[Batch]:
        return until(lambda: "images m3" in ended) if host == "m2" else ()

    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: "joins m2" in install.order) if host == "m3" else ()

    install.phase_of_groups("images", pulls)
    install.phase_of_groups("joins", joins, "images", groups=("masters",), STAGGER_SECONDS=math.inf)
    install.run()
    assert ["images m3"] in install.observed[1:]
    assert [probes for probes in install.observed if "joins m3" in probes] == [
        ["joins m2", "joins m3"],
        ["joins m3"],
    ]


def test_phases_that_are_done_are_observed_once_and_skipped_in_order(
    install: MadeUpInstall,
) -> None:
    for name, needs in (("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c"))):
        install.phase(name, no_batches, *needs)
        install.phases[name].done.set()
    install.run()
    assert install.reported.phases == ["a skipped", "b skipped", "c skipped", "d skipped"]
    assert install.observed == [["a", "b", "c", "d"]]


def test_observations_from_before_a_change_are_not_used(install: MadeUpInstall) -> None:
    install.phase("a", no_batches)
    install.phase("b", no_batches, "a")
    install.phase("c", no_batches, "b")
    install.phase("other", no_batches)
    install.phases["b"].done.set()
    install.phases["c"].done.set()
    install.phases["other"].done.set()
    install.run()
    # All; then what comes after `a` with it, and the one after that again.
    assert install.observed == [["a", "b", "c", "other"], ["a", "b"], ["c"]]
    assert sorted(install.reported.phases) == [
        "a begun", "a done", "b skipped", "c skipped", "other skipped",
    ]  # fmt: skip


def test_preflight_probes_are_observed_only_before_the_phase_begins(install: MadeUpInstall) -> None:
    for name, needs in (("a", ()), ("b", ("a",)), ("done", ())):
        install.phase(name, no_batches, *needs)
        install.phases[name].preflight_probes = lambda site, host: {"who": ()}
    install.phases["done"].done.set()
    install.run()
    assert install.observed == [
        ["a", "b", "done"],
        ["a preflight"],
        ["a", "b"],
        ["b preflight"],
        ["b"],
    ]


def test_a_phase_without_preflight_probes_is_not_observed_again(install: MadeUpInstall) -> None:
    install.phase("a", no_batches, preflight_probes=lambda site, host: {})
    install.run()
    assert install.observed == [["a"], ["a"]]


def test_a_phase_is_prepared_while_its_preflight_is_observed(
    install: MadeUpInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    observing, free = threading.Event(), threading.Event()

    def observe(requests: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        requests = list(requests)
        if any(r.with_preflight for r in requests):
            observing.set()
            assert free.wait(PATIENCE)
        return install.observe(requests, of)

    def prepare(site: Any, observed: Any) -> Iterator[Batch]:
        install.order.append("prepare")
        yield from until(observing.is_set)
        free.set()

    monkeypatch.setattr(engine, "observe", observe)
    batches = install.noting("batches")
    install.phase("a", batches, preflight_probes=lambda site, host: {"who": ()}, prepare=prepare)
    install.run()
    assert install.order == ["prepare", "batches"]
    assert install.reported.phases == ["a begun", "a done"]


def test_a_plan_observes_the_preflight_too(install: MadeUpInstall) -> None:
    install.phase("a", no_batches)
    statuses = planning.phase_statuses(install.engine.site, install.engine.sessions, ["a"])
    assert [tuple(map(str, one.remaining)) for one in statuses] == [("a",)]
    assert install.observed == [["a preflight"]]
