"""One part's drill: steady before, taken away, healed as far as it can be, given back, whole."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from hale.drill import actions, health, http_client, measurement
from hale.drill.actions import ActionFailed
from hale.drill.fault import POWER, Fault, Power
from hale.drill.health import HealthTimeline, PoweredOff, Sample
from hale.drill.http_client import Request
from hale.drill.journal import DrillJournal, FaultInjected, FaultReverted, SamplersStarted
from hale.drill.live_view import LiveView
from hale.drill.measurement import Measurement, is_settled, unhealthy_components
from hale.drill.sampler import RemoteSampler
from hale.inventory.ini import Inventory
from hale.model import results
from hale.ssh import TARGETS

EVERY = 0.25  # seconds between two looks at the records
STEADY = 2.0  # seconds of nothing but answers before anything is taken
# Seconds: to become steady; that an outage lasts at least, so that leaders show whether they
# are renewed; at most, where nothing is to heal; at most, where Pods are to come back elsewhere;
# for a host to be there again after a reboot; for the cluster to be whole.
PREPARE, LEAST, MOST, HEAL, REBOOT, WHOLE = 40.0, 8.0, 60.0, 240.0, 600.0, 300.0


@dataclass
class DrillRun:
    """replicas: of the Deployment that is spread out, 0 for none."""

    known: Inventory
    folder: Path
    outage: Fault
    client: str
    watcher: str
    replicas: int
    power: Power | None
    book: DrillJournal
    screen: LiveView
    brief: bool = False  # as soon as the client is served again, for a benchmark
    _asked: list[Request] = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)
    _tracks: tuple[HealthTimeline, ...] = ()
    _zero: float = float("inf")
    _given: float | None = None
    _tracked: float = 0.0

    def carry_out(self) -> Measurement:
        """Do it, leave the records in the folder, and say what they say.

        Raises Failed, LoopEnded and KeyboardInterrupt with whatever is taken left to
        `restore.put_back`.
        """
        api = health.api_script(spread=bool(self.replicas))
        self._loops = (
            RemoteSampler(
                TARGETS[self.client], "client", http_client.client_script(self.known.endpoint)
            ),
            RemoteSampler(TARGETS[self.watcher], "etcd", health.etcd_script(self.known)),
            RemoteSampler(TARGETS[self.watcher], "api", api),
        )
        self.book.write(SamplersStarted((self.client, self.watcher), _utc()))
        try:
            for loop in self._loops:
                loop.start()
            return self._measure()
        finally:
            self.folder.mkdir(exist_ok=True)
            for loop in self._loops:
                loop.stop()
                self.folder.joinpath(f"{loop.name}.txt").write_bytes(loop.record)

    def _measure(self) -> Measurement:
        told, outage = self.screen.told, self.outage
        told(
            self.client,
            f"asks {http_client.url(self.known.endpoint)} every {http_client.PERIOD * 1000:g} ms",
        )
        if not self._until(self._steady, PREPARE):
            ill = unhealthy_components(self._tracks) or list(
                http_client.failure_counts(self._asked)
            )
            raise ActionFailed(
                "nothing was taken away, because the cluster is not steady: "
                + ("; ".join(ill) or "the client gets no answers")
            )
        on_victim = outage.host in health.nodes_of(self._samples)
        told(outage.host, f"taking away {outage.title}: {outage.how}")
        began = _utc()
        self.book.write(FaultInjected(outage.part, outage.host, outage.reboots, began))
        self._zero = actions.inject(outage, self.power)
        if not outage.reboots:
            self._until(self._served, HEAL if self.replicas else MOST)
            told(outage.host, f"giving back {outage.title}")
            self._given = time.monotonic() - self._zero
            actions.revert(outage, self.power)
        else:
            told(outage.host, "waiting for its reboot")
            self._until(lambda: self._since > LEAST and self._answers(), REBOOT)
        self.book.write(FaultReverted(outage.part, outage.host, _utc()))
        told("", "waiting until all is whole")
        if not self._until(self._whole, WHOLE):
            told(
                "", f"not whole after {WHOLE:g} s: {'; '.join(unhealthy_components(self._tracks))}"
            )
        return self._said(began, on_victim)

    # --- conditions ---

    @property
    def _since(self) -> float:
        return time.monotonic() - self._zero

    def _steady(self) -> bool:
        lately = [a for a in self._asked if a.ended > self._client_now - STEADY]
        return (
            len(lately) >= STEADY / http_client.PERIOD / 2
            and all(a.ok for a in lately)
            and bool(self._tracks)
            and all(t.whole for t in self._tracks)
        )

    def _served(self) -> bool:
        """Whether all is whole that can be while the part is away."""
        if self._since < LEAST or not is_settled(self._asked, self._client_now):
            return False
        if self.brief:
            return True
        wanted = ("etcd quorum", "replicas", *health.LEADERS)
        broken = {t.name: t.broken(0.0) for t in self._tracks if t.name in wanted}
        if any(not t.whole for t in self._tracks if t.name in wanted):
            return False
        # The loss of a host shows in the replicas at once: they are 'whole' only after that.
        return "replicas" not in broken or self.outage.part not in POWER or bool(broken["replicas"])

    def _whole(self) -> bool:
        enough = self._given is None or self._since > self._given + 2 * health.PERIOD + 1
        return (
            enough
            and is_settled(self._asked, self._client_now)
            and all(t.whole for t in self._tracks)
        )

    def _answers(self) -> bool:
        try:
            actions.run_script(self.outage.host, '[ "$(cut -d. -f1 /proc/uptime)" -lt 600 ]', 10)
        except ActionFailed:
            return False
        return True

    # --- looking ---

    def _until(self, condition: Callable[[], bool], most: float) -> bool:
        end = time.monotonic() + most
        while time.monotonic() < end:
            self._look()
            if condition():
                return True
            time.sleep(EVERY)
        return False

    def _look(self) -> None:
        client, *watchers = self._loops
        self._asked += http_client.parse_log(client.read()).asks
        for watcher in watchers:
            self._samples += health.parse_samples(watcher.read())
        if time.monotonic() > self._tracked + 1:
            self._tracked = time.monotonic()
            zero = self._zero if self._zero < float("inf") else 0.0
            samples = measurement.moved(self._samples, zero + watchers[0].clock.offset)
            now = time.monotonic() - zero
            self._tracks = health.tracks(samples, self.known, self.replicas, self._dead(), now)
        self.screen.show(
            self._asked, self._client_now, self._since, unhealthy_components(self._tracks)
        )

    @property
    def _client_now(self) -> float:
        return time.monotonic() + self._loops[0].clock.offset

    def _dead(self) -> PoweredOff:
        if self.outage.part not in POWER or self._zero == float("inf"):
            return ()
        return ((self.outage.host, 0.0, float("inf") if self._given is None else self._given),)

    def _said(self, began: str, on_victim: bool) -> Measurement:
        client, *watchers = self._loops
        end = self._since
        asked = http_client.parse_log(client.record).since(self._zero + client.clock.offset)
        seen = [s for w in watchers for s in health.parse_samples(w.record)]
        samples = measurement.moved(seen, self._zero + watchers[0].clock.offset)
        before = [a.seconds for a in asked.asks if a.ok and a.ended < 0]
        since = [a for a in asked.asks if a.ended > 0]
        return Measurement(
            part=self.outage.part,
            host=self.outage.host,
            title=self.outage.title,
            how=self.outage.how,
            client=self.client,
            watcher=self.watcher,
            began=began,
            zero=self._zero + client.clock.offset,
            given=None if self._given is None else round(self._given, 2),
            ended=round(end, 2),
            asks=len(since),
            failed=sum(not a.ok for a in since),
            failures=http_client.failure_counts(since),
            gaps=measurement.client_downtimes(asked, end),
            pause=round(http_client.max_client_gap(asked.asks), 2),
            median=round(median(before), 3) if before else 0.0,
            things=measurement.components(samples, self.known, self.replicas, self._dead(), end),
            leaders=measurement.leaders(samples, end),
            replicas=self.replicas,
            on_victim=on_victim,
            reboots=self.outage.reboots,
            doubt=measurement.invalid_because(asked),
        )


def _utc() -> str:
    return results.utc(time.time())
