"""Beyond the baseline: containerd and the kubelet use one cgroup driver."""

from facts.cgroup_driver import CgroupDriverPersisted


def test_persisted(cgroup_driver: CgroupDriverPersisted) -> None:
    assert cgroup_driver.kubelet == cgroup_driver.runtime
