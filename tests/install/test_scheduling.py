"""When phases and their host groups begin: dependencies, staggers and chains."""

import math
import threading
import time
from collections.abc import Iterable

import pytest

from hale.install.engine import PhaseFailed
from hale.install.joined import InstallAborted
from hale.install.phase import (
    Batch,
)
from hale.model.errors import UserError
from tests.install.made_up_phases import (
    NEXT_HOST,
    PATIENCE,
    MadeUpInstall,
    done_at_once,
    no_batches,
    until,
)


def test_independent_phases_run_at_the_same_time(install: MadeUpInstall) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet() -> Iterable[Batch]:
        both.wait()
        return ()

    install.phase("first", no_batches)
    install.phase("left", meet, "first")
    install.phase("right", meet, "first")
    install.phase("last", no_batches, "left", "right")
    install.run()
    assert install.reported.phases[:2] == ["first begun", "first done"]
    assert sorted(install.reported.phases[2:6]) == [
        "left begun",
        "left done",
        "right begun",
        "right done",
    ]
    assert install.reported.phases[6:] == ["last begun", "last done"]


def test_a_phase_that_depends_on_one_host_group_does_not_wait_for_the_others(
    install: MadeUpInstall,
) -> None:
    def installs(host: str) -> Iterable[Batch]:
        return () if host == "m1" else until(install.phases["init"].done.is_set)

    install.phase_of_groups("packages", installs)
    install.phase("init", no_batches, "packages/first")
    install.phase("all", no_batches, "packages")
    install.run()
    assert install.reported.phases == [
        "packages begun", "init begun", "init done", "packages done", "all begun", "all done",
    ]  # fmt: skip


def test_a_host_group_depends_only_on_the_same_group(install: MadeUpInstall) -> None:
    """A slow worker and another control-plane node delay only themselves."""

    def installs(host: str) -> Iterable[Batch]:
        return until(lambda: "joins m3" in install.order) if host == "w1" else ()

    install.phase_of_groups("packages", installs)
    install.phase_of_groups("runtime", done_at_once, "packages")
    install.phase_of_groups("joins", done_at_once, "runtime", groups=("masters",))
    install.phase("workers", no_batches, "runtime/workers")
    install.run()
    assert install.order.index("joins m3") < install.order.index("runtime w1")
    assert [f"{w} m2" for w in ("packages", "runtime", "joins")] == [
        o for o in install.order if o.endswith("m2")
    ]
    assert "joins m1" not in install.order
    assert install.order.count("packages w1") == 1, "workers go together"
    assert install.reported.phases.count("packages done") == 1
    assert install.reported.phases[-2:] == ["workers begun", "workers done"]


def test_an_infinite_stagger_runs_one_host_group_at_a_time(install: MadeUpInstall) -> None:
    at = threading.Lock()

    def joins(_: str) -> Iterable[Batch]:
        assert at.acquire(blocking=False), "two at once"
        yield from until(lambda: True)
        at.release()

    install.phase_of_groups("joins", joins, STAGGER_SECONDS=math.inf)
    install.run()
    assert install.order == ["joins m1", "joins m2", "joins m3", "joins w1"]


def test_a_stagger_ends_after_its_time(install: MadeUpInstall) -> None:
    def installs(host: str) -> Iterable[Batch]:
        return until(lambda: "packages w1" in install.order) if host == "m1" else ()

    install.phase_of_groups("packages", installs, STAGGER_SECONDS=2.0)
    begun = time.monotonic()
    install.run()
    assert install.order == ["packages m1", "packages m2", "packages m3", "packages w1"]
    # m2 waits for its turn; m3 and the worker follow one that is done.
    assert 2.0 <= time.monotonic() - begun < 2.0 * 3


def test_a_stagger_ends_when_the_group_before_is_done(install: MadeUpInstall) -> None:
    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: f"packages {NEXT_HOST[host]}" in install.order) if host != "w1" else ()

    install.phase_of_groups("packages", done_at_once, STAGGER_SECONDS=PATIENCE)
    install.phase_of_groups("images", pulls, "packages", STAGGER_SECONDS=math.inf)
    begun = time.monotonic()
    install.run()
    assert time.monotonic() - begun < PATIENCE
    assert [o for o in install.order if o.startswith("packages")] == [
        f"packages {h}" for h in NEXT_HOST
    ]
    assert [o for o in install.order if o.startswith("images")] == [
        f"images {h}" for h in NEXT_HOST
    ]


def test_a_group_keeps_its_head_start_in_the_phases_that_it_chains_into(
    install: MadeUpInstall,
) -> None:
    """The others of the masters have their images before the next part's packages begin."""

    def pulls(host: str) -> Iterable[Batch]:
        return until(lambda: "packages m2" in install.order) if host == "m1" else ()

    install.phase_of_groups(
        "packages", done_at_once, STAGGER_SECONDS=PATIENCE, CHAINS_INTO={"masters": "images"}
    )
    install.phase_of_groups("images", pulls, "packages", STAGGER_SECONDS=math.inf)
    begun = time.monotonic()
    install.run()
    assert time.monotonic() - begun < PATIENCE
    assert install.order.index("images m2") < install.order.index("packages m3")
    assert install.order.index("images m3") < install.order.index("packages w1")


def test_a_stagger_through_a_phase_outside_of_the_run_delays_no_group(
    install: MadeUpInstall,
) -> None:
    install.phase_of_groups(
        "packages", done_at_once, STAGGER_SECONDS=PATIENCE, CHAINS_INTO={"masters": "images"}
    )
    begun = time.monotonic()
    install.run()
    assert time.monotonic() - begun < PATIENCE
    assert install.order == [f"packages {h}" for h in NEXT_HOST]


def test_a_phase_that_is_done_delays_no_group(install: MadeUpInstall) -> None:
    install.phase_of_groups("packages", done_at_once, STAGGER_SECONDS=PATIENCE)
    install.phase_of_groups("images", done_at_once, "packages", STAGGER_SECONDS=math.inf)
    install.phase_of_groups(
        "joins", done_at_once, "images", groups=("masters",), STAGGER_SECONDS=math.inf
    )
    for name in ("packages", "images"):
        install.phases[name].done.update(NEXT_HOST)
    install.phases["joins"].done.add("m2")
    begun = time.monotonic()
    install.run()
    assert time.monotonic() - begun < PATIENCE
    assert install.order == ["joins m3"]


def test_ctrl_c_ends_a_stagger(install: MadeUpInstall) -> None:
    def stop(_: str) -> Iterable[Batch]:
        install.engine.stop.set()
        return ()

    install.phase_of_groups("packages", stop, STAGGER_SECONDS=PATIENCE)
    with pytest.raises(InstallAborted):
        install.run()
    assert install.order == ["packages m1"]


def test_a_group_that_succeeds_does_not_hide_one_that_failed(install: MadeUpInstall) -> None:
    def installs(host: str) -> Iterable[Batch]:
        if host == "m1":
            yield from until(lambda: len(install.order) == 4)
            raise UserError("the disk is full.")
        yield from until(lambda: True)
        until_failed = time.monotonic() + PATIENCE
        while host == "w1" and "packages failed" not in install.reported.phases:
            assert time.monotonic() < until_failed
            time.sleep(0.01)

    install.phase_of_groups("packages", installs)
    with pytest.raises(PhaseFailed, match="the disk is full"):
        install.run()
    assert install.reported.phases == ["packages begun", "packages failed"]


def test_groups_that_are_done_are_skipped_and_the_phase_is_reported_once(
    install: MadeUpInstall,
) -> None:
    install.phase_of_groups("packages", done_at_once)
    install.phases["packages"].done.update(("m1", "m2", "w1"))
    install.phase_of_groups("runtime", done_at_once, "packages")
    install.phases["runtime"].done.update(NEXT_HOST)
    install.run()
    assert install.order == ["packages m3"]
    assert sorted(install.reported.phases) == ["packages begun", "packages done", "runtime skipped"]
