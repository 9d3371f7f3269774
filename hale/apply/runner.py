"""A run of a plan: locks, batches of hosts, and the steps of each, one after the other.

The journal has an entry before each step and one after it.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hale.apply import gates, trial, worker_gate
from hale.apply.cluster_nodes import ClusterNodes
from hale.apply.executor import StepExecutor
from hale.apply.gates import TENTH, BatchSize, GateClosed, NodeStatus
from hale.apply.handlers import handler_of
from hale.apply.journal import (
    HostFinished,
    HostState,
    Journal,
    RunFinished,
    RunState,
    StepDone,
    StepSkipped,
    StepStarted,
    StepState,
    now,
)
from hale.apply.lock import Owner
from hale.apply.prepared import PreconditionFailed, PreparedStep, StepFailed, UndoUnknown
from hale.apply.reporter import Reporter
from hale.apply.worker_gate import DrainOptions, WorkerGate
from hale.model.errors import UserError
from hale.plan.plan import HostPlan, Plan
from hale.ssh import RemoteError, SessionPool


@dataclass
class PlanRunner:
    """Applies a plan to its hosts.

    sessions: to the hosts, whose locks are held. membership: each host's place in its cluster.
    group: host -> the group that its failure stops. health_problems: why these hosts are unhealthy
    now (gates.unhealthy). max_fail: the number of failed hosts at which their group is stopped.
    batch, drain: how workers of a living cluster are changed. unplanned: steps, by host and number,
    that are refused unless they are done already, and why. trial_seconds: after which each host
    undoes the run by itself; 0 for a run that is not on trial. settling: as of changing_master.
    """

    plan: Plan
    sessions: SessionPool
    folder: Path
    journal: Journal
    owner: Owner
    membership: Mapping[str, NodeStatus]
    group: Mapping[str, str]
    health_problems: Callable[[Sequence[str]], Sequence[str]]
    report: Reporter
    max_fail: int = 1
    batch: BatchSize = TENTH
    drain: DrainOptions = worker_gate.DEFAULT
    unplanned: Mapping[tuple[str, int], str] = field(default_factory=dict)
    trial_seconds: int = 0
    settling: Collection[str] = ()
    failed: dict[str, str] = field(default_factory=dict)  # host -> why
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> bool:
        """Apply the plan; True if every host got all its changes.

        After Ctrl-C the steps that are running end, no others begin, and KeyboardInterrupt is
        raised.
        """
        hosts = {h.host: h for h in self.plan.hosts if h.steps}
        try:
            for batch in gates.batches(list(hosts), self.membership, self.batch):
                self._run_batch([hosts[name] for name in batch])
        except BaseException:
            self.journal.write(RunFinished(RunState.INTERRUPTED, now()))
            raise
        state = RunState.FAILED if self.failed else RunState.FINISHED
        self.journal.write(RunFinished(state, now()))
        return not self.failed

    def _run_batch(self, hosts: Sequence[HostPlan]) -> None:
        with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
            running = [pool.submit(self._run_gated, host) for host in hosts]
            try:
                wait(running)
            except KeyboardInterrupt:
                self._stop.set()
                self.report("", "stopping after the steps that are running")
                wait(running)
                raise
            for one in running:
                one.result()

    def _run_gated(self, host: HostPlan) -> None:
        status = self.membership[host.host]
        try:
            if self._stopped(host.host):
                self._run_host(host)  # journals that no step was begun
            elif status.control_plane:
                self._run_master(host)
            elif status.worker:
                self._run_worker(host)
            else:
                self._run_host(host)
        except _HOST_FAILURES as error:
            with self._lock:
                self.failed[host.host] = str(error)
            state = _HOST_STATES.get(type(error), HostState.FAILED)
            self.journal.write(HostFinished(host.host, state, str(error), now()))
            self.report(host.host, f"{state}: {error}")
        else:
            self.journal.write(HostFinished(host.host, HostState.DONE, "", now()))

    def _planned(self, host: HostPlan) -> HostPlan:
        """The host's plan without the steps that are refused."""
        steps = [s for n, s in enumerate(host.steps, 1) if (host.host, n) not in self.unplanned]
        return msgspec.structs.replace(host, steps=tuple(steps))

    def _masters(self) -> list[str]:
        return [name for name, status in self.membership.items() if status.master]

    def _last(self) -> str:
        """The host that is changed last; of a living control plane, if one of its hosts is."""
        hosts = [h.host for h in self.plan.hosts if h.steps]
        return gates.batches(hosts, self.membership, self.batch)[-1][-1]

    def _run_master(self, host: HostPlan) -> None:
        masters = self._masters()
        planned = self._planned(host)
        risky = gates.interrupting(planned)
        remediated = {r for s in planned.steps for r in s.requirements}
        with gates.changing_master(
            host.host,
            len(masters),
            lambda: self.health_problems(masters),
            self._stop.is_set,
            interrupts=", ".join(risky[0].requirements) if risky else "",
            remediated=remediated,
            awaited=gates.awaited_after(host.host, remediated, last=host.host == self._last()),
            settling=self.settling,
        ):
            self._run_host(host)

    def _run_worker(self, host: HostPlan) -> None:
        """Over sessions of its own to the control-plane nodes: the drains of a batch would queue
        in a shared one, and after a second Ctrl-C it is closed before the node is uncordoned."""
        with SessionPool(self.sessions.targets) as sessions:
            gate = self._worker_gate(sessions)
            with gate.changing(host.host, interrupts=bool(gates.interrupting(self._planned(host)))):
                self._run_host(host)

    def _worker_gate(self, sessions: SessionPool) -> WorkerGate:
        return WorkerGate(
            ClusterNodes(sessions, self._masters()),
            self.drain,
            {name: target.address or name for name, target in self.sessions.targets.items()},
            self.health_problems,
            self.journal,
            self.report,
            self._stop.is_set,
            self._stopped,
        )

    def _run_host(self, host: HostPlan) -> None:
        """Back up all steps, then apply each that can be. A refused step does not stop the others.

        Raises PreconditionFailed with all refusals.
        """
        session, run = self.sessions.session(host.host), self.owner.run
        executor = StepExecutor(session, run, on_trial=bool(self.trial_seconds))
        steps = dict(enumerate(host.steps, 1))
        found = {} if self._stopped(host.host) else executor.prepare(steps)
        prepared = {n: one for n, one in found.items() if isinstance(one, PreparedStep)}
        if self.trial_seconds and prepared:
            self.journal.write(trial.started(host.host, self.trial_seconds))
            trial.arm(session, run, prepared, self.trial_seconds)
        awaiting_reload: list[StepDone] = []
        try:
            refused = self._steps(host, executor, found, awaiting_reload)
        except (RunAborted, StepFailed, UndoUnknown, UserError):  # of the journal, on a full disk
            self._reload(executor, awaiting_reload)  # what was applied must hold
            raise
        self._reload(executor, awaiting_reload)
        if refused:
            raise PreconditionFailed("; ".join(refused))

    def _steps(
        self,
        host: HostPlan,
        executor: StepExecutor,
        found: Mapping[int, PreparedStep | PreconditionFailed | StepFailed | None],
        awaiting_reload: list[StepDone],
    ) -> list[str]:
        """Apply the steps in order and return the refusals.

        Steps whose `done` entry must wait for `systemctl daemon-reload` are appended to
        `awaiting_reload`.
        """
        refused: list[str] = []
        for number, step in enumerate(host.steps, 1):
            name = f"{number}/{len(host.steps)} {', '.join(step.requirements)}"
            if why := self._stopped(host.host):
                self._skip(host, number, StepState.STOPPED, why)
                raise RunAborted(why)
            try:
                prepared = found[number]
                if isinstance(prepared, PreconditionFailed | StepFailed):
                    raise prepared
                if prepared is None:
                    self._skip(host, number, StepState.UNCHANGED, "")
                    self.report(host.host, f"{name}: already so")
                    continue
                if (host.host, number) in self.unplanned:
                    raise PreconditionFailed(self.unplanned[host.host, number])
                handler = handler_of(step.change)
                if handler.needs_fresh_units(step.change):
                    self._reload(executor, awaiting_reload)
                self.journal.write(
                    StepStarted(host.host, number, step, prepared.after, prepared.notes, now())
                )
                undo = executor.apply(prepared)
            except PreconditionFailed as error:
                self._skip(host, number, StepState.REFUSED, str(error))
                self.report(host.host, f"{name}: refused: {error}")
                refused.append(str(error))
                continue
            except StepFailed as error:
                self._skip(host, number, StepState.FAILED, str(error))
                raise
            done = StepDone(host.host, number, undo, now())
            if handler.wants_daemon_reload(step.change):
                awaiting_reload.append(done)
            else:
                self.journal.write(done)
            self.report(host.host, f"{name}: {step.change.describe()}")
        return refused

    def _reload(self, executor: StepExecutor, awaiting_reload: list[StepDone]) -> None:
        """Reload systemd once for all steps that wait for it, and write their entries."""
        if awaiting_reload:
            executor.reload()
        while awaiting_reload:
            self.journal.write(awaiting_reload.pop(0))

    def _skip(self, host: HostPlan, number: int, state: StepState, why: str) -> None:
        self.journal.write(StepSkipped(host.host, number, state, why, now()))

    def _stopped(self, host: str) -> str:
        """Why no further step may begin on this host; empty if one may."""
        if self._stop.is_set():
            return "interrupted"
        with self._lock:
            mates = [h for h in self.failed if h != host and self.group[h] == self.group[host]]
        if len(mates) >= self.max_fail:
            return f"{' and '.join(mates)} of the same group failed (--max-fail={self.max_fail})"
        return ""


class RunAborted(Exception):
    """No further step was begun on this host, because of another host or of Ctrl-C."""


_HOST_FAILURES = (
    GateClosed,
    PreconditionFailed,
    StepFailed,
    UndoUnknown,
    RunAborted,
    RemoteError,
)
_HOST_STATES = {
    GateClosed: HostState.REFUSED,
    PreconditionFailed: HostState.REFUSED,
    RunAborted: HostState.STOPPED,
}
