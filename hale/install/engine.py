"""Runs an install: each phase on each host group as soon as its dependencies are done.

A phase that is done is skipped. After its steps a phase is observed again: anything that remains is
a failure, whatever exit status the steps had. One round trip gathers the facts of a phase and of
the phases that it unblocks. When a phase fails, the others stop at their next step. Every step goes
into the journal.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from hale.apply.journal import (
    InstallStepDone,
    InstallStepStarted,
    InstallStepState,
    Journal,
    PhaseState,
    now,
)
from hale.files import signals
from hale.install.cluster_context import ClusterContext
from hale.install.executor import InstallStepExecutor, InstallStepFailed
from hale.install.joined import InstallAborted, JoinedGate
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
    WriteFile,
)
from hale.install.planning import Exempt, split
from hale.install.reporter import PhaseReporter, ProgressListener
from hale.install.scheduler import PhaseTask, Scheduler, load_phase
from hale.install.session_leases import SessionFor, SessionLeases
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.polling import wait_until
from hale.redact import redact
from hale.ssh import SessionPool

MAX_ROUNDS = 4  # how often the batches of one phase are tried
# Seconds: the settle timeout, and how long the state must be unchanged to count as settled.
SETTLE_TIMEOUT, STABLE_SECONDS = 60.0, 1.0


class PhaseFailed(Exception):
    """A phase could not be completed. output: the last lines of the failed step, redacted."""

    def __init__(self, phase: str, why: str, output: str = "") -> None:
        super().__init__(why)
        self.phase = phase
        self.output = output


@dataclass
class Engine:
    """One run of an install or a reset.

    sessions: to all hosts; the caller closes them. gate: of hosts that have joined. exempt:
    what the run does not touch. stop: set it to end the run after the current steps. differences:
    what stays as it is although it differs, by its text.
    """

    site: ClusterContext
    sessions: SessionPool
    listener: ProgressListener
    journal: Journal | None = None
    gate: JoinedGate | None = None
    exempt: Exempt = frozenset()
    stop: threading.Event = field(default_factory=threading.Event)
    differences: dict[str, PhaseProblem] = field(default_factory=dict)
    _failing: threading.Event = field(default_factory=threading.Event)
    _leases: SessionLeases = field(init=False)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))
    _uploading: threading.Lock = field(default_factory=threading.Lock)
    _reporter: PhaseReporter = field(init=False)
    _scheduler: Scheduler = field(init=False)
    _wakeup: "SimpleQueue[None]" = field(default_factory=SimpleQueue)  # wakes `carry_out`

    def __post_init__(self) -> None:
        self._leases = SessionLeases(self.sessions)
        self._reporter = PhaseReporter(self.site, self.listener, self.journal)

    def carry_out(self, names: Sequence[str], *, again: bool = False) -> None:
        """Run these phases, each once its dependencies are done. again: even if they are done.

        Raises PhaseFailed, InstallAborted, and HostsUnreachable.
        """
        running: dict[PhaseTask, Future[Mapping[PhaseTask, Observations] | None]] = {}
        failed: list[BaseException] = []
        try:
            observed = observe([self._request(PhaseTask(n)) for n in names], self.sessions.session)
            self._scheduler = Scheduler(names, self.site, dict(zip(names, observed, strict=True)))
            while True:
                self._start_ready(running, again=again)
                soon = None if self._should_stop() else self._scheduler.next_wakeup()
                if not running and soon is None:
                    break
                with suppress(Empty):
                    self._wakeup.get(timeout=soon)
                for task in [u for u, future in running.items() if future.done()]:
                    future = running.pop(task)
                    if (error := future.exception()) is not None:
                        self._failing.set()
                        failed.append(error)
                    else:
                        self._scheduler.end(task, future.result())
        finally:
            self.disconnect()
            self._pool.shutdown(wait=False, cancel_futures=True)
        if failed:
            # The others only stopped because of the first that failed.
            raise next((e for e in failed if not isinstance(e, InstallAborted)), failed[0])
        if self._scheduler.waiting:
            raise InstallAborted

    def disconnect(self) -> None:
        """Cut the engine's own connections, which kills what runs over them on the hosts."""
        self._leases.begin_close()

    def _start_ready(self, running: dict[PhaseTask, "Future[Any]"], *, again: bool) -> None:
        """Start every task that may start; one whose phase is done ends at once."""
        for task in self._scheduler.ready():
            if self._should_stop():
                return
            observed = self._scheduler.begin(task)
            if observed is not None and self._skipped(task, observed, again=again):
                self._scheduler.end(task, None)
                continue
            running[task] = self._pool.submit(self._phase, task, observed, again=again)
            running[task].add_done_callback(lambda _: self._wakeup.put(None))

    def _should_stop(self) -> bool:
        return self.stop.is_set() or self._failing.is_set()

    def run_batches(
        self,
        name: str,
        batches: Iterable[Batch],
        request: ObservationRequest,
        remaining: Callable[[Observations], Problems],
    ) -> Problems:
        """Run batches that are no phase; returns what remains after them.

        Raises as carry_out does, and StepFailed.
        """
        started = time.monotonic()
        self._reporter.record(name, name, PhaseState.STARTED, started)
        try:
            with self._leases.lease() as session_for:
                self._run_batches(name, batches, session_for)
                (observed,) = observe([request], session_for)
                problems = remaining(observed)
        except (InstallStepFailed, UserError) as error:
            self._reporter.record(name, name, PhaseState.FAILED, started, redact(str(error)))
            raise
        finally:
            self.disconnect()
            self._pool.shutdown(wait=False, cancel_futures=True)
        state = PhaseState.FAILED if problems else PhaseState.DONE
        self._reporter.record(name, name, state, started, _joined(problems))
        return problems

    def _skipped(self, task: PhaseTask, observed: Observations, *, again: bool) -> bool:
        """Whether the task has nothing to do; if so, report it."""
        phase, site = load_phase(task.phase), self._context(task)
        why = phase.skip_reason(site)
        try:
            if not why:
                self._note_differences(task, observed)
            if not why and (again or self._remaining(task, observed)):
                return False
        except Unreadable:
            return False
        self._reporter.ended(task, PhaseState.SKIPPED, why or "done already")
        return True

    def _note_differences(self, task: PhaseTask, observed: Observations) -> None:
        with suppress(Unreadable, UserError):
            phase, site = load_phase(task.phase), self._context(task)
            kept: Problems = ()
            if self.exempt:
                _, kept = split(phase.remaining(site, observed), task.phase, self.exempt)
            for found in (*kept, *phase.differences(site, observed)):
                self.differences[str(found)] = found

    def _remaining(self, task: PhaseTask, observed: Observations) -> Problems:
        """What the run has to do of the task. Raises Unreadable."""
        problems = load_phase(task.phase).remaining(self._context(task), observed)
        return split(problems, task.phase, self.exempt)[0]

    def _phase(
        self, task: PhaseTask, observed: Observations | None, *, again: bool
    ) -> Mapping[PhaseTask, Observations] | None:
        """Run one task. Returns observations of the tasks it unblocked; None if it was skipped."""
        phase, site = load_phase(task.phase), self._context(task)
        try:
            with self._leases.lease() as session_for:
                if observed is None:
                    (observed,) = observe([self._request(task)], session_for)
                    if self._skipped(task, observed, again=again):
                        return None
                self._reporter.started(task)
                if any(phase.preflight_probes(site, host) for host in site.hosts):
                    observed = self._observe_preflight(task, observed, session_for)
                if problems := phase.preflight(site, observed):
                    raise PhaseFailed(task.phase, "\n".join(problems))
                for _ in range(MAX_ROUNDS):
                    until = self._run_batches(
                        task.phase, phase.batches(site, observed), session_for
                    )
                    found, remaining = self._wait_settled(task, until, session_for)
                    if not remaining:
                        self._note_differences(task, found[task])
                        self._reporter.ended(task, PhaseState.DONE)
                        return found
                    observed = found[task]
            why = f"all its steps ran, but this remains: {_joined(remaining)}"
            raise PhaseFailed(task.phase, why)
        except (InstallStepFailed, Unreadable, UserError, HostsUnreachable, PhaseFailed) as error:
            self._reporter.ended(task, PhaseState.FAILED, redact(str(error)))
            if isinstance(error, PhaseFailed):
                raise
            output = error.output if isinstance(error, InstallStepFailed) else ""
            raise PhaseFailed(task.phase, str(error), output) from None

    def _observe_preflight(
        self, task: PhaseTask, observed: Observations, session_for: SessionFor
    ) -> Observations:
        """Gather the phase's facts and its preflight facts.

        While the slow preflight probes run, execute the steps that do not depend on their result.
        """
        with self._leases.lease() as own_sessions:
            pending = self._pool.submit(
                observe, [self._request(task, with_preflight=True)], own_sessions
            )
            try:
                self._run_batches(
                    task.phase,
                    load_phase(task.phase).prepare(self._context(task), observed),
                    session_for,
                )
            finally:
                wait([pending])
        return pending.result()[0]

    def _wait_settled(
        self, task: PhaseTask, until: WaitForPhase | None, session_for: SessionFor
    ) -> tuple[Mapping[PhaseTask, Observations], Problems]:
        """Poll until the phase is complete or stops making progress.

        The same round trip gathers facts for the phases it unblocks. With `until`, poll up to its
        timeout and tolerate unreachable hosts; the unblocked phases are then observed only once.
        """
        remaining: Problems
        started = changed = time.monotonic()
        before: Problems | None = None
        while True:
            try:
                found, remaining = self._observe(task, session_for)
            except HostsUnreachable as error:
                if until is None:
                    raise
                remaining = (PhaseProblem(str(error)),)
            if remaining and until is not None:
                phase, site = load_phase(task.phase), self._context(task)
                wanted = WaitFor(until.title, (), phase.probes, phase.remaining, until.timeout)
                return {task: self._wait(wanted, site, session_for)}, ()
            moment = time.monotonic()
            if remaining != before:
                before, changed = remaining, moment
            late = moment > min(started + SETTLE_TIMEOUT, changed + STABLE_SECONDS)
            if not remaining or late or self._should_stop():
                return found, remaining
            time.sleep(0.2)

    def _observe(
        self, task: PhaseTask, session_for: SessionFor
    ) -> tuple[Mapping[PhaseTask, Observations], Problems]:
        """Observe the task and those it unblocks; also returns what remains of the task."""
        looked = (task, *self._scheduler.unblocked_by(task))
        observed = observe([self._request(u) for u in looked], session_for)
        found = dict(zip(looked, observed, strict=True))
        try:
            return found, self._remaining(task, found[task])
        except Unreadable as error:
            return found, (PhaseProblem(str(error)),)

    def _context(self, task: PhaseTask) -> ClusterContext:
        """The cluster context of the task's host group."""
        return replace(self.site, current_group=task.group)

    def _request(self, task: PhaseTask, *, with_preflight: bool = False) -> ObservationRequest:
        return ObservationRequest(
            load_phase(task.phase), self._context(task), with_preflight=with_preflight
        )

    def _run_batches(
        self, phase: str, batches: Iterable[Batch], session_for: SessionFor
    ) -> WaitForPhase | None:
        """Run the batches one after the other; returns the wait for the complete phase, if any."""
        until = None
        for batch in batches:
            if self._should_stop():
                raise InstallAborted
            by_host: dict[str, list[Step]] = {}
            for step in batch.steps:
                if (phase, step.host) in self.exempt:
                    continue
                by_host.setdefault(step.host, []).append(step)
            _all(
                [
                    self._pool.submit(self._gated, phase, steps, session_for)
                    for steps in by_host.values()
                ]
            )
            if isinstance(batch.wait_for, WaitFor):
                self._wait(batch.wait_for, self.site, session_for)
            else:
                until = batch.wait_for
        return until

    def _gated(self, phase: str, steps: Sequence[Step], session_for: SessionFor) -> None:
        """Run the steps of one host; where it has joined, one host at a time, and in health."""
        host = steps[0].host
        if (
            self.gate is None
            or not load_phase(phase).GATED
            or (phase, host) in self.gate.unfinished
        ):
            self._host(phase, steps, session_for)
            return
        scripts = [s for s in steps if isinstance(s, RunScript)]
        with self.gate.changing(
            host,
            self._should_stop,
            ", ".join(s.title for s in scripts if s.interrupts),
            self._failing.set,
            frozenset().union(*(s.awaited for s in scripts)),
        ):
            self._host(phase, steps, session_for)

    def _host(self, phase: str, steps: Sequence[Step], session_for: SessionFor) -> None:
        """Run the steps of one host in order."""
        executor = InstallStepExecutor(session_for(steps[0].host), self.site.secrets)
        for step in steps:
            if self._should_stop():
                raise InstallAborted
            if not isinstance(step, RunScript) or not step.uploads:
                self._step(phase, step, executor)
                continue
            there = self.site.secrets.uploaded
            with self._uploading:  # several phases need the same upload, once
                if not step.uploads <= there:
                    self.site.secrets.attempted |= step.uploads
                    self._step(phase, step, executor)
                    there |= step.uploads

    def _step(self, phase: str, step: Step, executor: InstallStepExecutor) -> None:
        path = step.path if isinstance(step, WriteFile) else ""
        interrupts = isinstance(step, RunScript) and step.interrupts
        self._reporter.write(
            InstallStepStarted(phase, step.host, step.title, path, interrupts, now())
        )
        started = time.monotonic()
        self.listener.step(step, InstallStepState.STARTED, 0.0)
        state = InstallStepState.FAILED
        try:
            with monitor_peers(
                step, self.site, self.sessions.targets, self.listener.notice
            ) as peers:
                done = executor.execute(step, lambda line: self.listener.output_line(step, line))
            state = InstallStepState.DONE if done else InstallStepState.UNCHANGED
        except InstallStepFailed as error:
            if isinstance(step, RunScript) and step.is_kubeadm_work:
                more = (error.output, _kubelet(executor, step), *peers.problems)
                error.output = "\n".join(filter(None, more))
            raise
        finally:
            seconds = time.monotonic() - started
            critical = isinstance(step, RunScript) and step.is_kubeadm_work
            self._reporter.write(
                InstallStepDone(phase, step.host, step.title, state, seconds, critical, now())
            )
            self.listener.step(step, state, seconds)

    def _wait(self, wanted: WaitFor, site: ClusterContext, session_for: SessionFor) -> Observations:
        """Poll until nothing remains. Returns the last observations. Raises UserError."""
        started = time.monotonic()
        found = Observations()

        def check() -> Problems:
            nonlocal found
            problems: Problems
            try:
                (found,) = observe([ObservationRequest(wanted, site, wanted.hosts)], session_for)
                problems = wanted.remaining(site, found)
            except (Unreadable, HostsUnreachable) as error:
                problems = (PhaseProblem(str(error)),)
            seconds = time.monotonic() - started
            self.listener.waiting(wanted.title, tuple(map(str, problems)), seconds)
            return problems

        remaining = wait_until(check, wanted.timeout, wanted.interval, self._should_stop)
        if not remaining:
            return found
        self.listener.waiting(wanted.title, (), 0.0)
        if self._should_stop():
            raise InstallAborted
        raise UserError(f"waited {wanted.timeout:g} s until {wanted.title}: {_joined(remaining)}")


@contextmanager
def interruptible(engine: Engine) -> Iterator[None]:
    """Let Ctrl-C stop the run after the current steps, and a second one cut the connections,
    which kills what runs on the hosts."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if engine.stop.is_set():
            engine.listener.notice("closing the connections, which kills the running steps")
            engine.disconnect()
            engine.sessions.close()
            return
        engine.stop.set()
        engine.listener.notice("stopping after the current steps (press Ctrl-C again to kill them)")

    with signals.signal_handler(on_signal, signal.SIGINT):
        yield


def _joined(problems: Problems) -> str:
    return "; ".join(map(str, problems))


def _all(running: Sequence["Future[None]"]) -> None:
    """Wait for all, then raise the first failure."""
    errors = [e for f in running if (e := f.exception()) is not None]
    for kind in (InstallStepFailed, UserError):  # the others may only have stopped because of it
        for error in errors:
            if isinstance(error, kind):
                raise error
    if errors:
        raise errors[0]


def _kubelet(executor: InstallStepExecutor, step: RunScript) -> str:
    """The kubelet's last errors; kubeadm itself only reports that it timed out."""
    script = "journalctl -u kubelet -p err -n 4 --no-pager -o cat 2>/dev/null; exit 1"
    try:
        executor.execute(
            RunScript(step.host, "the kubelet's log", script, timeout=20), lambda line: None
        )
    except InstallStepFailed as error:
        return f"kubelet errors:\n{error.output}" if error.output else ""
    return ""


def kubeadm_seconds(acts: Iterable[InstallStepDone]) -> float:
    """Seconds during which any of kubeadm's own steps ran; parallel steps count once."""
    ends = {a: datetime.fromisoformat(a.at).timestamp() for a in acts if a.kubeadm}
    total = until = 0.0
    for started, end in sorted((end - act.seconds, end) for act, end in ends.items()):
        total += max(0.0, end - max(started, until))
        until = max(until, end)
    return total
