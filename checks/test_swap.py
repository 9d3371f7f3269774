"""Chapter 8: swap is off and stays off."""

from facts.swap import SwapPersisted, SwapRuntime


def test_runtime(swap: SwapRuntime) -> None:
    assert not swap.active


def test_persisted(swap: SwapPersisted) -> None:
    assert not swap.enables_swap
