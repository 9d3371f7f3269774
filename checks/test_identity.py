"""Beyond the baseline: no two hosts with the same machine-id, hardware UUID or MAC address."""

from facts.identity import IdentityRuntime


def test_runtime(identity: IdentityRuntime) -> None:
    assert not identity.shared
    assert not identity.unset
