"""Chapters 1, 3, 5: the apiserver answers through the VIP, and proves that it is the cluster's."""

from facts.apiserver_vip import ApiserverVipRuntime


def test_runtime(apiserver_vip: ApiserverVipRuntime) -> None:
    assert apiserver_vip.joined
    assert apiserver_vip.by_name.ok
    assert apiserver_vip.by_name.address == apiserver_vip.vip
    assert apiserver_vip.by_vip.ok
    assert apiserver_vip.by_vip.address == apiserver_vip.vip
    assert not apiserver_vip.astray
