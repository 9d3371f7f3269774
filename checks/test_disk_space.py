"""Beyond the baseline: room on the file systems of the kubelet, containerd and etcd."""

from facts.disk_space import DiskSpaceParameters, DiskSpaceRuntime


def test_runtime(disk_space: DiskSpaceRuntime, parameters: DiskSpaceParameters) -> None:
    for found in disk_space.file_systems:
        assert found.space >= parameters.free_percent
        assert found.inodes is None or found.inodes >= parameters.free_inodes_percent
