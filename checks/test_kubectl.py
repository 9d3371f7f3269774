"""Chapters 1 and 2: kubectl talks to the cluster, and is no stranger to its version."""

from facts.kubectl import KubectlParameters, KubectlRuntime


def test_runtime(kubectl: KubectlRuntime, parameters: KubectlParameters) -> None:
    assert not kubectl.trouble
    assert kubectl.skew <= parameters.minor_skew
