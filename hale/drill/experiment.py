"""One drill: wait for a steady cluster, inject the fault, watch it recover, revert, wait again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from hale.drill import actions, health, http_client, measurement
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
from hale.model.drill import COMPONENT_FAULTS, ComponentKind, Measurement
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

    requested: by the client; without, the apiserver through the VIP.
    brief: revert as soon as the client is served again, for a benchmark.
    """

    inventory: Inventory
    sessions: SessionPool
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
    _requests: list[Request] = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)
    _timelines: tuple[HealthTimeline, ...] = ()
    _injected_at: float = float("inf")
    _reverted_at: float | None = None
    _updated: float = 0.0

    def run(self) -> Measurement:
        """Run the drill, write its raw records to the folder and return what they show.

        Raises ActionFailed, SamplerStopped, KeyboardInterrupt, and UserError for a file that cannot
        be written; an injected fault is then left to `revert.revert_all`.
        """
        api = health.api_script(workload=bool(self.replicas))
        client, watcher = map(self.sessions.target, (self.client, self.watcher))
        self._samplers = (
            RemoteSampler(client, "client", http_client.client_script(self._target)),
            RemoteSampler(watcher, "etcd", health.etcd_script(self.inventory)),
            RemoteSampler(watcher, "api", api),
        )
        self.journal.write(SamplersStarted((self.client, self.watcher), _utc()))
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
        log(fault.host, f"stopping {fault.title}: {fault.method}")
        started = _utc()
        self.journal.write(FaultInjected(fault.kind, fault.host, fault.reboots, started))
        self._injected_at = actions.inject(self.sessions, fault, self.power)
        if not fault.reboots:
            self._wait_until(
                self._has_recovered, MAX_EVICTION if self._loses_replica else MAX_FAULT
            )
            log(fault.host, f"reverting: {fault.title}")
            self._reverted_at = time.monotonic() - self._injected_at
            actions.revert(self.sessions, fault, self.power)
        else:
            log(fault.host, "waiting for the reboot")
            self._wait_until(
                lambda: self._elapsed > MIN_FAULT and self._is_reachable(), REBOOT_TIMEOUT
            )
        self.journal.write(FaultReverted(fault.kind, fault.host, _utc()))
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
        if self.fault.kind in COMPONENT_FAULTS and not self._node_is_missed():
            return False
        watched = {t.kind: t for t in self._timelines if t.kind in RECOVERS_DURING_FAULT}
        if not all(t.healthy for t in watched.values()):
            return False
        # The loss of a host shows in the replicas at once; they have recovered only after that.
        replicas = watched.get(ComponentKind.REPLICAS)
        return (
            replicas is None
            or self.fault.kind not in HOST_FAULTS
            or bool(replicas.unhealthy_intervals(0.0))
        )

    def _node_is_missed(self) -> bool:
        """Whether the cluster considers the node dead: only then do Services drop its pods."""
        nodes = next(t for t in self._timelines if t.kind is ComponentKind.NODES)
        return bool(nodes.unhealthy_intervals(0.0))

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
            self._samples += health.parse_samples(watcher.read())
        if time.monotonic() > self._updated + 1:
            self._updated = time.monotonic()
            zero = self._injected_at if self._injected_at < float("inf") else 0.0
            samples = measurement.relative_to(self._samples, zero + watchers[0].clock.offset)
            self._timelines = health.timelines(
                samples, self.inventory, self.replicas, self._dead(), time.monotonic() - zero
            )
        self.view.update(
            self._requests,
            self._client_now,
            self._elapsed,
            unhealthy_components(self._timelines),
        )

    @property
    def _client_now(self) -> float:
        return time.monotonic() + self._samplers[0].clock.offset

    def _dead(self) -> PoweredOff:
        if self.fault.kind not in HOST_FAULTS or self._injected_at == float("inf"):
            return ()
        until = float("inf") if self._reverted_at is None else self._reverted_at
        return ((self.fault.host, 0.0, until),)

    def _measurement(self, started: str, had_replica: bool) -> Measurement:
        client, *watchers = self._samplers
        end = self._elapsed
        injected_at = self._injected_at + client.clock.offset
        log = http_client.parse_log(client.record).since(injected_at)
        records = [s for w in watchers for s in health.parse_samples(w.record)]
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
            components=measurement.components(
                samples, self.inventory, self.replicas, self._dead(), end
            ),
            leader_changes=measurement.leader_changes(samples, end),
            replicas=self.replicas,
            had_replica=had_replica,
            reboots=self.fault.reboots,
            invalid_because=measurement.invalid_because(log),
            route=str(self._target),
        )


def _utc() -> str:
    return results.utc(time.time())
