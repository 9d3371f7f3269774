"""An install of made-up phases, which contact no host; the cluster's tests have real ones."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hale.install import engine, planning, reporter, scheduler
from hale.install.cluster_context import GROUPS, ClusterContext
from hale.install.engine import Engine
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    WaitFor,
)
from hale.inventory.ini import Host
from hale.ssh import SessionPool
from tests.install import factories

PATIENCE = 30.0  # seconds
# The order of the groups of a phase, by their first hosts.
NEXT_HOST = {"m1": "m2", "m2": "m3", "m3": "w1", "w1": "none"}


class ReportedPhases:
    """The events of phases that the operator is shown, in their order."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, name: str, title: str, state: str, seconds: float, why: str = "") -> None:
        self.phases.append(f"{name} {state}")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class MadeUpPhase(Phase):
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


class MadeUpInstall:
    """An engine over phases that a test has made up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.phases: dict[str, Any] = {}
        self.reported = ReportedPhases()
        self.observed: list[list[str]] = []
        self.order: list[str] = []  # "PHASE HOST" as the groups begin
        self.engine = Engine(factories.made(folder), SessionPool({}), self.reported)
        for module in (scheduler, engine, planning, reporter):
            monkeypatch.setattr(module, "load_phase", self.phases.__getitem__)
        for module in (engine, planning):
            monkeypatch.setattr(module, "observe", self.observe)

    def observe(self, requests: Iterable[Any], of: Any = None) -> tuple[Observations, ...]:
        requests = list(requests)
        if phases := [r for r in requests if not isinstance(r.of, WaitFor)]:
            names = [
                (r.of.title, r.site.current_group, "preflight" if r.with_preflight else "")
                for r in phases
            ]
            self.observed.append([" ".join(filter(None, words)) for words in names])
        return tuple(Observations() for _ in requests)

    def phase(
        self, name: str, batches_of: Callable[[], Iterable[Batch]], *needs: str, **more: Any
    ) -> None:
        """A phase that is done after its batches."""
        done = threading.Event()

        def batches(site: Any, observed: Any) -> Iterator[Batch]:
            yield from batches_of()
            done.set()

        self.phases[name] = MadeUpPhase(
            title=name, DEPENDS_ON=needs, batches=batches, done=done,
            remaining=lambda site, observed: () if done.is_set() else (name,),
            **more,
        )  # fmt: skip

    def phase_of_groups(
        self,
        name: str,
        at: Callable[[str], Iterable[Batch]],
        *needs: str,
        groups: Sequence[str] = GROUPS,
        **more: Any,
    ) -> None:
        """A phase that is done group by group. at: its batches, by the first host of the group."""
        done: set[str] = set()

        def batches(site: Any, observed: Any) -> Iterator[Batch]:
            self.order.append(f"{name} {site.current_hosts[0].name}")
            yield from at(site.current_hosts[0].name)
            done.add(site.current_hosts[0].name)

        self.phases[name] = MadeUpPhase(
            title=name, DEPENDS_ON=needs, HOST_GROUPS=groups, batches=batches, done=done,
            remaining=lambda site, observed: () if site.current_hosts[0].name in done else (name,),
            **more,
        )  # fmt: skip

    def noting(self, word: str) -> Callable[..., Iterable[Batch]]:
        """No batches; the word is left in `order`."""

        def batches(*_: Any) -> Iterable[Batch]:
            self.order.append(word)
            return ()

        return batches

    def run(self, **how: bool) -> None:
        self.engine.carry_out(list(self.phases), **how)


def no_batches() -> Iterable[Batch]:
    return ()


def until(happens: Callable[[], bool]) -> Iterable[Batch]:
    """A batch that waits for it."""
    wanted = lambda site, observed: () if happens() else (PhaseProblem("not yet"),)  # noqa: E731
    yield Batch(wait_for=WaitFor("it happens", (), lambda s, h: {}, wanted, PATIENCE, 0.01))


def done_at_once(_: str) -> Iterable[Batch]:
    return ()
