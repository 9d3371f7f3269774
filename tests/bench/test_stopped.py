"""A measurement that is stopped still prints its ratio to the floor, by the runs that there are."""

import io

import pytest
from rich.console import Console

from bench.__main__ import show_until_now
from bench.contenders import RunResult

Rounds = list[list[float]]


@pytest.mark.parametrize(
    ("audit", "floor", "ratio"),
    [
        ([[3.0, 2.0, 2.6]], [[2.0, 2.0, 2.0]], "1.30 x (1.00 – 1.50)"),
        # The round in which it was stopped has no run of the floor yet, or one fewer.
        ([[2.4], [9.0]], [[2.0], []], "1.20 x (1.20 – 1.20)"),
        ([[2.4, 2.8]], [[2.0]], "1.30 x (1.30 – 1.30)"),
        ([[2.4]], [[]], ""),
        ([], [], ""),
    ],
)
def test_the_ratio_until_now(audit: Rounds, floor: Rounds, ratio: str) -> None:
    done = {
        key: [[RunResult(seconds, 1) for seconds in runs] for runs in rounds]
        for key, rounds in (("audit", audit), ("floor", floor))
    }
    printed = io.StringIO()
    show_until_now(done, Console(file=printed, width=200))
    assert printed.getvalue().strip().endswith(ratio)
    assert bool(printed.getvalue()) == bool(ratio)
