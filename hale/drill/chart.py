"""A drill as a picture: what the client got, and beneath it a lane for each thing watched.

SVG that stands by itself in a page, and one line of text for the terminal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from hale.drill.http_client import Request
from hale.drill.measurement import ClientDowntime, Measurement
from hale.report.jinja import templates

LEFT, WIDTH, RIGHT = 150, 1000, 20
# The scale of durations: logarithmic, from a quick answer to more than an ask may take.
FASTEST, SLOWEST, TALL = 0.01, 4.0, 130
LANE = 20


@dataclass(frozen=True)
class Scale:
    """From seconds to the picture's x; `since` and `until` are its ends."""

    since: float
    until: float

    def x(self, at: float) -> float:
        """Where that moment is, at an end for what lies beyond it."""
        at = min(max(at, self.since), self.until)
        return round(LEFT + (at - self.since) / (self.until - self.since) * WIDTH, 1)

    @property
    def ticks(self) -> list[float]:
        """Round seconds, some ten of them."""
        step = 10 ** math.floor(math.log10(self.until - self.since))
        for part in (10, 5, 2, 1):
            if (self.until - self.since) / (step / part) <= 14:
                step /= part
                break
        first = math.ceil(self.since / step)
        return [round(n * step, 3) for n in range(first, math.floor(self.until / step) + 1)]


def y(seconds: float) -> float:
    """The height of a duration; what is shorter or longer than the scale is at its end."""
    at = min(max(seconds, FASTEST), SLOWEST)
    return round(TALL * (1 - math.log(at / FASTEST) / math.log(SLOWEST / FASTEST)) + 10, 1)


def svg(drill: Measurement, asks: Sequence[Request], since: float, until: float) -> Any:
    """The picture from `since` to `until`, seconds around the moment of the taking away."""
    scale = Scale(since, max(until, since + 1))
    shown = [a for a in asks if scale.since <= a.began <= scale.until]
    path = "".join(f"M{scale.x(a.began)} {y(a.seconds)}h2" for a in shown if a.ok)
    failed = "".join(f"M{scale.x(a.began)} {y(a.seconds) - 3}v6" for a in shown if not a.ok)
    lanes = [("an answer", [(g.began, g.ended) for g in drill.gaps])]
    lanes += [
        (t.name, [(s.began, scale.until if s.ended is None else s.ended) for s in t.broken])
        for t in drill.things
    ]
    return (
        templates()
        .get_template("drill_chart.jinja2")
        .module.picture(  # type: ignore[attr-defined]
            drill=drill,
            scale=scale,
            y=y,
            ok=path,
            failed=failed,
            lanes=lanes,
            left=LEFT,
            right=LEFT + WIDTH,
            whole_width=LEFT + WIDTH + RIGHT,
            tall=TALL + 20,
            lane=LANE,
        )
    )


def zoom_until(gaps: Sequence[ClientDowntime], ended: float) -> float:
    """Until when the second picture goes, that shows the moment itself."""
    first = gaps[0].ended if gaps else 0.0
    return min(max(5.0, 1.5 * first), ended)


def sparkline(asks: Sequence[Request], until: float, width: int = 60) -> Text:
    """One line: of each moment how much was answered. Red where something failed."""
    shown = Text()
    since = min((a.began for a in asks), default=until)
    if until <= since:
        return shown
    moment = (until - since) / width
    counts = [[0, 0] for _ in range(width)]
    for ask in asks:
        at = min(int((ask.began - since) / moment), width - 1)
        if at >= 0:
            counts[at][ask.ok] += 1
    for bad, good in counts:
        if not bad + good:
            shown.append(" ")
        elif not good:
            shown.append("▁", "bold red")
        else:
            height = "▁▂▃▄▅▆▇█"[min(7, math.ceil(7 * good / (good + bad)))]
            shown.append(height, "red" if bad else "green")
    return shown
