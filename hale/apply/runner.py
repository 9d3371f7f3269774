"""A run: locks, waves of hosts, step after step, each in the journal before and after."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hale import ssh
from hale.apply import gates, journal, lock
from hale.apply.executor import StepExecutor, StepState
from hale.apply.gates import GateClosed, NodeStatus
from hale.apply.handlers import handler_of
from hale.apply.journal import (
    SCHEMA,
    HostFinished,
    Journal,
    RunFinished,
    RunHeader,
    RunHistory,
    StepDone,
    StepSkipped,
    StepStarted,
    now,
)
from hale.apply.lock import LockHeld, Owner
from hale.apply.prepared import RUNS, PreconditionFailed, PreparedStep, StepFailed
from hale.files import provenance
from hale.model.errors import UserError
from hale.plan.plan import HostPlan, Plan
from hale.ssh import RemoteError, session_for

Reporter = Callable[[str, str], None]  # host, and what happens there


@dataclass
class PlanRunner:
    """One plan on its way to the hosts.

    standing: what each host is in its cluster. group: the group that a failure stops. look: why
    the cluster is not healthy now (gates.unhealthy). max_fail: so many failed hosts stop their
    group.
    """

    plan: Plan
    folder: Path
    journal: Journal
    owner: Owner
    membership: Mapping[str, NodeStatus]
    group: Mapping[str, str]
    health_problems: Callable[[], Sequence[str]]
    report: Reporter
    max_fail: int = 1
    failed: dict[str, str] = field(default_factory=dict)  # host -> why
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> bool:
        """Do the plan; True where every host got all its changes.

        Ctrl-C lets the steps that were begun end, begins no others, and is raised again.
        """
        hosts = {h.host: h for h in self.plan.hosts if h.steps}
        try:
            for wave in gates.batches(list(hosts), self.membership):
                self._wave([hosts[name] for name in wave])
        except BaseException:
            self.journal.write(RunFinished("interrupted", now()))
            raise
        state = "failed" if self.failed else "finished"
        self.journal.write(RunFinished(state, now()))
        return not self.failed

    def _wave(self, hosts: Sequence[HostPlan]) -> None:
        with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
            running = [pool.submit(self._gated, host) for host in hosts]
            try:
                wait(running)
            except KeyboardInterrupt:
                self._stop.set()
                self.report("", "stopping: steps that were begun are ended")
                wait(running)
                raise
            for one in running:
                one.result()

    def _gated(self, host: HostPlan) -> None:
        control_plane = self.membership[host.host].control_plane
        try:
            if control_plane and not self._stopped(host.host):
                masters = sum(s.master for s in self.membership.values())
                gates.check_may_change(host, masters, self.health_problems())
            self._host(host)
            if control_plane:
                gates.wait_until_healthy(self.health_problems, self._stop.is_set)
        except (GateClosed, PreconditionFailed, StepFailed, RunAborted, RemoteError) as error:
            with self._lock:
                self.failed[host.host] = str(error)
            state = {GateClosed: "refused", PreconditionFailed: "refused", RunAborted: "stopped"}
            said = state.get(type(error), "failed")
            self.journal.write(HostFinished(host.host, said, str(error), now()))
            self.report(host.host, f"{said}: {error}")
        else:
            self.journal.write(HostFinished(host.host, "done", "", now()))

    def _host(self, host: HostPlan) -> None:
        """Every step that can be done, once all that can be kept is kept. A refused step does not
        keep the others from being done."""
        writer = StepExecutor(session_for(host.host), self.owner.run)
        steps = dict(enumerate(host.steps, 1))
        found = {} if self._stopped(host.host) else writer.prepare(steps)
        unread: list[StepDone] = []
        try:
            refused = self._steps(host, writer, found, unread)
        except (RunAborted, StepFailed):
            self._reload(writer, unread)  # what was done shall hold
            raise
        self._reload(writer, unread)
        if refused:
            raise PreconditionFailed("; ".join(refused))

    def _steps(
        self,
        host: HostPlan,
        writer: StepExecutor,
        found: Mapping[int, PreparedStep | PreconditionFailed | StepFailed | None],
        unread: list[StepDone],
    ) -> list[str]:
        """One step after the other; what was refused. To `unread` goes what was done, and is to be
        written down once systemd has read its files anew."""
        refused: list[str] = []
        for number, step in enumerate(host.steps, 1):
            name = f"{number}/{len(host.steps)} {', '.join(step.requirements)}"
            if why := self._stopped(host.host):
                self._skip(host, number, "stopped", why)
                raise RunAborted(why)
            try:
                kept = found[number]
                if isinstance(kept, PreconditionFailed | StepFailed):
                    raise kept
                if kept is None:
                    self._skip(host, number, StepState.UNCHANGED.value, "")
                    self.report(host.host, f"{name}: already so")
                    continue
                handler = handler_of(step.change)
                if handler.needs_fresh_units(step.change):
                    self._reload(writer, unread)
                self.journal.write(
                    StepStarted(host.host, number, step, kept.after, kept.notes, now())
                )
                undo = writer.apply(kept)
            except PreconditionFailed as error:
                self._skip(host, number, "refused", str(error))
                self.report(host.host, f"{name}: refused: {error}")
                refused.append(str(error))
                continue
            except StepFailed as error:
                self._skip(host, number, "failed", str(error))
                raise
            done = StepDone(host.host, number, undo, now())
            if handler.wants_daemon_reload(step.change):
                unread.append(done)
            else:
                self.journal.write(done)
            self.report(host.host, f"{name}: {step.change.describe()}")
        return refused

    def _reload(self, writer: StepExecutor, unread: list[StepDone]) -> None:
        """Let systemd read its files anew, once for all steps that wait for it."""
        if unread:
            writer.reload()
        while unread:
            self.journal.write(unread.pop(0))

    def _skip(self, host: HostPlan, number: int, state: str, why: str) -> None:
        self.journal.write(StepSkipped(host.host, number, state, why, now()))

    def _stopped(self, host: str) -> str:
        """Why no further step may begin on this host."""
        if self._stop.is_set():
            return "interrupted"
        with self._lock:
            mates = [h for h in self.failed if h != host and self.group[h] == self.group[host]]
        if len(mates) >= self.max_fail:
            return f"{' and '.join(mates)} of the same group failed (--max-fail={self.max_fail})"
        return ""


class RunAborted(Exception):
    """No further step was begun here, for a reason that lies elsewhere."""


def new_owner(run: str) -> Owner:
    """This operator, on this machine, now, with that run."""
    return Owner(provenance.operator(), provenance.control_host(), run, now())


def journal_header(
    owner: Owner,
    kind: str,
    inventory: Path,
    *,
    approved_by: str,
    ticket: str,
    plan_sha256: str = "",
    of: str = "",
) -> RunHeader:
    """What the journal of that owner's run begins with."""
    return RunHeader(
        schema=SCHEMA,
        run=owner.run,
        kind=kind,
        operator=owner.operator,
        source_host=owner.source_host,
        inventory=str(inventory),
        plan_sha256=plan_sha256,
        at=now(),
        of=of,
        approved_by=approved_by,
        ticket=ticket,
    )


@contextmanager
def locks_held(
    hosts: Sequence[str],
    needed: Iterable[str],
    owner: Owner,
    *,
    stale: bool,
    report: Reporter,
    nothing: str = "nothing was changed",
) -> Iterator[None]:
    """With the locks of all hosts, as `locked` takes them; told is where one could not be given
    back. Raises HaleError where somebody else has one: `nothing` was done.
    """
    try:
        held = acquire_all(hosts, list(needed), owner, stale=stale, report=report)
    except LockHeld as error:
        raise UserError(f"{nothing}: {error}") from None
    try:
        yield
    finally:
        if left := release_all(held, owner):
            report(
                "", f"the lock is still on {', '.join(left)}, which did not answer: --force-unlock"
            )


def acquire_all(
    hosts: Sequence[str], needed: Iterable[str], owner: Owner, *, stale: bool, report: Reporter
) -> list[str]:
    """Lock all hosts of an inventory; returns those that are locked, in its order.

    The first alone, then the others at once: of two who begin together one gets all. A host that
    is not `needed` and cannot be reached is left out, and told. Raises Locked, with everything
    given back.
    """
    for name in hosts:
        session_for(name).start()
    held: list[str] = []

    def take(name: str) -> None:
        try:
            lock.acquire(session_for(name), owner, stale=stale)
            held.append(name)
        except RemoteError as error:
            if name in needed:
                raise LockHeld(f"{name} cannot be locked: {error}") from None
            report(name, f"not reached, so not locked: {error}")

    try:
        for at_once in (hosts[:1], hosts[1:]):
            _on_all_hosts(take, at_once)
    except BaseException:
        release_all(held, owner)
        raise
    return [name for name in hosts if name in held]


def _on_all_hosts(does: Callable[[str], None], names: Sequence[str]) -> None:
    """Do it for all at once, and wait for all. Raises what the first of them has raised."""
    if names:
        with ThreadPoolExecutor(len(names)) as pool:
            begun = [pool.submit(does, name) for name in names]
        for one in begun:
            one.result()


def release_all(hosts: Iterable[str], owner: Owner) -> list[str]:
    """Give the locks back; returns the hosts where that did not work."""
    left: list[str] = []

    def release(name: str) -> None:
        try:
            ssh.on_session(name, lambda session: lock.release(session, owner), lost=RemoteError)
        except RemoteError:
            left.append(name)

    _on_all_hosts(release, list(hosts))
    return left


def recover(story: RunHistory, report: Reporter) -> None:
    """Find out how the steps ended that a run had begun when it was cut off, and write it down.

    Raises HaleError where a host cannot be asked. The hosts' locks must be held.
    """
    book = Journal(story.folder, None)
    try:
        for begun in story.open:
            kept = _prepared_step(story, begun)
            writer = StepExecutor(session_for(begun.host), story.header.run)
            try:
                state, undo = writer.recover(kept)
            except (PreconditionFailed, StepFailed) as error:
                report(begun.host, f"{story.header.run}, step {begun.number}: {error}")
                state, undo = StepState.NOT_APPLIED, ()
            except RemoteError as error:
                raise UserError(
                    f"{begun.host} must say how far {story.header.run} came there: {error}"
                ) from None
            book.write(StepDone(begun.host, begun.number, undo, now()))
            report(begun.host, f"{story.header.run}, step {begun.number} was {state.value}")
        if story.end is None:
            book.write(RunFinished("interrupted", now()))
    finally:
        book.close()


def _prepared_step(story: RunHistory, begun: StepStarted) -> PreparedStep:
    folder = f"{RUNS}/{story.header.run}/{begun.number}"
    return PreparedStep(begun.step, folder, begun.after, begun.notes)


def load_runs(reports: Path) -> list[RunHistory]:
    """All runs that have a journal, the newest first."""
    found = [journal.load_run(p.parent) for p in reports.glob(f"*/{journal.NAME}")]
    return sorted(found, key=lambda s: s.header.run, reverse=True)
