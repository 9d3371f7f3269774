"""Faults of a cluster's network: packets that get lost in front of a host."""

from lab.faults.fault import fail, unknown
from lab.faults.network import NO_TABLE, PODS, REACH, on_arrival
from tests.cluster.faults.fault import (
    ADDRESS,
    EVERY,
    FIRST,
    NODE,
    OTHER_NODE,
    SECOND,
    THIRD,
    Both,
    ClusterFault,
    each,
    on,
)

SUBNETS = "10.244.0.0/16"  # of the Pods
DNS = "CMP-COREDNS runtime @cluster"
FROM_THIRD = f"ip saddr {ADDRESS[THIRD]} ip daddr {SUBNETS}"
# The kernel remembers for ten minutes which packets were too large for a path.
BRIDGE = "[ ! -e /sys/class/net/cni0 ] || ip link set cni0 mtu {}; ip route flush cache"


def everywhere(inject: str, undo: str) -> Both:
    """Steps on every host: CoreDNS's Pods are on some of them."""
    return {
        "inject": tuple((host, inject) for host in EVERY),
        "undo": tuple((host, undo) for host in EVERY),
    }


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
        may=(PODS,),  # if the node has one of CoreDNS
        soak=True,
    ),
    ClusterFault(
        "a master has no route to the Pods",
        SECOND,
        **on(
            SECOND,
            f"ip rule add to {SUBNETS} priority 100 unreachable",
            f"ip rule del to {SUBNETS} priority 100 unreachable",
        ),
        turns={
            PODS: fail(f"is not reached over TCP from {SECOND}: "),
            DNS: fail(f"{SECOND}: 10.96.0.10 gives no answer"),
        },
        soak=True,
    ),
    ClusterFault(
        "CoreDNS's Pods get no packet over TCP from one node",
        OTHER_NODE,
        **everywhere(
            on_arrival(f"{FROM_THIRD} tcp dport 53 drop"),
            NO_TABLE,
        ),
        turns={PODS: fail(f"gives no answer over TCP to {THIRD}")},
        soak=True,
    ),
    ClusterFault(
        "CoreDNS's Pods get no packet over UDP from one node",
        OTHER_NODE,
        **everywhere(on_arrival(f"{FROM_THIRD} udp dport 53 drop"), NO_TABLE),
        turns={PODS: fail(f"gives no answer over UDP to {THIRD}")},
        may=(DNS,),  # unless the Service chooses that node's own Pod
        soak=True,
    ),
    ClusterFault(
        "CoreDNS's Pods get no packet over UDP from any other node",
        OTHER_NODE,
        **everywhere(
            on_arrival(f"ip saddr 10.208.1.0/24 ip daddr {SUBNETS} udp dport 53 drop"), NO_TABLE
        ),
        # The node that has the Pod gets its answer.
        turns={PODS: fail("gives no answer over UDP to ")},
        may=(DNS,),
        soak=True,
    ),
    ClusterFault(
        "CoreDNS hangs",
        OTHER_NODE,
        **everywhere(
            "! pgrep -x coredns >/dev/null || pkill -STOP -x coredns",
            "! pgrep -x coredns >/dev/null || pkill -CONT -x coredns",
        ),
        # Not ready soon, when the kubelets' probes have failed.
        turns={PODS: unknown("CoreDNS")},
        may=(DNS,),
        soak=True,
    ),
    ClusterFault(
        "CoreDNS's Pods get no packet from one node",
        OTHER_NODE,
        **everywhere(on_arrival(f"{FROM_THIRD} drop"), NO_TABLE),
        turns={PODS: fail(f"gives no answer over UDP to {THIRD}")},
        may=(DNS,),
        soak=True,
    ),
    ClusterFault(
        "Pods do not reach the Pods of other nodes",
        OTHER_NODE,
        **everywhere(
            on_arrival(f"ip saddr {SUBNETS} ip daddr {SUBNETS} tcp dport 53 drop"), NO_TABLE
        ),
        turns={PODS: fail("gives no answer over TCP to the Pod on ")},
        soak=True,
    ),
    ClusterFault(
        "the Pods' bridges have a smaller MTU than the nodes",
        OTHER_NODE,
        **everywhere(
            BRIDGE.format(1400),
            BRIDGE.format(1500),
        ),
        turns={PODS: fail("does not send packets of 1500 bytes back to ")},
        soak=True,
    ),
)
