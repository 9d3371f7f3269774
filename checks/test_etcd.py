"""Chapters 1 and 2: a healthy voting member of etcd on every master."""

from facts.etcd import EtcdParameters, EtcdRuntime


def test_runtime(etcd: EtcdRuntime, parameters: EtcdParameters) -> None:
    assert not etcd.faults
    assert etcd.lag <= parameters.lag
