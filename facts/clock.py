"""How far apart the hosts' clocks are.

Each host's clock is read when its answer is complete, and compared with the operator's clock.
That one may be wrong itself, so only differences between hosts are judged. The time in transit
makes a host look late: by milliseconds, or by seconds where a machine or the network is busy. It is
at most what the request took beyond the script's own duration on the host. A difference that it may
explain is no fault, and one that it may hide is not excluded: both are UNKNOWN.

Sources: etcd's rafthttp prober, which warns of more than one second between members; date(1).
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, ConfigLine, Probe, Unreadable
from hale.model.requirement import Case


class ClockParameters(Struct, frozen=True):
    """The largest difference between two hosts' clocks, in seconds."""

    tolerance_seconds: float


class Offset(Struct, frozen=True):
    """How far a host's clock is ahead of the operator's, in seconds; it may be `delay` more."""

    host: str
    seconds: float
    delay: float = 0.0


class ClockRuntime(Struct, frozen=True):
    """The hosts' clocks, the furthest ahead first."""

    offsets: tuple[Offset, ...]
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def spread_seconds(self) -> float:
        """The difference between the clock furthest ahead and the one furthest behind, in s."""
        return self.offsets[0].seconds - self.offsets[-1].seconds if self.offsets else 0.0

    @property
    def proven_seconds(self) -> float:
        """What of it is no delay of an answer, in s."""
        ahead = max((o.seconds for o in self.offsets), default=0.0)
        return max(0.0, ahead - min((o.seconds + o.delay for o in self.offsets), default=0.0))

    @property
    def possible_seconds(self) -> float:
        """The largest difference that the delays may hide, in s."""
        last = sorted(self.offsets, key=lambda o: o.seconds)[:2]
        return max(
            (
                ahead.seconds + ahead.delay - next(b.seconds for b in last if b is not ahead)
                for ahead in (self.offsets if len(last) == 2 else ())
            ),
            default=0.0,
        )

    @property
    def actual(self) -> str:
        first, last = self.offsets[0], self.offsets[-1]
        if first is last:
            text = f"{first.host} is the only host: there is no clock to compare with"
        else:
            text = (
                f"{first.host}'s clock is {self.spread_seconds:.3f} s ahead of {last.host}'s; "
                "against the operator's: "
                + ", ".join(f"{o.host} {o.seconds:+.3f} s" for o in self.offsets)
            )
        return "; ".join([text, *self.unread])

    @property
    def settled(self) -> str:
        """The hosts whose clocks were compared, in the order of their names."""
        hosts = sorted(offset.host for offset in self.offsets)
        return "; ".join([f"clocks of {', '.join(hosts)}", *self.unread])


def probes(host: Host, cases: Sequence[Case[ClockParameters]]) -> tuple[Probe, ...]:
    """No probe of its own: every answer of a host ends with its clock."""
    return ()


def read_runtime(readings: ClusterView, case: Case[ClockParameters]) -> ClockRuntime:
    """All clocks. Raises Unreadable where one is missing and the others prove no fault."""
    offsets: list[Offset] = []
    unread = [f"{h.name}: not audited" for h in case.inventory.hosts if h.name not in readings]
    for host, its in readings.items():
        try:
            offsets.append(Offset(host, its.clock_offset, its.clock_delay))
        except Unreadable as error:
            unread.append(f"{host}: {error}")
    fact = ClockRuntime(
        tuple(sorted(offsets, key=lambda o: o.seconds, reverse=True)), tuple(unread)
    )
    if fact.proven_seconds <= case.parameters.tolerance_seconds < fact.possible_seconds:
        late = max(offsets, key=lambda o: o.delay)
        raise Unreadable(
            f"{fact.actual}; but the answer of {late.host} was up to {late.delay:.3f} s in "
            f"transit, so the difference is between {fact.proven_seconds:.3f} and "
            f"{fact.possible_seconds:.3f} s: run it again"
        )
    if unread and fact.spread_seconds <= case.parameters.tolerance_seconds:
        raise Unreadable("; ".join(unread))
    if not offsets:
        raise Unreadable("no host was audited")
    return fact
