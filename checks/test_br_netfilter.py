"""Chapter 9 (2): the module that hands bridged packets to iptables."""

from facts.br_netfilter import BrNetfilterPersisted, BrNetfilterRuntime


def test_runtime(br_netfilter: BrNetfilterRuntime) -> None:
    assert br_netfilter.present


def test_persisted(br_netfilter: BrNetfilterPersisted) -> None:
    assert br_netfilter.named
    assert not br_netfilter.blocked
