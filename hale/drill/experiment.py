"""One drill: wait for a steady cluster, inject the fault, watch it recover, revert, wait again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from hale.apply.cluster_lock import HostLocks
from hale.drill import actions, health, http_client, measurement, member, member_health
from hale.drill.actions import ActionFailed
from hale.drill.fault import HOST_FAULTS, Fault, PowerSwitch
from hale.drill.health import HealthTimeline, PoweredOff, Sample
from hale.drill.http_client import ClientTarget, Request
from hale.drill.journal import DrillJournal, FaultInjected, FaultReverted, SamplersStarted
from hale.drill.live_view import LiveView
from hale.drill.measurement import is_settled, unhealthy_components
from hale.drill.sampler import RemoteSampler
from hale.files import atomic
from hale.inventory.ini import Inventory
from hale.model import results
from hale.model.drill import COMPONENT_FAULTS, ComponentKind, FaultKind, Measurement
from hale.model.errors import Location, UserError
from hale.polling import wait_until
from hale.ssh import SessionPool

POLL_INTERVAL = 0.25  # seconds between two reads of the records
STEADY_FOR = 2.0  # seconds of nothing but successful requests before a fault is injected
STEADY_TIMEOUT = 40.0  # seconds until the cluster must be steady
MIN_FAULT = 8.0  # seconds that a fault lasts at least, so that missing lease renewals show
MAX_FAULT = 60.0  # seconds that a fault lasts at most without a workload
MAX_EVICTION = 240.0  # seconds that it lasts at most with a replica that is to be missed, or moved
REBOOT_TIMEOUT = 600.0  # seconds until a rebooted host must be back
HEALTH_TIMEOUT = 300.0  # seconds until the cluster must be healthy after the revert

#: What has to recover while the fault lasts.
RECOVERS_DURING_FAULT = (ComponentKind.ETCD_QUORUM, ComponentKind.REPLICAS, *health.LEADERS)


@dataclass
class DrillRun:
    """One fault on one host. replicas: of the workload, 0 without one.

    locks: of the drill, and its sessions.
    requested: by the client; without, the apiserver through the VIP.
    brief: revert as soon as the client is served again, for a benchmark.
    others: faults of the same kind on more hosts; drilled: the member that they disconnect.
    before_revert: called at the end of the fault.
    """

    inventory: Inventory
    locks: HostLocks
    folder: Path
    fault: Fault
    client: str
    watcher: str
    replicas: int
    power: PowerSwitch | None
    journal: DrillJournal
    view: LiveView
    brief: bool = False
    requested: ClientTarget | None = None
    others: tuple[Fault, ...] = ()
    drilled: member.DrilledMember | None = None
    before_revert: Callable[[], None] = lambda: None
    _requests: list[Request] = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)
    _timelines: tuple[HealthTimeline, ...] = ()
    _injected_at: float = float("inf")
    _reverted_at: float | None = None
    _updated: float = 0.0

    @property
    def sessions(self) -> SessionPool:
        """Those of the drill."""
        return self.locks.sessions

    def run(self) -> Measurement:
        """Run the drill, write its raw records to the folder and return what they show.

        Raises ActionFailed, SamplerStopped, KeyboardInterrupt, and UserError for a file that cannot
        be written; an injected fault is then left to `revert.revert_all`.
        """
        api = health.api_script(workload=bool(self.replicas) and self.drilled is None)
        loops = member.samplers(self.watcher, self.drilled) if self.drilled else ()
        client, watcher = map(self.sessions.target, (self.client, self.watcher))
        self._samplers = (
            RemoteSampler(client, "client", http_client.client_script(self._target)),
            RemoteSampler(watcher, "etcd", health.etcd_script(self.inventory)),
            RemoteSampler(watcher, "api", api),
            *(RemoteSampler(self.sessions.target(host), *loop) for host, *loop in loops),
        )
        hosts = dict.fromkeys((self.client, self.watcher, *(host for host, *_ in loops)))
        self.journal.write(SamplersStarted(tuple(hosts), _utc()))
        try:
            for sampler in self._samplers:
                sampler.start()
            return self._run_phases()
        finally:
            for sampler in self._samplers:
                sampler.stop()
            self._save_records()

    def _save_records(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{error.strerror}.", Location(self.folder)) from None
        for sampler in self._samplers:
            atomic.write(self.folder / f"{sampler.name}.txt", sampler.record)

    def _run_phases(self) -> Measurement:
        log, fault = self.view.log, self.fault
        log(self.client, f"requesting {self._target} every {http_client.PERIOD * 1000:g} ms")
        if not self._wait_until(self._is_steady, STEADY_TIMEOUT):
            reasons = unhealthy_components(self._timelines) or list(
                http_client.failure_counts(self._requests)
            )
            raise ActionFailed(
                "no fault was injected, because the cluster is not steady: "
                + ("; ".join(reasons) or "the client's requests fail")
            )
        had_replica = fault.host in health.replica_nodes(self._samples)
        started = _utc()
        for each in (fault, *self.others):
            log(each.host, f"stopping {each.title}: {each.method}")
            self.journal.write(FaultInjected(each.kind, each.host, each.reboots, _utc()))
            self._injected_at = actions.inject(self.sessions, each, self.power)
        if not fault.reboots:
            self._wait_until(
                self._has_recovered, MAX_EVICTION if self._loses_replica else MAX_FAULT
            )
            self.before_revert()
            self._reverted_at = time.monotonic() - self._injected_at
            for each in (fault, *self.others):
                log(each.host, f"reverting: {each.title}")
                actions.revert(self.sessions, each, self.power)
        else:
            log(fault.host, "waiting for the reboot")
            self._wait_until(
                lambda: self._elapsed > MIN_FAULT and self._is_reachable(), REBOOT_TIMEOUT
            )
        for each in (fault, *self.others):
            self.journal.write(FaultReverted(each.kind, each.host, _utc()))
        if fault.kind in HOST_FAULTS:
            actions.lock_again(self.locks, fault.host)
        log("", "waiting until every component is healthy")
        if not self._wait_until(self._is_healthy, HEALTH_TIMEOUT):
            unhealthy = "; ".join(unhealthy_components(self._timelines))
            log("", f"unhealthy after {HEALTH_TIMEOUT:g} s: {unhealthy}")
        return self._measurement(started, had_replica)

    @property
    def _target(self) -> ClientTarget:
        return self.requested or http_client.apiserver(self.inventory.endpoint)

    @property
    def _loses_replica(self) -> bool:
        """Whether the cluster has to find out that a replica is lost with its node."""
        return bool(self.replicas) or self.fault.kind in COMPONENT_FAULTS

    def _not_missed(self) -> str:
        """Why the loss of a member was not noticed; empty if it was."""
        if self.drilled is None or self._is_missed(ComponentKind.MEMBER):
            return ""
        return f"{self.drilled.name} stayed Ready: Karmada reaches it on another way"

    # --- conditions ---

    @property
    def _elapsed(self) -> float:
        """Seconds since the injection."""
        return time.monotonic() - self._injected_at

    def _is_steady(self) -> bool:
        recent = [r for r in self._requests if r.ended > self._client_now - STEADY_FOR]
        return (
            len(recent) >= STEADY_FOR / http_client.PERIOD / 2
            and all(r.ok for r in recent)
            and bool(self._timelines)
            and all(t.healthy for t in self._timelines)
        )

    def _has_recovered(self) -> bool:
        """Whether everything is healthy that can be while the fault lasts."""
        if self._elapsed < MIN_FAULT or not is_settled(self._requests, self._client_now):
            return False
        if self.brief:
            return True
        if self.fault.kind in COMPONENT_FAULTS and not self._is_missed(ComponentKind.NODES):
            return False
        if self.drilled is not None and not self._is_missed(ComponentKind.MEMBER):
            return False
        watched = {t.kind: t for t in self._timelines if t.kind in RECOVERS_DURING_FAULT}
        if self.drilled is not None and not self.drilled.moves:
            del watched[ComponentKind.REPLICAS]
        if not all(t.healthy for t in watched.values()):
            return False
        # The loss of a host shows in the replicas at once; they have recovered only after that.
        replicas = watched.get(ComponentKind.REPLICAS)
        return (
            replicas is None
            or self.fault.kind not in (*HOST_FAULTS, FaultKind.MEMBER)
            or bool(replicas.unhealthy_intervals(0.0))
        )

    def _is_missed(self, kind: ComponentKind) -> bool:
        """Whether the cluster considers the node dead: only then do Services drop its pods.

        And whether Karmada considers the member not Ready.
        """
        missed = next(t for t in self._timelines if t.kind is kind)
        return bool(missed.unhealthy_intervals(0.0))

    def _is_healthy(self) -> bool:
        sampled_again = (
            self._reverted_at is None or self._elapsed > self._reverted_at + 2 * health.PERIOD + 1
        )
        return (
            sampled_again
            and is_settled(self._requests, self._client_now)
            and all(t.healthy for t in self._timelines)
        )

    def _is_reachable(self) -> bool:
        try:
            actions.run_script(
                self.sessions, self.fault.host, '[ "$(cut -d. -f1 /proc/uptime)" -lt 600 ]', 10
            )
        except ActionFailed:
            return False
        return True

    # --- records ---

    def _wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        def is_pending() -> bool:
            self._update()
            return not condition()

        return not wait_until(is_pending, timeout, POLL_INTERVAL)

    def _update(self) -> None:
        client, *watchers = self._samplers
        self._requests += http_client.parse_log(client.read()).requests
        for watcher in watchers:
            self._samples += self._by_first_watcher(watcher, watcher.read())
        self._samples.sort(key=lambda sample: sample.at)
        if time.monotonic() > self._updated + 1:
            self._updated = time.monotonic()
            zero = self._injected_at if self._injected_at < float("inf") else 0.0
            samples = measurement.relative_to(self._samples, zero + watchers[0].clock.offset)
            self._timelines = self._timelines_of(samples, time.monotonic() - zero)
        self.view.update(
            self._requests,
            self._client_now,
            self._elapsed,
            unhealthy_components(self._timelines),
        )

    @property
    def _client_now(self) -> float:
        return time.monotonic() + self._samplers[0].clock.offset

    def _by_first_watcher(self, watcher: RemoteSampler, raw: bytes) -> tuple[Sample, ...]:
        """The samples of a record, in the time of the first watcher's host."""
        ahead = watcher.clock.offset - self._samplers[1].clock.offset
        return measurement.relative_to(health.parse_samples(raw), ahead)

    def _timelines_of(self, samples: Sequence[Sample], until: float) -> tuple[HealthTimeline, ...]:
        of_cluster = 0 if self.drilled else self.replicas
        found = health.timelines(samples, self.inventory, of_cluster, self._dead(), until)
        if self.drilled is None:
            return found
        name, cut = self.drilled.name, (0.0, self._fault_end)
        if self._injected_at == float("inf"):
            cut = (0.0, 0.0)
        return (*found, *member_health.timelines(samples, name, self.replicas, cut))

    @property
    def _fault_end(self) -> float:
        return float("inf") if self._reverted_at is None else self._reverted_at

    def _dead(self) -> PoweredOff:
        if self.fault.kind not in HOST_FAULTS or self._injected_at == float("inf"):
            return ()
        return ((self.fault.host, 0.0, self._fault_end),)

    def _measurement(self, started: str, had_replica: bool) -> Measurement:
        client, *watchers = self._samplers
        end = self._elapsed
        injected_at = self._injected_at + client.clock.offset
        log = http_client.parse_log(client.record).since(injected_at)
        records = [s for w in watchers for s in self._by_first_watcher(w, w.record)]
        samples = measurement.relative_to(records, self._injected_at + watchers[0].clock.offset)
        before = [r.seconds for r in log.requests if r.ok and r.ended < 0]
        since = [r for r in log.requests if r.ended > 0]
        return Measurement(
            kind=self.fault.kind,
            host=self.fault.host,
            title=self.fault.title,
            method=self.fault.method,
            client=self.client,
            watcher=self.watcher,
            started=started,
            injected_at=injected_at,
            reverted_at=None if self._reverted_at is None else round(self._reverted_at, 2),
            ended=round(end, 2),
            requests=len(since),
            failed_requests=sum(not r.ok for r in since),
            failure_counts=http_client.failure_counts(since),
            downtimes=measurement.client_downtimes(log, end),
            max_client_gap=round(http_client.max_client_gap(log.requests), 2),
            median_latency=round(median(before), 3) if before else 0.0,
            components=measurement.components(self._timelines_of(samples, end)),
            leader_changes=measurement.leader_changes(samples, end),
            replicas=self.replicas,
            had_replica=had_replica,
            reboots=self.fault.reboots,
            invalid_because=measurement.invalid_because(log) or self._not_missed(),
            route=str(self._target),
            moves=self.drilled is not None and self.drilled.moves,
        )


def _utc() -> str:
    return results.utc(time.time())
