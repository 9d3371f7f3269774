"""Chapters 1 and 2: controller-manager and scheduler on every master, led by one that lives."""

from facts.leaders import Parameters, Runtime


def test_runtime(leaders: Runtime, parameters: Parameters) -> None:
    assert not leaders.faults
    assert leaders.leader
    assert leaders.age <= parameters.lease_seconds
