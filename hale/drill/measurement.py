"""What one drill measured, computed from its records. Pure.

All times are seconds since the moment of injection.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from hale.drill import health, http_client
from hale.drill.health import ComponentKind, HealthTimeline, PoweredOff, Sample
from hale.drill.http_client import Downtime, RequestLog
from hale.inventory.ini import Inventory
from hale.model.drill import FaultKind

SERVED_AFTER = 3.0  # seconds without a failed request until the client counts as served


class Interval(msgspec.Struct, frozen=True, rename={"started": "began"}):
    """A time span; ended is None if it had not ended when the measurement did."""

    started: float
    ended: float | None

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.started


class Component(
    msgspec.Struct,
    frozen=True,
    rename={"kind": "name", "unhealthy_intervals": "broken", "last_detail": "now"},
):
    """A watched component and when it was unhealthy. last_detail: its last observed state."""

    kind: ComponentKind
    unhealthy_intervals: tuple[Interval, ...]
    last_detail: str

    @property
    def recovered_at(self) -> float | None:
        """When it became healthy for good: 0 if it always was, None if it is not."""
        return self.unhealthy_intervals[-1].ended if self.unhealthy_intervals else 0.0


class LeaderChange(msgspec.Struct, frozen=True, rename={"max_renewal_gap": "longest"}):
    """The leader before and after, and the longest time between two renewals of its lease."""

    name: str
    before: str
    after: str
    max_renewal_gap: float


class Measurement(
    msgspec.Struct,
    frozen=True,
    # The names in drill.json.
    rename={
        "kind": "part",
        "method": "how",
        "started": "began",
        "injected_at": "zero",
        "reverted_at": "given",
        "requests": "asks",
        "failed_requests": "failed",
        "failure_counts": "failures",
        "downtimes": "gaps",
        "max_client_gap": "pause",
        "median_latency": "median",
        "components": "things",
        "leader_changes": "leaders",
        "had_replica": "on_victim",
        "invalid_because": "doubt",
    },
):
    """One fault and its effect.

    injected_at: the moment of injection by the client host's clock, in seconds since its boot.
    reverted_at: when the revert was ordered, not when it took effect.
    requests, failed_requests: numbers since the injection.
    max_client_gap: the longest time between the starts of two requests.
    median_latency: seconds, of successful requests before the injection.
    had_replica: whether a replica of the workload ran on the host.
    invalid_because: why the measurement proves nothing; empty if it is valid.
    """

    kind: FaultKind
    host: str
    title: str
    method: str
    client: str
    watcher: str
    started: str  # UTC, by the operator's clock
    injected_at: float
    reverted_at: float | None
    ended: float
    requests: int
    failed_requests: int
    failure_counts: dict[str, int]
    downtimes: tuple[Downtime, ...]
    max_client_gap: float
    median_latency: float
    components: tuple[Component, ...]
    leader_changes: tuple[LeaderChange, ...]
    replicas: int
    had_replica: bool
    reboots: bool
    invalid_because: str = ""

    @property
    def longest_downtime(self) -> float:
        """In seconds."""
        return max((d.seconds for d in self.downtimes), default=0.0)

    @property
    def total_downtime(self) -> float:
        """In seconds."""
        return sum(d.seconds for d in self.downtimes)

    @property
    def replicas_recovered_at(self) -> float | None:
        """When all replicas were ready on the other hosts; None if that never happened."""
        workload = next((c for c in self.components if c.kind is ComponentKind.REPLICAS), None)
        if workload is None or not workload.unhealthy_intervals:
            return None
        ended = workload.unhealthy_intervals[0].ended
        in_time = self.reverted_at is None or (ended is not None and ended <= self.reverted_at)
        return ended if in_time else None


def is_settled(requests: Sequence[http_client.Request], now: float) -> bool:
    """Whether the client is served again: recent successes, and no failure for SERVED_AFTER."""
    recent = [r for r in requests[-400:] if r.ended > now - SERVED_AFTER]
    return any(r.ok and r.ended > now - 1 for r in recent) and all(r.ok for r in recent)


def invalid_because(log: RequestLog) -> str:
    """Why the client's log proves nothing; empty if it is valid."""
    if not log.requests:
        return "the client's log contains no request"
    if log.out_of_order:
        return f"the clock of the client's host jumped ({log.out_of_order} requests out of order)"
    if log.malformed:
        return f"lines in the client's log that the client did not write: {log.malformed}"
    if not any(r.ok for r in log.requests if r.ended < 0):
        return "no request succeeded before the fault was injected"
    return ""


def client_downtimes(log: RequestLog, until: float) -> tuple[Downtime, ...]:
    """The downtimes since the injection, rounded to milliseconds."""
    return tuple(
        Downtime(round(d.started, 3), round(d.ended, 3), d.failed_requests)
        for d in http_client.downtimes(log, until)
        if d.ended > 0
    )


def components(
    samples: Sequence[Sample], inventory: Inventory, replicas: int, dead: PoweredOff, until: float
) -> tuple[Component, ...]:
    """The health of each component since the injection."""
    return tuple(
        Component(t.kind, tuple(_interval(*pair) for pair in t.unhealthy_intervals(0.0)), t.detail)
        for t in health.timelines(samples, inventory, replicas, dead, until)
    )


def _interval(started: float, ended: float | None) -> Interval:
    return Interval(round(started, 2), None if ended is None else round(ended, 2))


def leader_changes(samples: Sequence[Sample], until: float) -> tuple[LeaderChange, ...]:
    """Each leader before and after the injection, and the longest gap between its renewals."""
    changes = []
    for name in health.LEADERS:
        observed = health.renewals(name, samples)
        times = [r.at for r in observed if r.at > -health.MAX_RENEWAL_GAP] + [until]
        before = [r.holder for r in observed if r.at <= 0]
        longest = max((b - a for a, b in pairwise(times)), default=0.0)
        changes.append(
            LeaderChange(
                name,
                before[-1] if before else "",
                observed[-1].holder if observed else "",
                round(longest, 2),
            )
        )
    return tuple(changes)


def relative_to(samples: Sequence[Sample], zero: float) -> tuple[Sample, ...]:
    """The samples in order of time, with times relative to `zero`."""
    shifted = (Sample(s.source, s.member, s.at - zero, s.answer) for s in samples)
    return tuple(sorted(shifted, key=lambda s: s.at))


def unhealthy_components(timelines: Sequence[HealthTimeline]) -> list[str]:
    """The components that are unhealthy at their last sample, each with the reason."""
    return [f"{t.kind}: {t.detail}" for t in timelines if not t.healthy]
