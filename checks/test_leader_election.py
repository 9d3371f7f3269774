"""Chapters 1 and 2: controller-manager and scheduler on every master, led by one that lives."""

from facts.leader_election import LeaderElectionParameters, LeaderElectionRuntime


def test_runtime(
    leader_election: LeaderElectionRuntime, parameters: LeaderElectionParameters
) -> None:
    assert not leader_election.faults
    assert leader_election.leader
    assert leader_election.age <= parameters.lease_seconds
