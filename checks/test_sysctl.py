"""Chapter 9 (1): forwarding, and bridged packets through iptables."""

from facts.sysctl import Parameters, Persisted, Runtime


def test_runtime(sysctl: Runtime, parameters: Parameters) -> None:
    assert sysctl.value == parameters.value


def test_persisted(sysctl: Persisted, parameters: Parameters) -> None:
    assert sysctl.value == parameters.value
    assert not sysctl.differs  # not only thanks to /run, and not spoiled by it
