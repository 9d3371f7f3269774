"""Beyond the baseline: the cluster's nodes are the planned hosts, and can take pods."""

from facts.nodes import NodesRuntime


def test_runtime(nodes: NodesRuntime) -> None:
    assert nodes.nodes
    assert not nodes.faults
