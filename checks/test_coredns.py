"""Chapter 2: CoreDNS on different nodes, and a Service's name found from every node."""

from facts.coredns import CorednsRuntime


def test_runtime(coredns: CorednsRuntime) -> None:
    assert coredns.nodes
    assert not coredns.faults
