"""The counts of the last audits of the same selection, as the audit's page shows them."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from hale.model.results import EarlierRun, Results
from hale.model.verdict import Verdict

BAR = 100  # the width of the longest bar
#: What a bar is made of, from its left.
OPEN = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WAIVED)
VERDICTS = (*OPEN, Verdict.PASS, Verdict.NOT_APPLICABLE)


class BarPart(Struct, frozen=True):
    """A part of a bar: where it begins, and how wide it is; of BAR."""

    verdict: Verdict
    x: float
    width: float


class TrendRow(Struct, frozen=True):
    """One audit. run: its folder; "" for the one that the page is of."""

    run: str
    started: str
    counts: Mapping[Verdict, int]
    bar: Sequence[BarPart]


def trend(found: Results) -> list[TrendRow]:
    """This audit and those before it, the newest first; empty if there is none before it."""
    if not found.history:
        return []
    this = EarlierRun("", found.run.started, found.run.counts)
    runs = [(one, _counts(one)) for one in (this, *found.history)]
    most = max(sum(counts[v] for v in OPEN) for _, counts in runs)
    return [TrendRow(one.run, one.started, counts, _bar(counts, most)) for one, counts in runs]


def _counts(one: EarlierRun) -> dict[Verdict, int]:
    """Of every verdict; another run's file may hold any number."""
    return {v: max(0, one.counts.get(v.value, 0)) for v in VERDICTS}


def _bar(counts: Mapping[Verdict, int], most: int) -> list[BarPart]:
    parts, x = [], 0.0
    for verdict in OPEN:
        if counts[verdict]:
            width = round(BAR * counts[verdict] / most, 2)
            parts.append(BarPart(verdict, round(x, 2), width))
            x += width
    return parts
