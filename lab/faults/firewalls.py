"""Faults of chapter 7, beyond the baseline: rules of nftables, iptables and ufw."""

from pathlib import Path

from hale.shell import arguments, load_script, script_with
from lab.faults.fault import HostFault, fail, unknown

HERE = Path(__file__).parent
# The operator's ssh, and what a firewall of a site's own would accept.
OPEN = (22, 2379, 2380, 6443, 16443, 10250)
CONFIG = "/etc/nftables.conf"
NO_SITE = "nft delete table inet site"
NO_FILTER = "nft delete table ip filter"
DROPPED = "policy drop of input drops TCP port 10250 from k8s-master-01"
REACH = "NET-REACH runtime @cluster"
UNREACHED = fail("TCP port 10250 of k8s-node-01 gives no answer to k8s-master-01, k8s-master-02 a")


def _site(*without: int) -> str:
    """A firewall that drops what it does not name, as a script of nft."""
    ports = ", ".join(str(port) for port in OPEN if port not in without)
    return script_with(HERE / "firewall_nftables.sh", ports=ports)


FAULTS = (
    # --- FW-NFTABLES ---
    HostFault(
        "a firewall of nftables without the kubelet's port",
        "k8s-node-01",
        f"{{ {_site(10250)}}} | nft -f -",
        {"FW-NFTABLES runtime": fail(DROPPED), REACH: UNREACHED},
        undo=NO_SITE,
    ),
    HostFault(
        "a firewall of nftables without the kubelet's port, from the next boot on",
        "k8s-node-01",
        f"{{ {_site(10250)}}} >{CONFIG}; systemctl --quiet enable nftables",
        {
            "FW-NFTABLES persisted": fail(DROPPED),
            "FW-NFTABLES runtime": fail(DROPPED),
            REACH: UNREACHED,
        },
        files=(CONFIG, "/etc/systemd/system/sysinit.target.wants/nftables.service"),
        reboot=True,
    ),
    HostFault(
        "a firewall of nftables that drops what a set names",
        "k8s-master-03",
        "nft 'add table inet site;"
        " add set inet site bad { type ipv4_addr; elements = { 203.0.113.7 }; };"
        " add chain inet site input { type filter hook input priority 0; };"
        " add rule inet site input ip saddr @bad drop'",
        {"FW-NFTABLES runtime": unknown("perhaps: inet site input: ip saddr @bad drop drops")},
        undo=NO_SITE,
    ),
    HostFault(
        "a firewall of nftables that accepts what the cluster needs, now and at boots",
        "k8s-master-03",
        f"{{ {_site()}}} >{CONFIG}; nft -f {CONFIG}; systemctl --quiet enable nftables",
        files=(CONFIG, "/etc/systemd/system/sysinit.target.wants/nftables.service"),
        undo=NO_SITE,
    ),
    # --- FW-IPTABLES ---
    HostFault(
        "etcd's port dropped by iptables for one master",
        "k8s-master-02",
        "iptables -A INPUT -s 10.208.1.191 -p tcp --dport 2379 -j DROP",
        {
            "FW-IPTABLES runtime": fail(
                "--dport 2379 -j DROP drops TCP port 2379 from k8s-master-01"
            ),
            REACH: fail("TCP port 2379 of k8s-master-02 gives no answer to k8s-master-01:"),
        },
        undo=NO_FILTER,
    ),
    HostFault(
        "nothing forwarded by iptables' policy, as Docker leaves it",
        "k8s-node-01",
        "iptables -P FORWARD DROP",
        {"FW-IPTABLES runtime": fail("policy drop of FORWARD drops packets from Pod to Pod")},
        undo=f"iptables -P FORWARD ACCEPT; {NO_FILTER}",
    ),
    HostFault(
        "rules of iptables that reject the rest, from the next boot on",
        "k8s-node-01",
        load_script(HERE / "firewall_iptables.sh"),
        {
            "FW-IPTABLES persisted": fail("/etc/iptables/rules.v4:6 (-A INPUT -j REJECT"),
            "FW-IPTABLES runtime": fail("-A INPUT -j REJECT"),
            # The kernel sends few rejects a second (icmp_ratelimit of icmp(7)): to some masters
            # this is "No route to host", to others no answer.
            REACH: fail("TCP port 10250 of k8s-node-01 "),
        },
        files=(
            "/etc/iptables",
            "/etc/systemd/system/netfilter-persistent.service",
            "/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service",
        ),
        reboot=True,
    ),
    HostFault(
        "rules of iptables that drop what the cluster does not need",
        "k8s-master-02",
        "iptables -A INPUT -s 203.0.113.0/24 -j DROP; iptables -A INPUT -p tcp --dport 23 -j DROP",
        undo=NO_FILTER,
    ),
    # --- FW-UFW ---
    HostFault(
        "ufw active and enabled",
        "k8s-node-02",
        arguments("ufw-before-input", "ufw-user-input") + load_script(HERE / "firewall_ufw.sh"),
        {
            "FW-UFW runtime": fail("ufw is active: -A INPUT -j ufw-before-input"),
            "FW-UFW persisted": fail("/etc/ufw/ufw.conf:1 has ENABLED=yes"),
        },
        files=(
            "/etc/ufw",
            "/etc/default/ufw",
            "/etc/systemd/system/ufw.service",
            "/etc/systemd/system/multi-user.target.wants/ufw.service",
        ),
        undo=NO_FILTER,
    ),
)
