"""The faults that `invoke drill` can inject."""

from enum import StrEnum


class FaultKind(StrEnum):
    """What a fault stops. In the order of `invoke drill all`: the least disruptive first."""

    VIP = "vip"
    APISERVER = "apiserver"
    ETCD = "etcd"
    WORKER = "worker"
    MASTER = "master"
