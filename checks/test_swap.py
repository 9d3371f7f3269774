"""Chapter 8: swap is off and stays off."""

from facts.swap import Persisted, Runtime


def test_runtime(swap: Runtime) -> None:
    assert not swap.active


def test_persisted(swap: Persisted) -> None:
    assert not swap.turns_on
