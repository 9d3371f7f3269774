"""Beyond the baseline: the nodes and Pods reach the Pods of other nodes."""

from facts.pod_network import PodNetworkRuntime


def test_runtime(pod_network: PodNetworkRuntime) -> None:
    assert not pod_network.faults
