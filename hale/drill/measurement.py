"""What a drill has measured, from its records. Pure.

All times are seconds since the moment at which the part was taken away.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from hale.drill import health, http_client
from hale.drill.health import HealthTimeline, PoweredOff, Sample
from hale.drill.http_client import Downtime, RequestLog
from hale.inventory.ini import Inventory

SETTLED = 3.0  # seconds without a failed ask, after which the client counts as served again


class Interval(msgspec.Struct, frozen=True):
    """From when to when; ended is None where it did not end while we looked."""

    began: float
    ended: float | None

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.began


class ClientDowntime(msgspec.Struct, frozen=True):
    """A stretch in which nobody answered the client, and how many of its asks failed in it."""

    began: float
    ended: float
    failed: int

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Component(msgspec.Struct, frozen=True):
    """Something that is watched, and when it was not whole. `now`: what was said last."""

    name: str
    broken: tuple[Interval, ...]
    now: str

    @property
    def whole_after(self) -> float | None:
        """When it was whole for good, 0 where it always was; None where it is not."""
        return self.broken[-1].ended if self.broken else 0.0


class LeaderChange(msgspec.Struct, frozen=True):
    """Who led before and after, and the longest time between two renewals of the lease."""

    name: str
    before: str
    after: str
    longest: float


class Measurement(msgspec.Struct, frozen=True):
    """One part's drill. given: when the part was given back (the order for it, not its effect).

    zero: the moment of the taking away by the client's own record, in seconds since boot.
    asks, failed: how many there were since it was taken away. pause: the longest time for which
    the client itself did not ask. doubt: why nothing may be concluded, "" where all is well.
    """

    part: str
    host: str
    title: str
    how: str
    client: str
    watcher: str
    began: str  # UTC, by the operator's clock
    zero: float
    given: float | None
    ended: float
    asks: int
    failed: int
    failures: dict[str, int]
    gaps: tuple[ClientDowntime, ...]
    pause: float
    median: float  # seconds that an ask took that was answered before anything was taken
    things: tuple[Component, ...]
    leaders: tuple[LeaderChange, ...]
    replicas: int
    on_victim: bool  # whether a replica was on the host that was lost
    reboots: bool
    doubt: str = ""

    @property
    def longest(self) -> float:
        """The longest time for which nobody answered."""
        return max((g.seconds for g in self.gaps), default=0.0)

    @property
    def total(self) -> float:
        """All such times together."""
        return sum(g.seconds for g in self.gaps)

    @property
    def healed(self) -> float | None:
        """When the Deployment's replicas were whole without the host; None where never."""
        found = next((t for t in self.things if t.name == "replicas"), None)
        if found is None or not found.broken:
            return None
        ended = found.broken[0].ended
        return ended if ended is not None and (self.given is None or ended <= self.given) else None


def is_settled(asked: Sequence[http_client.Request], now: float) -> bool:
    """Whether the client is served: answers lately, and no failure for a while."""
    lately = [a for a in asked[-400:] if a.ended > now - SETTLED]
    return any(a.ok and a.ended > now - 1 for a in lately) and all(a.ok for a in lately)


def invalid_because(asked: RequestLog) -> str:
    """Why the client's record proves nothing; "" where it does."""
    if not asked.asks:
        return "the client's record has no ask in it"
    if asked.backwards:
        return f"the clock of the client's host jumped ({asked.backwards} asks are out of order)"
    if asked.garbled:
        return f"{asked.garbled} lines of the client's record are not the client's"
    if not any(a.ok for a in asked.asks if a.ended < 0):
        return "nobody answered before anything was taken away"
    return ""


def client_downtimes(asked: RequestLog, until: float) -> tuple[ClientDowntime, ...]:
    """When nobody answered, since the part was taken away."""
    found: Sequence[Downtime] = http_client.downtimes(asked, until)
    return tuple(
        ClientDowntime(round(g.began, 3), round(g.ended, 3), g.failed) for g in found if g.ended > 0
    )


def components(
    samples: Sequence[Sample], known: Inventory, replicas: int, dead: PoweredOff, until: float
) -> tuple[Component, ...]:
    """What the watcher saw since the part was taken away."""
    return tuple(
        Component(t.name, tuple(_stretch(*pair) for pair in t.broken(0.0)), t.why)
        for t in health.tracks(samples, known, replicas, dead, until)
    )


def _stretch(began: float, ended: float | None) -> Interval:
    return Interval(round(began, 2), None if ended is None else round(ended, 2))


def leaders(samples: Sequence[Sample], until: float) -> tuple[LeaderChange, ...]:
    """Who led before and after, and how long nobody renewed."""
    found = []
    for name in health.LEADERS:
        seen = health.renewals(name, samples)
        times = [r.at for r in seen if r.at > -health.RENEWED] + [until]
        before = [r.holder for r in seen if r.at <= 0]
        longest = max((b - a for a, b in pairwise(times)), default=0.0)
        found.append(
            LeaderChange(
                name, before[-1] if before else "", seen[-1].holder if seen else "",
                round(longest, 2),
            )
        )  # fmt: skip
    return tuple(found)


def moved(samples: Sequence[Sample], zero: float) -> tuple[Sample, ...]:
    """The same in order of time, with times that count from `zero`."""
    found = (Sample(s.what, s.of, s.at - zero, s.told) for s in samples)
    return tuple(sorted(found, key=lambda s: s.at))


def unhealthy_components(found: Sequence[HealthTimeline]) -> list[str]:
    """What is not whole at the last look, with the reason."""
    return [f"{t.name}: {t.why}" for t in found if not t.whole]
