"""The lab's network: one namespace a host and one for the operator, on a bridge without uplink.

The operator's namespace holds the bridge and 10.208.1.1, the hosts' default gateway. It
forwards, because then what a host sends into the world is refused at once ("network
unreachable") and not swallowed; it has no route but the lab's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lab.errors import LabUnavailable
from lab.subprocesses import kill_process, run
from lab.topology import LAB_RANGES, NETWORK, OPERATOR_ADDRESS, HostSpec, mac_of, name_prefix

NETNS = Path("/run/netns")
BRIDGE = "br0"

#: Marks the lab's routes in the machine's namespace (rtm_protocol, rtnetlink(7)): ownership is
#: read from the route itself, so no state file can be wrong about it.
PROTOCOL = "208"

# What a kernel has that has just booted. A new namespace does not: it inherits ipv4's values
# from the machine (net.core.devconf_inherit_init_net, kernel's Documentation/admin-guide/sysctl).
_FRESH = """
net.ipv4.ip_forward=0
net.ipv4.conf.all.rp_filter=0
net.ipv4.conf.default.rp_filter=0
net.ipv6.conf.all.forwarding=0
net.bridge.bridge-nf-call-iptables=1
net.bridge.bridge-nf-call-ip6tables=1
net.bridge.bridge-nf-call-arptables=1
"""


def operator(lab: str) -> str:
    """Name of the operator's network namespace."""
    return f"{name_prefix(lab)}operator"


def of_host(lab: str, host: str) -> str:
    """Name of a host's network namespace."""
    return f"{name_prefix(lab)}{host}"


def block_lab_ranges(keep: Sequence[int] = ()) -> None:
    """Make the lab's addresses unreachable from the current namespace, the machine's.

    A range that already is unreachable is left alone. Raises LabUnavailable if the machine has a
    route to one of the addresses, because they may then be real hosts.
    """
    for network in LAB_RANGES:
        shown = run(["ip", "-json", "route", "show", "table", "all", "root", str(network)])
        routes = json.loads(shown.stdout or "[]")
        if ways := [r for r in routes if r.get("type", "unicast") in ("unicast", "local")]:
            raise LabUnavailable(
                f"this machine has a route to {ways[0]['dst']} (dev {ways[0].get('dev')}), and the "
                f"lab's hosts, pods or Services have addresses in {network}: on such a machine the "
                "lab could be mistaken for real hosts. Start it on a machine without that route."
            )
        if not any(r["dst"] == str(network) for r in routes):
            run(
                ["ip", "route", "add", "unreachable", str(network), "proto", PROTOCOL],
                keep=keep,
            )


def unblock_lab_ranges(keep: Sequence[int] = ()) -> None:
    """Remove the unreachable routes that `block_lab_ranges` added, and no others."""
    for network in LAB_RANGES:
        mine = ["type", "unreachable", "exact", str(network), "proto", PROTOCOL]
        if run(["ip", "route", "show", *mine]).stdout.strip():
            route = ["unreachable", str(network), "proto", PROTOCOL]
            run(["ip", "route", "del", *route], keep=keep)


def create_operator(lab: str, keep: Sequence[int]) -> None:
    """Create the operator's namespace with the bridge.

    The bridge has a MAC address of its own. Otherwise it takes one of its links', and another one
    after a power cut, while the hosts send to the old one for some seconds (arp(7)).
    """
    name = operator(lab)
    run(["ip", "netns", "add", name], keep=keep)
    batch = f"""
link set lo up
link add {BRIDGE} address {mac_of(OPERATOR_ADDRESS)} type bridge
addr add {OPERATOR_ADDRESS}/{NETWORK.prefixlen} dev {BRIDGE}
link set {BRIDGE} up
"""
    run(["ip", "-netns", name, "-batch", "-"], input=batch, keep=keep)
    # Every packet to an absent address gets its ICMP error at once (icmp(7)), without a rate limit.
    _sysctl(name, "net.ipv4.ip_forward=1\nnet.ipv4.icmp_ratelimit=0", keep)


def plug_in(lab: str, host: HostSpec, keep: Sequence[int]) -> None:
    """Create a host's namespace as a booting kernel would, and its link to the bridge.

    The host brings the interface up itself, from its own /etc/network/interfaces.
    """
    name = of_host(lab, host.name)
    run(["ip", "netns", "add", name], keep=keep)
    _sysctl(name, _FRESH, keep)
    batch = f"""
link add {host.name} type veth peer name eth0 address {host.mac} netns {name}
link set {host.name} master {BRIDGE} up
"""
    run(["ip", "-netns", operator(lab), "-batch", "-"], input=batch, keep=keep)


def refresh_arp(lab: str, host: HostSpec) -> None:
    """Flush a failed ARP entry of the host from the operator's kernel, if there is one.

    The kernel resolves an address three times, a second apart (arp(7)), for instance for an old
    connection's data. If the host comes up after the third attempt it is reachable, but a
    connection within that second still fails with "no route to host".
    """
    command = ["neigh", "flush", "to", str(host.address), "dev", BRIDGE]
    run(["ip", "-netns", operator(lab), *command])


def unplug(lab: str, host: HostSpec, keep: Sequence[int]) -> None:
    """Remove a host's link to the bridge, if there is one.

    Before the host is killed, so that it cannot say goodbye: the kernel would close its
    connections. And before its namespace is removed: the kernel takes that apart a moment later,
    and a new cable of the same name could meet the old one.
    """
    if (NETNS / operator(lab)).exists():
        run(
            ["ip", "-netns", operator(lab), "link", "del", host.name],
            check=False,
            keep=keep,
        )


def remove(lab: str, host: HostSpec, keep: Sequence[int]) -> None:
    """Remove a host's namespace with all that is in it; fine if there is none."""
    _delete(NETNS / of_host(lab, host.name), keep)


def remove_all(lab: str, keep: Sequence[int]) -> None:
    """Remove every namespace whose name begins with the lab's prefix."""
    for path in sorted(NETNS.glob(f"{name_prefix(lab)}*")):
        _delete(path, keep)


def _delete(path: Path, keep: Sequence[int]) -> None:
    if path.exists() and run(["ip", "netns", "del", path.name], check=False, keep=keep).returncode:
        path.unlink(missing_ok=True)  # `ip netns add` was killed before it mounted


def kill_inside(lab: str) -> None:
    """SIGKILL what still runs in the lab's namespaces, for instance started by the operator."""
    inodes = {path.stat().st_ino for path in NETNS.glob(f"{name_prefix(lab)}*")}
    for process in Path("/proc").glob("[0-9]*"):
        is_inside = partial(_is_in, process, inodes)
        if is_inside() and int(process.name) != os.getpid():
            kill_process(int(process.name), is_inside)


def _is_in(process: Path, inodes: set[int]) -> bool:
    try:
        return (process / "ns/net").stat().st_ino in inodes
    except OSError:
        return False


def release(keep: Sequence[int]) -> None:
    """Undo the mount that the first `ip netns add` of a machine makes, if no namespace is left.

    See ip-netns(8). The kernel refuses it while a namespace of another program is there.
    """
    if NETNS.is_mount() and not any(NETNS.iterdir()):
        run(["umount", str(NETNS)], check=False, keep=keep)


def labs() -> set[str]:
    """Names of the labs that have a network namespace."""
    return {path.name.split(".")[1] for path in NETNS.glob("hale.*.*")}


def inside(netns: str, argv: Sequence[str]) -> list[str]:
    """`argv` turned into a command that runs in a network namespace.

    Not by `ip netns exec`, which makes a mount namespace and a /sys for each command besides:
    those are locks that all labs of a machine share, and a login would wait for them.
    """
    return ["nsenter", f"--net={NETNS / netns}", *argv]


def _sysctl(netns: str, settings: str, keep: Sequence[int]) -> None:
    run(inside(netns, ["sysctl", "-q", "-e", "-p-"]), input=settings, keep=keep)
