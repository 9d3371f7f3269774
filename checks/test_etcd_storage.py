"""Beyond the baseline: etcd's database and its disk."""

from facts.etcd_storage import EtcdStorageParameters, EtcdStorageRuntime


def test_runtime(etcd_storage: EtcdStorageRuntime, parameters: EtcdStorageParameters) -> None:
    assert not etcd_storage.alarm
    assert etcd_storage.value <= parameters.most
