"""Chapter 3: the image registry answers this host, and has what a node needs."""

from facts.registry import RegistryRuntime


def test_runtime(registry: RegistryRuntime) -> None:
    assert not registry.faults
