"""Beyond the document: containerd and the kubelet use one driver of control groups."""

from facts.cgroup_driver import CgroupDriverPersisted


def test_persisted(cgroup_driver: CgroupDriverPersisted) -> None:
    assert cgroup_driver.kubelet == cgroup_driver.runtime
