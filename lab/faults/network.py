"""Faults of chapter 3, beyond the baseline: the network between the hosts."""

from lab.faults.fault import HostFault, fail, unknown

REACH = "NET-REACH runtime @cluster"
PODS = "CMP-POD-NETWORK runtime @cluster"
WORKER = "k8s-node-01"
TABLE = "netdev fault"
NO_TABLE = f"nft delete table {TABLE}"


def on_arrival(*rules: str) -> str:
    """Rules that packets meet before the host's own firewall: a firewall in front of it."""
    return (
        f"nft add table {TABLE} && nft 'add chain {TABLE} in"
        " { type filter hook ingress device eth0 priority 0; }'"
        + "".join(f" && nft 'add rule {TABLE} in {rule}'" for rule in rules)
    )


FAULTS = (
    # --- NET-REACH ---
    HostFault(
        "a firewall in front of a master drops the API server's port",
        "k8s-master-03",
        on_arrival("tcp dport 6443 drop"),
        {
            REACH: fail(
                "TCP port 6443 of k8s-master-03 gives no answer to k8s-master-01, k8s-master-02, "
                "k8s-node-01 and k8s-node-02: packets are dropped"
            )
        },
        undo=NO_TABLE,
    ),
    HostFault(
        "a firewall in front of a master drops etcd's ports for one other",
        "k8s-master-02",
        on_arrival("ip saddr 10.208.1.191 tcp dport { 2379, 2380 } drop"),
        {REACH: fail("TCP port 2379 and 2380 of k8s-master-02 gives no answer to k8s-master-01:")},
        undo=NO_TABLE,
    ),
    HostFault(
        "a firewall in front of a worker drops what one master answers it",
        WORKER,
        on_arrival("ip saddr 10.208.1.192 tcp sport 16443 drop"),
        {REACH: fail("TCP port 16443 of k8s-master-02 gives no answer to k8s-node-01:")},
        undo=NO_TABLE,
    ),
    HostFault(
        "a worker's route to one master ends nowhere",
        WORKER,
        "ip route add unreachable 10.208.1.195",
        {
            REACH: fail(
                "TCP port 6443 and 16443 of k8s-master-03 is not reached from k8s-node-01: "
                "No route to host"
            )
        },
        undo="ip route del unreachable 10.208.1.195",
    ),
    HostFault(
        "a worker rejects the kubelet's port by ICMP",
        WORKER,
        "iptables -A INPUT -p tcp --dport 10250 -j REJECT",
        {
            REACH: fail("TCP port 10250 of k8s-node-01 is rejected for k8s-master-01, k8s-ma"),
            "FW-IPTABLES runtime": fail("--dport 10250 -j REJECT"),
        },
        undo="nft delete table ip filter",
    ),
    HostFault(
        "a master resets connections to a port where a process listens",
        "k8s-master-02",
        "iptables -A INPUT -s 10.208.1.195 -p tcp --dport 10250 -j REJECT --reject-with tcp-reset;"
        " nohup socat TCP-LISTEN:10250,reuseaddr,fork EXEC:/bin/cat >/dev/null 2>&1 & sleep 0.3",
        {
            REACH: unknown("TCP port 10250 of k8s-master-02 refuses k8s-master-03, and a process"),
            "FW-IPTABLES runtime": fail("--dport 10250 -j REJECT"),
            "NODE-PORTS-MASTER runtime": fail("and a process listens on 10250"),
        },
        undo="pkill -x socat; nft delete table ip filter",
    ),
    HostFault(
        "a worker's interface with a smaller MTU",
        WORKER,
        "ip link set eth0 mtu 1400",
        {
            REACH: fail(
                "packets of 1500 bytes do not come back from k8s-node-01 to k8s-master-01, "
                "k8s-master-02, k8s-master-03 and k8s-node-02, and smaller ones do"
            )
        },
        undo="ip link set eth0 mtu 1500",
    ),
    HostFault(
        "a path between two workers that loses large packets",
        "k8s-node-02",
        on_arrival("ip saddr 10.208.1.196 ip length > 1400 drop"),
        {
            REACH: fail(
                "packets of 1500 bytes do not come back from k8s-node-01 to k8s-node-02, and "
                "smaller ones do"
            )
        },
        undo=NO_TABLE,
    ),
    HostFault(
        "a worker that drops ICMP",
        WORKER,
        on_arrival("ip protocol icmp drop"),
        {REACH: unknown("k8s-node-01 gives no echo of ICMP to k8s-master-01, k8s-master-02, k8")},
        undo=NO_TABLE,
    ),
    HostFault(
        "a firewall in front of a worker drops what the cluster does not need",
        WORKER,
        on_arrival("tcp dport { 23, 6443 } drop"),
        undo=NO_TABLE,
    ),
)
