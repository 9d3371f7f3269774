"""Faults of a cluster's network: packets that get lost in front of a host."""

from lab.faults.fault import fail
from lab.faults.network import NO_TABLE, REACH, on_arrival
from tests.cluster.faults.fault import (
    ADDRESS,
    FIRST,
    NODE,
    OTHER_NODE,
    SECOND,
    THIRD,
    ClusterFault,
    each,
    on,
)

FAULTS = (
    ClusterFault(
        "a firewall in front of a master drops etcd's port for one other",
        SECOND,
        **on(SECOND, on_arrival(f"ip saddr {ADDRESS[FIRST]} tcp dport 2379 drop"), NO_TABLE),
        turns={REACH: fail(f"TCP port 2379 of {SECOND} gives no answer to {FIRST}:")},
        soak=True,
    ),
    ClusterFault(
        "a firewall in front of a worker drops the kubelet's port for one master",
        NODE,
        **on(NODE, on_arrival(f"ip saddr {ADDRESS[SECOND]} tcp dport 10250 drop"), NO_TABLE),
        turns={REACH: fail(f"TCP port 10250 of {NODE} gives no answer to {SECOND}:")},
        soak=True,
    ),
    ClusterFault(
        "a firewall in front of a master drops the load balancer's port",
        THIRD,
        **on(THIRD, on_arrival(f"ip daddr {ADDRESS[THIRD]} tcp dport 16443 drop"), NO_TABLE),
        turns={
            REACH: fail(
                f"TCP port 16443 of {THIRD} gives no answer to {FIRST}, {SECOND}, {NODE} and "
                f"{OTHER_NODE}:"
            )
        },
        soak=True,
    ),
    ClusterFault(
        "a firewall in front of a member drops the API server's port",
        THIRD,
        **on(THIRD, on_arrival("tcp dport 6443 drop"), NO_TABLE),
        turns={
            REACH: fail(f"TCP port 6443 of {THIRD} gives no answer to {FIRST}, {SECOND}, {NODE} a"),
            **each((FIRST, SECOND), "HA-LB-BACKENDS runtime", fail(f"{THIRD} is down for it")),
        },
        soak=True,
    ),
    ClusterFault(
        "a node's interface with a smaller MTU",
        OTHER_NODE,
        **on(OTHER_NODE, "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"),
        turns={
            REACH: fail(f"packets of 1500 bytes do not come back from {OTHER_NODE} to {FIRST},")
        },
        soak=True,
    ),
)
