"""Chapters 1 and 3: exactly one master holds the VIP, and every master could take it."""

from facts.vip_owner import VipOwnerDrill, VipOwnerParameters, VipOwnerPersisted, VipOwnerRuntime


def test_runtime(vip_owner: VipOwnerRuntime) -> None:
    assert len(vip_owner.owners) == 1
    assert not vip_owner.idle


def test_persisted(vip_owner: VipOwnerPersisted) -> None:
    assert not vip_owner.faults


def test_drill(vip_owner: VipOwnerDrill, parameters: VipOwnerParameters) -> None:
    assert all(wait.seconds <= parameters.failover_seconds for wait in vip_owner.waits)
