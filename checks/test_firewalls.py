"""Beyond chapter 7: firewalls of another make."""

from facts.firewalls import FirewallsPersisted, FirewallsRuntime


def test_runtime(firewalls: FirewallsRuntime) -> None:
    assert not firewalls.drops


def test_persisted(firewalls: FirewallsPersisted) -> None:
    assert not firewalls.drops
