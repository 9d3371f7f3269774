"""Beyond the document: clocks that agree, for leases, certificates and logs."""

from facts.clock import Parameters, Runtime


def test_runtime(clock: Runtime, parameters: Parameters) -> None:
    assert clock.spread_seconds <= parameters.tolerance_seconds
