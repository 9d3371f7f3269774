"""Waiting for something that reports why it is not there yet."""

import time
from collections.abc import Callable
from typing import TypeVar

Missing = TypeVar("Missing")


def wait_until(
    check: Callable[[], Missing],
    timeout: float,
    interval: float,
    give_up: Callable[[], object] = lambda: False,
) -> Missing:
    """Call `check` until nothing is missing; returns what it found last.

    check: what is still missing; anything falsy ends the wait. timeout, interval: seconds; there
    is always one check, and the last one begins after `timeout`. give_up: called after each check
    that found something.
    """
    end = time.monotonic() + timeout
    while (missing := check()) and not give_up() and time.monotonic() <= end:
        time.sleep(interval)
    return missing
