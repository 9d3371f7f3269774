"""Chapters 1 and 2: a healthy voting member of etcd on every master."""

from facts.etcd import Parameters, Runtime


def test_runtime(etcd: Runtime, parameters: Parameters) -> None:
    assert not etcd.faults
    assert etcd.lag <= parameters.lag
