"""Chapter 3: the image registry answers this host, and has what a node needs."""

from facts.registry import Runtime


def test_runtime(registry: Runtime) -> None:
    assert not registry.faults
