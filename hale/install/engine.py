"""Leads an install: each phase, or part of one, as soon as those are through that it needs, wave
after wave, each step in the journal.

A phase that is done is skipped. One that is not is begun, and looked at again: what its steps
left undone is a failure, whatever they said. Hosts are looked at for a phase and for those that
come after it in one round trip. Where a phase fails, the others stop at their next step.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from hale.apply.journal import InstallStepDone, InstallStepState, Journal, PhaseState, now
from hale.apply.journal import PhaseEvent as Said
from hale.install.cluster_context import ClusterContext
from hale.install.executor import StepExecutor, StepFailed
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.peer_monitor import monitor_peers
from hale.install.phase import (
    Batch,
    Observations,
    PhaseProblem,
    Problems,
    RunScript,
    Step,
    WaitFor,
    WaitForPhase,
)
from hale.install.scheduler import PhaseTask, Scheduler, load_phase, required_phases, tasks_of
from hale.install.session_pool import SessionFor, SessionPool
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.redact import redact

MAX_ROUNDS = 4  # of one phase: what came up late is done in another round
# Seconds that a phase may take until nothing of it changes any more, and for how long nothing
# changes then: what was begun comes up.
SETTLE_TIMEOUT, STABLE_SECONDS = 60.0, 1.0


class InstallAborted(Exception):
    """The operator has stopped the run."""


class PhaseFailed(Exception):
    """A phase could not be brought through; `said` are the last lines, without secrets."""

    def __init__(self, phase: str, why: str, said: str = "") -> None:
        super().__init__(why)
        self.phase = phase
        self.output = said


class ProgressListener(Protocol):
    """Who tells the operator what happens."""

    def phase(
        self, name: str, title: str, state: PhaseState, seconds: float, why: str = ""
    ) -> None:
        """A phase begins or has ended."""

    def step(self, step: Step, state: InstallStepState, seconds: float) -> None:
        """A step begins or has ended."""

    def output_line(self, step: Step, text: str) -> None:
        """What a running step says."""

    def waiting(self, title: str, left: Sequence[str], seconds: float) -> None:
        """What is waited for; nothing left: no longer."""

    def notice(self, text: str) -> None:
        """Something about the run as a whole."""


@dataclass(frozen=True)
class PhaseStatus:
    """A phase as it stands. left: what is to do; refusals: what stands in the way; steps: what
    would be done first. unknown: why it cannot be told yet."""

    name: str
    title: str
    remaining: Problems = ()
    problems: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    unknown: str = ""
    skip_reason: str = ""


@dataclass
class Engine:
    """One install on its way to the hosts."""

    site: ClusterContext
    listener: ProgressListener
    journal: Journal | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    _failing: threading.Event = field(default_factory=threading.Event)
    _sessions: SessionPool = field(default_factory=SessionPool)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))
    _uploading: threading.Lock = field(default_factory=threading.Lock)
    _state_lock: threading.Lock = field(default_factory=threading.Lock)
    _phase_started: dict[str, float] = field(default_factory=dict)  # when each phase began
    _group_states: dict[str, dict[PhaseTask, PhaseState]] = field(
        default_factory=dict
    )  # how its parts ended
    _scheduler: Scheduler = field(init=False)
    _wakeup: "SimpleQueue[None]" = field(default_factory=SimpleQueue)  # wakes who leads the phases

    # --- what is to do ---

    def plan(self, names: Iterable[str]) -> list[PhaseStatus]:
        """Each phase, done or not, and what it would do. Changes nothing. Raises Down."""
        names = tuple(names)
        seen = observe([self._request(PhaseTask(n), whole=True) for n in names])
        found: dict[str, PhaseStatus] = {}
        for name, own in zip(names, seen, strict=True):
            waits = [n for n in required_phases(name) if n in found and found[n].remaining]
            found[name] = self._phase_status(name, own, waits)
        return list(found.values())

    def _phase_status(self, name: str, seen: Observations, waits: Sequence[str]) -> PhaseStatus:
        phase = load_phase(name)
        if why := phase.skip_reason(self.site):
            return PhaseStatus(name, phase.title, skip_reason=why)
        try:
            left = phase.remaining(self.site, seen)
        except Unreadable as error:
            return PhaseStatus(name, phase.title, unknown=str(error))
        if not left:
            return PhaseStatus(name, phase.title)
        after = f"more is known after {' and '.join(waits)}" if waits else ""
        try:
            # What stands in the way may be just what those phases are for.
            refused = () if waits else phase.preflight(self.site, seen)
            waves = (*phase.prepare(self.site, seen), *phase.batches(self.site, seen))
            steps = tuple(_steps(waves))
        except (Unreadable, UserError) as error:
            return PhaseStatus(name, phase.title, left, unknown=after or str(error))
        return PhaseStatus(name, phase.title, left, refused, steps, unknown=after)

    # --- doing it ---

    def carry_out(self, names: Sequence[str], *, again: bool = False) -> None:
        """Bring these phases through, each once those are through that it needs. again: also
        where they are done.

        Raises PhaseFailed, Stopped, and Down where a host cannot be asked.
        """
        running: dict[PhaseTask, Future[Mapping[PhaseTask, Observations] | None]] = {}
        failed: list[BaseException] = []
        try:
            seen = observe([self._request(PhaseTask(n)) for n in names])
            self._scheduler = Scheduler(names, self.site, dict(zip(names, seen, strict=True)))
            while True:
                self._start_ready(running, again=again)
                soon = None if self._should_stop() else self._scheduler.next_wakeup()
                if not running and soon is None:
                    break
                with suppress(Empty):
                    self._wakeup.get(timeout=soon)
                for unit in [u for u, future in running.items() if future.done()]:
                    future = running.pop(unit)
                    if (error := future.exception()) is not None:
                        self._failing.set()
                        failed.append(error)
                    else:
                        self._scheduler.end(unit, future.result())
        finally:
            self.disconnect()
            self._pool.shutdown(wait=False, cancel_futures=True)
        if failed:
            # Others have only stopped because of the first that failed.
            raise next((e for e in failed if not isinstance(e, InstallAborted)), failed[0])
        if self._scheduler.waiting:
            raise InstallAborted

    def disconnect(self) -> None:
        """End the connections that are the engine's own, and what runs over them."""
        self._sessions.begin_close()

    def _start_ready(self, running: dict[PhaseTask, "Future[Any]"], *, again: bool) -> None:
        """Begin all that can begin; those that are done are through at once."""
        for unit in self._scheduler.ready():
            if self._should_stop():
                return
            seen = self._scheduler.begin(unit)
            if seen is not None and self._skipped(unit, seen, again=again):
                self._scheduler.end(unit, None)
                continue
            running[unit] = self._pool.submit(self._phase, unit, seen, again=again)
            running[unit].add_done_callback(lambda _: self._wakeup.put(None))

    def _should_stop(self) -> bool:
        return self.stop.is_set() or self._failing.is_set()

    def run_batches(
        self,
        name: str,
        waves: Iterable[Batch],
        wish: ObservationRequest,
        left: Callable[[Observations], Problems],
    ) -> Problems:
        """Some waves that are no phase; returns what is left after them.

        Raises as carry_out does, and Failed.
        """
        begun = time.monotonic()
        self._record(name, name, PhaseState.STARTED, begun)
        try:
            with self._sessions.lease() as of:
                self._run_batches(name, waves, of)
                (seen,) = observe([wish], of)
                said = left(seen)
        except (StepFailed, UserError) as error:
            self._record(name, name, PhaseState.FAILED, begun, redact(str(error)))
            raise
        finally:
            self.disconnect()
            self._pool.shutdown(wait=False, cancel_futures=True)
        state = PhaseState.FAILED if said else PhaseState.DONE
        self._record(name, name, state, begun, _joined(said))
        return said

    def _skipped(self, unit: PhaseTask, seen: Observations, *, again: bool) -> bool:
        """Whether there is nothing to do in it; says so."""
        phase, site = load_phase(unit.phase), self._context(unit)
        why = phase.skip_reason(site)
        try:
            if not why and (again or phase.remaining(site, seen)):
                return False
        except Unreadable:
            return False
        self._report_ended(unit, PhaseState.SKIPPED, why or "done already")
        return True

    def _phase(
        self, unit: PhaseTask, seen: Observations | None, *, again: bool
    ) -> Mapping[PhaseTask, Observations] | None:
        """A phase, or a part; returns what was seen of the next, None where nothing was done."""
        phase, site = load_phase(unit.phase), self._context(unit)
        try:
            with self._sessions.lease() as of:
                if seen is None:
                    (seen,) = observe([self._request(unit)], of)
                    if self._skipped(unit, seen, again=again):
                        return None
                self._report_started(unit)
                if any(phase.preflight_probes(site, host) for host in site.hosts):
                    seen = self._observe_preflight(unit, seen, of)
                if refused := phase.preflight(site, seen):
                    raise PhaseFailed(unit.phase, "\n".join(refused))
                for _ in range(MAX_ROUNDS):
                    until = self._run_batches(unit.phase, phase.batches(site, seen), of)
                    found, left = self._wait_settled(unit, until, of)
                    if not left:
                        self._report_ended(unit, PhaseState.DONE)
                        return found
                    seen = found[unit]
            why = f"all its steps were done, and yet: {_joined(left)}"
            raise PhaseFailed(unit.phase, why)
        except (StepFailed, Unreadable, UserError, HostsUnreachable, PhaseFailed) as error:
            self._report_ended(unit, PhaseState.FAILED, redact(str(error)))
            if isinstance(error, PhaseFailed):
                raise
            said = error.output if isinstance(error, StepFailed) else ""
            raise PhaseFailed(unit.phase, str(error), said) from None

    def _observe_preflight(
        self, unit: PhaseTask, seen: Observations, of: SessionFor
    ) -> Observations:
        """What is seen of it, obstacles too; what may be done whatever those are is, meanwhile."""
        with self._sessions.lease() as others:
            asked = self._pool.submit(observe, [self._request(unit, whole=True)], others)
            try:
                self._run_batches(
                    unit.phase, load_phase(unit.phase).prepare(self._context(unit), seen), of
                )
            finally:
                wait([asked])
        return asked.result()[0]

    def _wait_settled(
        self, unit: PhaseTask, until: WaitForPhase | None, of: SessionFor
    ) -> tuple[Mapping[PhaseTask, Observations], Problems]:
        """Look until nothing is left, for as long as it changes what is; at the next ones too.

        Where that takes `until`'s patience, a host that is down is waited for too, and the next
        ones are not looked at again and again.
        """
        left: Problems
        begun = changed = time.monotonic()
        before: Problems | None = None
        while True:
            try:
                found, left = self._observe(unit, of)
            except HostsUnreachable as error:
                if until is None:
                    raise
                left = (PhaseProblem(str(error)),)
            if left and until is not None:
                phase, site = load_phase(unit.phase), self._context(unit)
                wanted = WaitFor(until.title, (), phase.probes, phase.remaining, until.timeout)
                return {unit: self._wait(wanted, site, of)}, ()
            moment = time.monotonic()
            if left != before:
                before, changed = left, moment
            late = moment > min(begun + SETTLE_TIMEOUT, changed + STABLE_SECONDS)
            if not left or late or self._should_stop():
                return found, left
            time.sleep(0.2)

    def _observe(
        self, unit: PhaseTask, of: SessionFor
    ) -> tuple[Mapping[PhaseTask, Observations], Problems]:
        """What is seen of it and of the next ones, and what is left of it."""
        looked = (unit, *self._scheduler.unblocked_by(unit))
        seen = observe([self._request(u) for u in looked], of)
        found = dict(zip(looked, seen, strict=True))
        try:
            return found, load_phase(unit.phase).remaining(self._context(unit), found[unit])
        except Unreadable as error:
            return found, (PhaseProblem(str(error)),)

    def _context(self, unit: PhaseTask) -> ClusterContext:
        """The site as that part of a phase knows it."""
        return replace(self.site, current_group=unit.group)

    def _request(self, unit: PhaseTask, *, whole: bool = False) -> ObservationRequest:
        return ObservationRequest(load_phase(unit.phase), self._context(unit), with_preflight=whole)

    def _run_batches(
        self, phase: str, waves: Iterable[Batch], of: SessionFor
    ) -> WaitForPhase | None:
        """One after the other; returns until when the phase as a whole is waited for."""
        until = None
        for wave in waves:
            if self._should_stop():
                raise InstallAborted
            by_host: dict[str, list[Step]] = {}
            for step in wave.steps:
                by_host.setdefault(step.host, []).append(step)
            _all([self._pool.submit(self._host, phase, steps, of) for steps in by_host.values()])
            if isinstance(wave.wait_for, WaitFor):
                self._wait(wave.wait_for, self.site, of)
            else:
                until = wave.wait_for
        return until

    def _host(self, phase: str, steps: Sequence[Step], of: SessionFor) -> None:
        """The steps of one host, in their order."""
        doer = StepExecutor(of(steps[0].host), self.site.secrets)
        for step in steps:
            if self._should_stop():
                raise InstallAborted
            if not isinstance(step, RunScript) or not step.uploads:
                self._step(phase, step, doer)
                continue
            there = self.site.secrets.uploaded
            with self._uploading:  # several phases want the same, and it is done once
                if not step.uploads <= there:
                    self._step(phase, step, doer)
                    there |= step.uploads

    def _step(self, phase: str, step: Step, doer: StepExecutor) -> None:
        begun = time.monotonic()
        self.listener.step(step, InstallStepState.STARTED, 0.0)
        state = InstallStepState.FAILED
        try:
            with monitor_peers(step, self.site, self.listener.notice) as missed:
                done = doer.execute(step, lambda line: self.listener.output_line(step, line))
            state = InstallStepState.DONE if done else InstallStepState.UNCHANGED
        except StepFailed as error:
            if isinstance(step, RunScript) and step.is_kubeadm_work:
                more = (error.output, _kubelet(doer, step), *missed.problems)
                error.output = "\n".join(filter(None, more))
            raise
        finally:
            seconds = time.monotonic() - begun
            critical = isinstance(step, RunScript) and step.is_kubeadm_work
            self._write(
                InstallStepDone(phase, step.host, step.title, state, seconds, critical, now())
            )
            self.listener.step(step, state, seconds)

    def _wait(self, wanted: WaitFor, site: ClusterContext, of: SessionFor) -> Observations:
        """Look until it is true; returns what was seen. Raises HaleError when patience ends."""
        begun = time.monotonic()
        found = Observations()
        left: Problems = ()
        while True:
            try:
                (found,) = observe([ObservationRequest(wanted, site, wanted.hosts)], of)
                left = wanted.remaining(site, found)
            except (Unreadable, HostsUnreachable) as error:
                left = (PhaseProblem(str(error)),)
            seconds = time.monotonic() - begun
            self.listener.waiting(wanted.title, tuple(map(str, left)), seconds)
            if not left:
                return found
            if self._should_stop() or seconds > wanted.timeout:
                break
            time.sleep(wanted.interval)
        self.listener.waiting(wanted.title, (), 0.0)
        if self._should_stop():
            raise InstallAborted
        raise UserError(f"waited {wanted.timeout:g} s until {wanted.title}: {_joined(left)}")

    # --- what is told ---

    def _report_started(self, unit: PhaseTask) -> None:
        """A phase has begun when the first of its parts has."""
        with self._state_lock:
            if unit.phase in self._phase_started:
                return
            self._phase_started[unit.phase] = time.monotonic()
            started = self._phase_started[unit.phase]
            self._record(unit.phase, load_phase(unit.phase).title, PhaseState.STARTED, started)

    def _report_ended(self, unit: PhaseTask, state: PhaseState, why: str = "") -> None:
        """It has ended when all of them have; it was skipped when all of them were."""
        with self._state_lock:
            states = self._group_states.setdefault(unit.phase, {})
            states[unit] = state
            parts = len(tasks_of(unit.phase, self.site))
            if state is not PhaseState.FAILED and (
                len(states) < parts or PhaseState.FAILED in states.values()
            ):
                return
            if state is PhaseState.SKIPPED and set(states.values()) != {PhaseState.SKIPPED}:
                state, why = PhaseState.DONE, ""
            since = self._phase_started.get(unit.phase, time.monotonic())
            self._record(unit.phase, load_phase(unit.phase).title, state, since, why)

    def _record(
        self, name: str, title: str, state: PhaseState, begun: float, why: str = ""
    ) -> None:
        seconds = time.monotonic() - begun
        self._write(Said(name, state, why, seconds, now()))
        self.listener.phase(name, title, state, seconds, why)

    def _write(self, entry: Any) -> None:
        if self.journal is not None:
            self.journal.write(entry)


def _joined(problems: Problems) -> str:
    return "; ".join(map(str, problems))


def _steps(waves: Iterable[Batch]) -> Iterable[str]:
    """What would be done, hosts that get the same together."""
    for wave in waves:
        told: dict[str, list[str]] = {}
        for step in wave.steps:
            verb = "write" if not isinstance(step, RunScript) else "run"
            title = step.title if isinstance(step, RunScript) else getattr(step, "path", step.title)
            told.setdefault(f"{verb} {title}", []).append(step.host)
        for what, hosts in told.items():
            yield f"{', '.join(dict.fromkeys(hosts))}: {what}"
        if wave.wait_for is not None:
            yield f"wait until {wave.wait_for.title}"


def _all(running: Sequence["Future[None]"]) -> None:
    """Wait for all, then raise the first failure; the others have come to their own end."""
    errors = [e for f in running if (e := f.exception()) is not None]
    for error in errors:
        if isinstance(error, StepFailed):
            raise error
    if errors:
        raise errors[0]


def _kubelet(doer: StepExecutor, step: RunScript) -> str:
    """What the kubelet complained of last; kubeadm itself only says that it waited."""
    script = "journalctl -u kubelet -p err -n 4 --no-pager -o cat 2>/dev/null; exit 1"
    try:
        doer.execute(
            RunScript(step.host, "the kubelet's log", script, timeout=20), lambda line: None
        )
    except StepFailed as error:
        return f"the kubelet says:\n{error.output}" if error.output else ""
    return ""


def kubeadm_seconds(acts: Iterable[InstallStepDone]) -> float:
    """For how long any of kubeadm's own steps ran; those that ran at once are counted once."""
    ends = {a: datetime.fromisoformat(a.at).timestamp() for a in acts if a.kubeadm}
    total = until = 0.0
    for begun, end in sorted((end - act.seconds, end) for act, end in ends.items()):
        total += max(0.0, end - max(begun, until))
        until = max(until, end)
    return total
