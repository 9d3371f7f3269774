"""wait_until checks at least once, and returns what is missing when the time is over."""

import time

from hale.polling import wait_until


def test_it_ends_when_nothing_is_missing() -> None:
    missing = [["a", "b"], ["b"], [], ["never read"]]
    assert wait_until(lambda: missing.pop(0), 60, 0.001) == []
    assert missing == [["never read"]]


def test_it_returns_what_is_missing_when_the_time_is_over() -> None:
    began = time.monotonic()
    assert wait_until(lambda: "a reason", 0.05, 0.001) == "a reason"
    assert 0.05 <= time.monotonic() - began < 30


def test_it_checks_once_whatever_the_time() -> None:
    checks: list[int] = []
    assert wait_until(lambda: checks.append(1), 0, 60) is None
    assert checks == [1]


def test_it_gives_up_between_checks() -> None:
    checks: list[int] = []

    def missing() -> list[int]:
        checks.append(1)
        return checks

    assert wait_until(missing, 60, 0.001, give_up=lambda: len(checks) == 3) == [1, 1, 1]
