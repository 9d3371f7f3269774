"""Chapter 3: the host has its planned address, and the VIP is not its own."""

from facts.address import Persisted, Runtime


def test_runtime(address: Runtime) -> None:
    assert address.up
    assert address.may_hold_vip or not address.vip_on


def test_persisted(address: Persisted) -> None:
    assert address.setters
    assert not address.vip_setters
