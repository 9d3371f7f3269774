"""Chapter 3: the host has its planned address, and the VIP is not its own."""

from facts.address import AddressPersisted, AddressRuntime


def test_runtime(address: AddressRuntime) -> None:
    assert address.up
    assert address.may_hold_vip or not address.vip_on


def test_persisted(address: AddressPersisted) -> None:
    assert address.setters
    assert not address.vip_setters
