"""Beyond the baseline: the hosts reach each other, with packets of full size."""

from facts.net_reach import NetReachRuntime


def test_runtime(net_reach: NetReachRuntime) -> None:
    assert not net_reach.faults
