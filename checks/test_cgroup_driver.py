"""Beyond the document: containerd and the kubelet use one driver of control groups."""

from facts.cgroup_driver import Persisted


def test_persisted(cgroup_driver: Persisted) -> None:
    assert cgroup_driver.kubelet == cgroup_driver.runtime
