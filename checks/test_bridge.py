"""Chapter 9 (3): the kernel has its switches for bridged packets."""

from facts.bridge import Runtime


def test_runtime(bridge: Runtime) -> None:
    assert bridge.exists
