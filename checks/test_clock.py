"""Beyond the baseline: clocks that agree, for leases, certificates and logs."""

from facts.clock import ClockParameters, ClockRuntime


def test_runtime(clock: ClockRuntime, parameters: ClockParameters) -> None:
    assert clock.spread_seconds <= parameters.tolerance_seconds
