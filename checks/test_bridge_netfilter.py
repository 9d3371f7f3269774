"""Chapter 9 (3): the kernel has its switches for bridged packets."""

from facts.bridge_netfilter import BridgeNetfilterRuntime


def test_runtime(bridge_netfilter: BridgeNetfilterRuntime) -> None:
    assert bridge_netfilter.exists
