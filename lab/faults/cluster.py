"""Faults of chapters 1 and 3: the VIP and what answers on it, etcd, addresses, identities."""

from collections.abc import Mapping
from pathlib import Path

from hale.shell import script_with
from lab.faults.baseline import CLONED_ID, STAND_IN, VIP_HOLDER
from lab.faults.fault import ExpectedResult, HostFault, fail, unknown
from lab.topology import HOSTS

HOST = "k8s-node-01"
ADDRESS = "10.208.1.196"
VIP = "10.208.1.190"
PKI = "/etc/kubernetes/pki"
INTERFACES = "/etc/network/interfaces"
_HERE = Path(__file__).parent
_TAKE_ADDRESS = script_with(_HERE / "take_address.sh", address=ADDRESS)
_RESTORE_ADDRESS = script_with(_HERE / "restore_address.sh", address=ADDRESS)
RESTART = "systemctl restart stand-in && sleep 0.3"
SOCAT = "nohup socat TCP-LISTEN:2379,reuseaddr,fork"


def everywhere(turn: ExpectedResult) -> dict[str, ExpectedResult]:
    """The row of the VIP on every host."""
    return {f"HA-APISERVER-VIP runtime @{host.name}": turn for host in HOSTS}


def answering(name: str, inject: str, turn: ExpectedResult) -> HostFault:
    """A fault of the server on the VIP."""
    return HostFault(
        name,
        VIP_HOLDER,
        f"cd {STAND_IN} && {inject} && {RESTART}",
        everywhere(turn),
        (STAND_IN,),
        undo=RESTART,
    )


def saying(name: str, answer: str, turn: ExpectedResult) -> HostFault:
    """An answer of HTTP other than `200 ok`, as printf writes it."""
    return answering(name, f"printf '{answer}' >answer", turn)


def etcd(
    name: str,
    inject: str,
    reason: str,
    files: tuple[str, ...] = (),
    undo: str = "",
    turns: Mapping[str, ExpectedResult] | None = None,
) -> HostFault:
    """A fault of etcd. Without a cluster its result fails for lack of etcd; the fault makes it
    fail for a reason of its own."""
    etcds = {"HA-ETCD-MEMBERS runtime @cluster": fail(reason)}
    return HostFault(name, "k8s-master-02", inject, {**etcds, **(turns or {})}, files, undo)


# What else a listener on etcd's port is on a host that has not joined.
TAKEN = {"NODE-PORTS-MASTER runtime": fail("has not joined, and a process listens on 2379")}


def taken(name: str, host: str, port: int, requirement: str) -> HostFault:
    """A program listens on a port that a component needs."""
    return HostFault(
        name,
        host,
        f"nohup socat TCP-LISTEN:{port},reuseaddr,fork EXEC:/bin/cat >/dev/null 2>&1 & sleep 0.3",
        {f"{requirement} runtime": fail(f"has not joined, and a process listens on {port}")},
        undo="pkill -x socat",
    )


def address(name: str, inject: str, reason: str) -> HostFault:
    """A fault in what the host reads at boot."""
    return HostFault(
        name, HOST, inject, {"NODES-ADDRESS persisted": fail(reason)}, ("/etc/network",)
    )


# Rows of what is enabled, on a host without a cluster.
RESCUE = {
    "NODES-ADDRESS persisted": fail("default.target has the next boot go to rescue.target"),
    "TIME-SYNC persisted": fail("default.target has the next boot go to rescue.target"),
}

FAULTS = (
    # --- HA-APISERVER-VIP ---
    HostFault(
        "nothing listens on the VIP",
        VIP_HOLDER,
        "systemctl stop stand-in",
        everywhere(fail("the connection was refused or has no route")),
        undo=RESTART,
    ),
    HostFault(
        "no host holds the VIP",
        VIP_HOLDER,
        f"ip address del {VIP}/32 dev eth0",
        everywhere(fail(f"https://{VIP}:16443/livez: n")),
        undo=f"ip address add {VIP}/32 dev eth0",
    ),
    answering(
        "certificate of another CA on the VIP",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
        " -subj /CN=kubernetes -keyout other.key -out other.crt 2>/dev/null &&"
        f" sh certificate server DNS:master.k8s.io,IP:{VIP} 30 other",
        fail("the certificate is not of the cluster's CA"),
    ),
    answering(
        "certificate signed by itself on the VIP",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
        f" -subj /CN=kubernetes -addext subjectAltName=DNS:master.k8s.io,IP:{VIP}"
        " -keyout self.key -out self.crt 2>/dev/null && cat self.key self.crt >server.pem",
        fail("the certificate is not of the cluster's CA"),
    ),
    answering(
        "certificate without the VIP",
        "sh certificate server DNS:master.k8s.io,DNS:k8s-vip,IP:10.208.1.191 30",
        fail(f"from {VIP}; https://{VIP}:16443/livez: the certificate"),
    ),
    answering(
        "certificate without the VIP's name",
        f"sh certificate server DNS:k8s-master-01,IP:{VIP} 30",
        fail("https://master.k8s.io:16443/livez: the certificate"),
    ),
    answering(
        "certificate out of date",
        f"sh certificate server DNS:master.k8s.io,IP:{VIP} -1",
        fail("the certificate is not of the cluster's CA, not valid now"),
    ),
    answering(
        "no TLS on the VIP",
        "sed -i 's/OPENSSL-LISTEN:16443/TCP-LISTEN:16443/; s/,cert=[^ ]*//' serve",
        fail("https://master.k8s.io:16443/livez: "),
    ),
    saying(
        "apiserver is not healthy",
        r"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\nlivez check failed",
        fail("HTTP 500 'livez check failed'"),
    ),
    saying(
        "something else answers on the VIP",
        r"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>ok</html>",
        fail("HTTP 200 '<html>ok</html>'"),
    ),
    saying(
        "VIP sends on to another address",
        r"HTTP/1.1 302 Found\r\nLocation: https://10.208.1.191/\r\nConnection: close\r\n\r\nok",
        fail("HTTP 302"),
    ),
    saying(
        "apiserver does not let a host ask",
        r"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\nok",
        unknown("does not authorize this host: HTTP 401"),
    ),
    saying(
        "connection closed without an answer",
        "",
        fail("the connection was closed without an answer"),
    ),
    HostFault(
        "host is not in the cluster",
        HOST,
        f"rm {PKI}/ca.crt",
        {"HA-APISERVER-VIP runtime": fail("this host is not in a cluster yet")},
        (PKI,),
    ),
    HostFault(
        "host has another cluster's CA, and curl is set to ignore it",
        HOST,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
        f" -subj /CN=kubernetes -keyout /dev/null -out {PKI}/ca.crt 2>/dev/null;"
        " echo insecure >/root/.curlrc",
        {"HA-APISERVER-VIP runtime": fail("the certificate is not of the cluster's CA")},
        (PKI, "/root/.curlrc"),
    ),
    HostFault(
        "proxy in the environment of logins",
        HOST,
        "printf 'https_proxy=http://10.208.1.1:1\\nhttp_proxy=http://10.208.1.1:1\\n'"
        " >>/etc/environment",
        files=("/etc/environment",),
    ),
    # --- HA-ETCD-MEMBERS ---
    etcd(
        "something that is no etcd on etcd's port",
        f"{SOCAT} EXEC:/bin/cat >/dev/null 2>&1 & sleep 0.3",
        "something listens on 2379, but /etc/kubernetes/pki/etcd/ca.crt is missing",
        undo="pkill -x socat",
        turns=TAKEN,
    ),
    etcd(
        "etcd's manifest without etcd",
        "mkdir -p /etc/kubernetes/manifests; : >/etc/kubernetes/manifests/etcd.yaml",
        "nothing listens on 2379 (although /etc/kubernetes/manifests/etcd.yaml is there)",
        ("/etc/kubernetes/manifests",),
        turns={
            "CP-MANIFEST-DRIFT runtime @cluster": fail(
                "k8s-master-01: there is no /etc/kubernetes/manifests/etcd.yaml"
            ),
            "DISK-ETCD runtime": unknown("is not the manifest of a Pod with one etcd"),
            "ETCD-SIZE runtime": unknown("/healthcheck-client.key is missing"),
            "ETCD-FSYNC runtime": unknown("/healthcheck-client.key is missing"),
        },
    ),
    etcd(
        "an etcd that reports no problem, with a certificate of its own",
        script_with(_HERE / "own_etcd.sh", pki=PKI),
        "did not sign",
        (PKI,),
        undo="pkill -x socat",
        turns=TAKEN,
    ),
    # --- NODES-ADDRESS ---
    address(
        "another address at boot",
        f"sed -i s/{ADDRESS}/10.208.1.77/ {INTERFACES}",
        f"nothing on this host sets {ADDRESS} at boot",
    ),
    address(
        "address by DHCP at boot",
        f"sed -i 's/inet static/inet dhcp/; /address/d; /gateway/d' {INTERFACES}",
        "asks DHCP, which may give another one",
    ),
    address(
        "interface not brought up at boot",
        f"sed -i 's/^auto eth0/#&/' {INTERFACES}",
        "no `auto eth0` brings it up at boot",
    ),
    address(
        "VIP set on the host at boot",
        f"printf 'auto lo:1\\niface lo:1 inet static\\n\\taddress {VIP}/32\\n'"
        f" >{INTERFACES}.d/vip; chmod 600 {INTERFACES}.d/vip",
        f"sets the VIP {VIP}: address {VIP}/32",
    ),
    HostFault(
        "what sets the address is not started at boot",
        HOST,
        "systemctl --quiet disable networking",
        {"NODES-ADDRESS persisted": fail(f"nothing on this host sets {ADDRESS} at boot")},
        undo="systemctl --quiet enable networking",
    ),
    address(
        "VIP added by a short command at boot",
        f"printf '\\tup ip a a {VIP}/32 dev lo\\n' >/run/l;"
        f" sed -i '/^iface lo inet loopback/r /run/l' {INTERFACES}; rm /run/l",
        f"sets the VIP {VIP}: up ip a a {VIP}/32 dev lo",
    ),
    HostFault(
        "VIP added by a unit of the site's own, in a script",
        HOST,
        f"printf '#!/bin/sh\\nVIP={VIP}\\nip ad ad $VIP/32 dev lo\\n' >/usr/local/sbin/vip.sh;"
        " chmod 755 /usr/local/sbin/vip.sh;"
        " printf '[Service]\\nExecStart=/usr/local/sbin/vip.sh\\n[Install]\\n"
        "WantedBy=multi-user.target\\n' >/etc/systemd/system/vip.service;"
        " systemctl --quiet enable vip",
        {"NODES-ADDRESS persisted": fail(f"/usr/local/sbin/vip.sh:3 sets the VIP {VIP}")},
        (
            "/usr/local/sbin/vip.sh",
            "/etc/systemd/system/vip.service",
            "/etc/systemd/system/multi-user.target.wants/vip.service",
        ),
    ),
    HostFault(
        "the next boot goes to the rescue target",
        HOST,
        "systemctl --quiet set-default rescue.target",
        RESCUE,
        ("/etc/systemd/system/default.target",),
    ),
    HostFault(
        "udev gives the card another name at boot",
        HOST,
        "mkdir -p /etc/systemd/network; printf '[Match]\\nMACAddress=%s\\n[Link]\\nName=lan0\\n'"
        ' "$(cat /sys/class/net/eth0/address)" >/etc/systemd/network/10-lan.link',
        {"NODES-ADDRESS persisted": fail("10-lan.link:4 names that card otherwise at boot")},
        ("/etc/systemd/network",),
    ),
    HostFault(
        "VIP on a worker",
        HOST,
        f"ip address add {VIP}/32 dev lo",
        {
            "NODES-ADDRESS runtime": fail(f"the VIP {VIP} is on lo, where nothing may put it"),
            "HA-APISERVER-VIP runtime": fail("the connection was refused"),
        },
        undo=f"ip address del {VIP}/32 dev lo",
        alone=True,
    ),
    HostFault(
        "planned address answered for, but on no interface",
        HOST,
        _TAKE_ADDRESS,
        {"NODES-ADDRESS runtime": fail(f"no interface has {ADDRESS}")},
        undo=_RESTORE_ADDRESS,
        alone=True,
    ),
    HostFault(
        "planned address on an interface that is down",
        HOST,
        f"{_TAKE_ADDRESS}ip link add spare type veth peer name other\n"
        f"ip address add {ADDRESS}/32 dev spare\n",
        {"NODES-ADDRESS runtime": fail(f"{ADDRESS} is on spare, which is not up")},
        undo=f"ip link del spare\n{_RESTORE_ADDRESS}",
        alone=True,
    ),
    # --- NODE-PORTS-* ---
    taken("apiserver's port taken before", "k8s-master-02", 6443, "NODE-PORTS-MASTER"),
    taken("kubelet's port taken before", HOST, 10250, "NODE-PORTS-WORKER"),
    # --- ID-* ---
    HostFault(
        "machine-id of a clone",
        HOST,
        f"cp {CLONED_ID} /etc/machine-id",
        {"ID-MACHINE-ID runtime @cluster": fail("have the same machine-id")},
        ("/etc/machine-id",),
    ),
    HostFault(
        "machine-id never set",
        HOST,
        "echo uninitialized >/etc/machine-id",
        {"ID-MACHINE-ID runtime @cluster": fail(f"{HOST} has no valid machine-id")},
        ("/etc/machine-id",),
    ),
    HostFault(
        "MAC address of another host",
        HOST,
        """ip link add spare address 02:00:0a:d0:01:c6 type veth peer name other
        ip address add 192.0.2.1/24 dev spare
        ip link set other up && ip link set spare up""",
        {"ID-MAC runtime @cluster": fail("have the same MAC address 02:00:0a:d0:01:c6")},
        undo="ip link del spare",
    ),
)
