"""Chapters 1 and 2: kubectl talks to the cluster, and is no stranger to its version."""

from facts.kubectl import Parameters, Runtime


def test_runtime(kubectl: Runtime, parameters: Parameters) -> None:
    assert not kubectl.trouble
    assert kubectl.skew <= parameters.minor_skew
