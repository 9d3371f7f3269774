"""Chapter 2: the federation, by Karmada's components, members, Leases and certificates."""

from facts.federation import FederationRuntime


def test_runtime(federation: FederationRuntime) -> None:
    assert federation.control_plane
    assert federation.members
    assert not federation.faults
