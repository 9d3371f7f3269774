"""Charts of a drill: an SVG with the client's requests above a lane for each component, and a
sparkline for the terminal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from hale.drill.http_client import Request
from hale.model.drill import Downtime, Measurement
from hale.report.jinja import templates

LEFT, WIDTH, RIGHT = 150, 1000, 20
# The logarithmic scale of request durations in seconds, and its height.
FASTEST, SLOWEST, HEIGHT = 0.01, 4.0, 130
LANE = 20  # the height of a component's lane


@dataclass(frozen=True)
class Scale:
    """Maps seconds between `since` and `until` to x."""

    since: float
    until: float

    def x(self, at: float) -> float:
        """The x of a moment, clamped to the scale."""
        at = min(max(at, self.since), self.until)
        return round(LEFT + (at - self.since) / (self.until - self.since) * WIDTH, 1)

    @property
    def ticks(self) -> list[float]:
        """Round seconds, about ten of them."""
        step = 10 ** math.floor(math.log10(self.until - self.since))
        for part in (10, 5, 2, 1):
            if (self.until - self.since) / (step / part) <= 14:
                step /= part
                break
        first = math.ceil(self.since / step)
        return [round(n * step, 3) for n in range(first, math.floor(self.until / step) + 1)]


def y(seconds: float) -> float:
    """The y of a duration, clamped to the scale."""
    at = min(max(seconds, FASTEST), SLOWEST)
    return round(HEIGHT * (1 - math.log(at / FASTEST) / math.log(SLOWEST / FASTEST)) + 10, 1)


def svg(drill: Measurement, requests: Sequence[Request], since: float, until: float) -> Any:
    """The chart from `since` to `until`, in seconds relative to the injection."""
    scale = Scale(since, max(until, since + 1))
    shown = [r for r in requests if scale.since <= r.started <= scale.until]
    successful = "".join(f"M{scale.x(r.started)} {y(r.seconds)}h2" for r in shown if r.ok)
    failed = "".join(f"M{scale.x(r.started)} {y(r.seconds) - 3}v6" for r in shown if not r.ok)
    lanes = [("available", [(d.started, d.ended) for d in drill.downtimes])]
    lanes += [
        (
            c.kind,
            [
                (i.started, scale.until if i.ended is None else i.ended)
                for i in c.unhealthy_intervals
            ],
        )
        for c in drill.components
    ]
    return (
        templates()
        .get_template("drill_chart.jinja2")
        .module.chart(  # type: ignore[attr-defined]
            drill=drill,
            scale=scale,
            y=y,
            successful=successful,
            failed=failed,
            lanes=lanes,
            left=LEFT,
            right=LEFT + WIDTH,
            total_width=LEFT + WIDTH + RIGHT,
            plot_height=HEIGHT + 20,
            lane_height=LANE,
        )
    )


def zoom_until(downtimes: Sequence[Downtime], ended: float) -> float:
    """The end of the zoomed chart, which shows the injection and the first downtime."""
    first = downtimes[0].ended if downtimes else 0.0
    return min(max(5.0, 1.5 * first), ended)


def sparkline(requests: Sequence[Request], until: float, width: int = 60) -> Text:
    """One line: the share of successful requests over time, red where some failed."""
    line = Text()
    since = min((r.started for r in requests), default=until)
    if until <= since:
        return line
    step = (until - since) / width
    counts = [[0, 0] for _ in range(width)]
    for request in requests:
        at = min(int((request.started - since) / step), width - 1)
        if at >= 0:
            counts[at][request.ok] += 1
    for failed, successful in counts:
        if not failed + successful:
            line.append(" ")
        elif not successful:
            line.append("▁", "bold red")
        else:
            height = "▁▂▃▄▅▆▇█"[min(7, math.ceil(7 * successful / (successful + failed)))]
            line.append(height, "red" if failed else "green")
    return line
