"""What one drill measured, computed from its records. Pure.

All times are seconds since the moment of injection.
"""

from collections.abc import Sequence
from itertools import pairwise

from hale.drill import health, http_client
from hale.drill.health import HealthTimeline, Sample
from hale.drill.http_client import RequestLog
from hale.model.drill import Component, Downtime, Interval, LeaderChange

SERVED_AFTER = 3.0  # seconds without a failed request until the client counts as served


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


def components(timelines: Sequence[HealthTimeline]) -> tuple[Component, ...]:
    """The health of each component since the injection."""
    return tuple(
        Component(t.kind, tuple(_interval(*pair) for pair in t.unhealthy_intervals(0.0)), t.detail)
        for t in timelines
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
