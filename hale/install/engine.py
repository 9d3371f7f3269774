"""Leads an install: phase after phase, wave after wave, each step in the journal.

A phase that is done is skipped. One that is not is begun, and looked at again: what its steps
left undone is a failure, whatever they said. Hosts are looked at for a phase and its next one
in one round trip.
"""

import importlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from hale import connection
from hale.apply.journal import Act, Journal, now
from hale.apply.journal import Phase as Said
from hale.connection import Session
from hale.errors import HaleError
from hale.fact import Unreadable, mask
from hale.install.doer import Doer, Failed
from hale.install.look import Down, Wish, look
from hale.install.site import Site
from hale.install.step import Await, Phase, Run, Seen, Step, Wave

PACKAGE = "remediate.cluster"
ROUNDS = 4  # of one phase: what came up late is done in another round
# Seconds that two looks at one phase may take until they agree: what was begun comes up.
SETTLE = 60.0


class Stopped(Exception):
    """The operator has stopped the run."""


class PhaseFailed(Exception):
    """A phase could not be brought through; `said` are the last lines, without secrets."""

    def __init__(self, phase: str, why: str, said: str = "") -> None:
        super().__init__(why)
        self.phase = phase
        self.said = said


class Shown(Protocol):
    """Who tells the operator what happens."""

    def phase(self, name: str, title: str, state: str, seconds: float, why: str = "") -> None:
        """A phase begins or has ended."""

    def step(self, step: Step, state: str, seconds: float) -> None:
        """A step begins or has ended."""

    def line(self, step: Step, text: str) -> None:
        """What a running step says."""

    def waits(self, title: str, left: Sequence[str], seconds: float) -> None:
        """What is waited for."""


@dataclass(frozen=True)
class Planned:
    """A phase as it stands. left: what is to do; refusals: what stands in the way; steps: what
    would be done first. unknown: why it cannot be told yet."""

    name: str
    title: str
    left: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    unknown: str = ""
    not_applicable: str = ""


@dataclass
class Engine:
    """One install on its way to the hosts."""

    site: Site
    shown: Shown
    journal: Journal | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    kubeadm_seconds: float = 0.0
    _background: list["Future[None]"] = field(default_factory=list)
    _extra: list[Session] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- what is to do ---

    def plan(self, names: Iterable[str]) -> list[Planned]:
        """Each phase, done or not, and what it would do. Changes nothing. Raises Down."""
        names = tuple(names)
        seen = look(self.site, [Wish(n, load(n)) for n in names])
        found: dict[str, Planned] = {}
        for name in names:
            waits = [n for n in load(name).NEEDS if n in found and found[n].left]
            found[name] = self._planned(name, seen[name], waits)
        return list(found.values())

    def _planned(self, name: str, seen: Seen, waits: Sequence[str]) -> Planned:
        module = load(name)
        if why := not_applicable(module, self.site):
            return Planned(name, module.TITLE, not_applicable=why)
        try:
            left = module.left(self.site, seen)
        except Unreadable as error:
            return Planned(name, module.TITLE, unknown=str(error))
        if not left:
            return Planned(name, module.TITLE)
        after = f"more is known after {' and '.join(waits)}" if waits else ""
        try:
            # What stands in the way may be just what those phases are for.
            refused = () if waits else refusals(module, self.site, seen)
            steps = tuple(_steps(module.waves(self.site, seen)))
        except (Unreadable, HaleError) as error:
            return Planned(name, module.TITLE, left, unknown=after or str(error))
        return Planned(name, module.TITLE, left, refused, steps, unknown=after)

    # --- doing it ---

    def carry_out(self, names: Sequence[str], *, again: bool = False) -> None:
        """Bring these phases through, in their order. again: also where they are done.

        Raises PhaseFailed, Stopped, and Down where a host cannot be asked.
        """
        try:
            wishes = [Wish(n, load(n)) for n in names]
            seen = dict(look(self.site, wishes))
            fresh = set(names)
            for at, name in enumerate(names):
                if name not in fresh:
                    seen |= look(self.site, wishes[at : at + 2])
                    fresh |= set(names[at : at + 2])
                if self._phase(wishes[at], seen[name], wishes[at + 1 : at + 2], seen, again=again):
                    # Something was done: what was seen of the later phases is of before.
                    fresh -= set(names[at + 2 :])
            self._join_background(names[-1] if names else "")
        finally:
            for session in self._extra:
                session.begin_close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def once(
        self, name: str, waves: Iterable[Wave], wish: Wish, left: Callable[[Seen], tuple[str, ...]]
    ) -> tuple[str, ...]:
        """Some waves that are no phase; returns what is left after them.

        Raises as carry_out does, and Failed.
        """
        begun = time.monotonic()
        self._said(name, name, "begun", begun)
        try:
            self._waves(name, waves)
            said = left(look(self.site, [wish])[wish.name])
        except (Failed, HaleError) as error:
            self._said(name, name, "failed", begun, mask(str(error)))
            raise
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._said(name, name, "failed" if said else "done", begun, "; ".join(said))
        return said

    def _phase(
        self, wish: Wish, seen: Seen, following: Sequence[Wish], all_seen: dict[str, Seen],
        *, again: bool,
    ) -> bool:  # fmt: skip
        """One phase; whether anything was done. Leaves what was seen of the next in all_seen."""
        module, name = cast("Phase", wish.of), wish.name
        begun = time.monotonic()
        if self.stop.is_set():
            raise Stopped
        if why := not_applicable(module, self.site):
            self._said(name, module.TITLE, "skipped", begun, why)
            return False
        try:
            left = module.left(self.site, seen)
            if not left and not again:
                self._said(name, module.TITLE, "skipped", begun, "done already")
                return False
            self._said(name, module.TITLE, "begun", begun)
            if refused := refusals(module, self.site, seen):
                raise PhaseFailed(name, "\n".join(refused))
            if any(needed in LATE for needed in module.NEEDS):
                self._join_background(name)
            for _ in range(ROUNDS):
                self._waves(name, module.waves(self.site, seen))
                if name not in LATE:
                    seen, left = self._settled(wish, following, all_seen)
                else:
                    left = ()
                if not left:
                    self._said(name, module.TITLE, "done", begun)
                    return True
        except (Failed, Unreadable, HaleError, Down) as error:
            said = error.said if isinstance(error, Failed) else ""
            self._said(name, module.TITLE, "failed", begun, mask(str(error)))
            raise PhaseFailed(name, str(error), said) from None
        except PhaseFailed as error:
            self._said(name, module.TITLE, "failed", begun, mask(str(error)))
            raise
        why = f"all its steps were done, and yet: {'; '.join(left)}"
        self._said(name, module.TITLE, "failed", begun, mask(why))
        raise PhaseFailed(name, why)

    def _settled(
        self, wish: Wish, following: Sequence[Wish], all_seen: dict[str, Seen]
    ) -> tuple[Seen, tuple[str, ...]]:
        """Look until nothing is left, for as long as it changes what is."""
        module = cast("Phase", wish.of)
        until = time.monotonic() + SETTLE
        before: tuple[str, ...] | None = None
        while True:
            found = look(self.site, [wish, *following])
            all_seen |= found
            try:
                left = module.left(self.site, found[wish.name])
            except Unreadable as error:
                left = (str(error),)
            if not left or left == before or time.monotonic() > until or self.stop.is_set():
                return found[wish.name], left
            before = left
            time.sleep(1)

    def _waves(self, phase: str, waves: Iterable[Wave]) -> None:
        for wave in waves:
            if self.stop.is_set():
                raise Stopped
            by_host: dict[str, list[Step]] = {}
            for step in wave.steps:
                by_host.setdefault(step.host, []).append(step)
            running = [
                self._pool.submit(self._host, phase, steps, background=wave.background)
                for steps in by_host.values()
            ]
            if wave.background:
                self._background += running
                continue
            _all(running)
            if wave.afterwards is not None:
                self._wait(wave.afterwards)

    def _host(self, phase: str, steps: Sequence[Step], *, background: bool) -> None:
        """The steps of one host, in their order."""
        session = connection.session_for(steps[0].host)
        if background:  # the host's own session stays free for looks and for other steps
            session = Session(connection.TARGETS[steps[0].host])
            with self._lock:
                self._extra.append(session)
        doer = Doer(session, self.site.secrets)
        for step in steps:
            if self.stop.is_set():
                raise Stopped
            self._step(phase, step, doer)

    def _step(self, phase: str, step: Step, doer: Doer) -> None:
        begun = time.monotonic()
        self.shown.step(step, "begun", 0.0)
        state = "failed"
        try:
            state = "done" if doer.do(step, lambda line: self.shown.line(step, line)) else "nothing"
        except Failed as error:
            if isinstance(step, Run) and step.critical:
                error.said = "\n".join(filter(None, (error.said, _kubelet(doer, step))))
            raise
        finally:
            seconds = time.monotonic() - begun
            critical = isinstance(step, Run) and step.critical
            with self._lock:
                self.kubeadm_seconds += seconds if critical else 0.0
            self._write(Act(phase, step.host, step.title, state, seconds, critical, now()))
            self.shown.step(step, state, seconds)
        if isinstance(step, Run) and step.uploads:
            self.site.secrets.uploaded = True

    def _wait(self, wanted: Await) -> None:
        """Look until it is true. Raises PhaseFailed when patience ends."""
        begun = time.monotonic()
        left: tuple[str, ...] = ()
        while True:
            try:
                found = look(self.site, [Wish("await", wanted, wanted.hosts)])["await"]
                left = wanted.left(self.site, found)
            except (Unreadable, Down) as error:
                left = (str(error),)
            seconds = time.monotonic() - begun
            self.shown.waits(wanted.title, left, seconds)
            if not left:
                return
            if self.stop.is_set():
                raise Stopped
            if seconds > wanted.patience:
                raise HaleError(
                    f"waited {wanted.patience:g} s until {wanted.title}: {'; '.join(left)}"
                )
            time.sleep(wanted.every)

    def _join_background(self, phase: str) -> None:
        running, self._background = self._background, []
        try:
            _all(running)
        except Failed as error:
            raise PhaseFailed(phase, str(error), error.said) from None

    # --- what is told ---

    def _said(self, name: str, title: str, state: str, begun: float, why: str = "") -> None:
        seconds = time.monotonic() - begun
        self._write(Said(name, state, why, seconds, now()))
        self.shown.phase(name, title, state, seconds, why)

    def _write(self, entry: Any) -> None:
        if self.journal is not None:
            self.journal.write(entry)


# Phases whose steps go on while the next ones run: they are looked at when the run ends.
LATE = ("images",)


def load(name: str) -> Phase:
    """The module of that phase."""
    return cast("Phase", importlib.import_module(f"{PACKAGE}.{name}"))


def names() -> tuple[str, ...]:
    """All phases of an install, in their order."""
    found: tuple[str, ...] = importlib.import_module(PACKAGE).PHASES
    return found


def refusals(module: Any, site: Site, seen: Seen) -> tuple[str, ...]:
    """What stands in a phase's way."""
    ask: Callable[[Site, Seen], tuple[str, ...]] | None = getattr(module, "refusals", None)
    return ask(site, seen) if ask else ()


def not_applicable(module: Any, site: Site) -> str:
    """Why a phase does not concern this site; empty where it does."""
    ask: Callable[[Site], str] | None = getattr(module, "not_applicable", None)
    return ask(site) if ask else ""


def _steps(waves: Iterable[Wave]) -> Iterable[str]:
    """What would be done, hosts that get the same together."""
    for wave in waves:
        told: dict[str, list[str]] = {}
        for step in wave.steps:
            verb = "write" if not isinstance(step, Run) else "run"
            title = step.title if isinstance(step, Run) else getattr(step, "path", step.title)
            told.setdefault(f"{verb} {title}", []).append(step.host)
        for what, hosts in told.items():
            yield f"{', '.join(dict.fromkeys(hosts))}: {what}"
        if wave.afterwards is not None:
            yield f"wait until {wave.afterwards.title}"


def _all(running: Sequence["Future[None]"]) -> None:
    """Wait for all, then raise the first failure; the others have come to their own end."""
    errors = [e for f in running if (e := f.exception()) is not None]
    for error in errors:
        if isinstance(error, Failed):
            raise error
    if errors:
        raise errors[0]


def _kubelet(doer: Doer, step: Run) -> str:
    """What the kubelet complained of last; kubeadm itself only says that it waited."""
    script = "journalctl -u kubelet -p err -n 4 --no-pager -o cat 2>/dev/null; exit 1"
    try:
        doer.do(Run(step.host, "the kubelet's log", script, timeout=20), lambda line: None)
    except Failed as error:
        return f"the kubelet says:\n{error.said}" if error.said else ""
    return ""


def by_phase(acts: Iterable[Act]) -> Mapping[str, float]:
    """Seconds of kubeadm's own work by phase, joins that went at once counted once."""
    found: dict[str, list[float]] = {}
    for act in acts:
        if act.kubeadm:
            found.setdefault(act.phase, []).append(act.seconds)
    return {p: max(s) if p == "workers" else sum(s) for p, s in found.items()}
