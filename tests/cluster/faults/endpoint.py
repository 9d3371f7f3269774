"""Faults of the endpoint: load balancer, VIP, and who answers on it."""

from facts.parsers import vip_config
from lab.faults.fault import fail, unknown
from lab.faults.network import REACH
from tests.cluster.faults.fault import (
    EVERY,
    FIRST,
    MASTERS,
    NODE,
    SECOND,
    THIRD,
    Both,
    ClusterFault,
    each,
    on,
)

VIP, PORT = "10.208.1.190", 16443
CONFIG = "/etc/haproxy/haproxy.cfg"
KEPT = "/root/haproxy.cfg"
RELOAD = "systemctl reload haproxy && sleep 1.5"
BACK = f"mv {KEPT} {CONFIG} && {RELOAD}"
FAKE = "/run/fake"
AT_BOOT = "HA-VIP-OWNER persisted @cluster"
REDIRECT = f"OUTPUT -d {VIP} -p tcp --dport {PORT} -j REDIRECT --to-ports 26443"


def edited(sed: str, *, reload: bool) -> Both:
    """The second master's haproxy with another file, known to it or not."""
    more = f" && {RELOAD}" if reload else ""
    return on(SECOND, f"cp -p {CONFIG} {KEPT} && sed -i '{sed}' {CONFIG}{more}", BACK)


def kept(sed: str) -> Both:
    """The second master's keepalived.conf is another one, which keepalived does not know yet."""
    path = vip_config.KEEPALIVED
    return on(
        SECOND, f"cp -p {path} /root/ && sed -i '{sed}' {path}", f"mv /root/keepalived.conf {path}"
    )


def connects_to(host: str, server: str) -> Both:
    """The host's kubelet is to connect there; it is not started again."""
    path = "/etc/kubernetes/kubelet.conf"
    return on(
        host,
        f"cp -p {path} /root/ && sed -i 's|server: .*|server: {server}|' {path}",
        f"mv /root/kubelet.conf {path}",
    )


def answered(host: str, certificate: str) -> Both:
    """On this host somebody else answers for the VIP, with that certificate."""
    return on(
        host,
        f"""
        mkdir -p {FAKE} && cd {FAKE} && {certificate} && cat key crt >pem
        printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n' >answer
        printf 'Connection: close\\r\\n\\r\\nok' >>answer
        echo '#!/bin/sh' >reply
        echo 'while IFS= read -r l && [ ${{#l}} -gt 1 ]; do :; done; cat {FAKE}/answer' >>reply
        chmod +x reply
        nohup socat OPENSSL-LISTEN:26443,reuseaddr,fork,cert={FAKE}/pem,verify=0 EXEC:{FAKE}/reply \
          >/dev/null 2>&1 &
        sleep 0.5; iptables -t nat -I {REDIRECT}""",
        f"iptables -t nat -D {REDIRECT}; pkill -x socat; rm -rf {FAKE}",
    )


SELF = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    f" -subj /CN=kubernetes -addext subjectAltName=DNS:master.k8s.io,IP:{VIP}"
    " -keyout key -out crt 2>/dev/null"
)
OF_THE_CA = (
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kube-apiserver"
    " -keyout key -out csr 2>/dev/null && echo subjectAltName=DNS:master.k8s.io >ext &&"
    " openssl x509 -req -in csr -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key"
    " -set_serial 7 -days 30 -extfile ext -out crt 2>/dev/null"
)

# Where haproxy forwards the ingress: test_routed.py.
INGRESS_FAULTS = (
    ClusterFault(
        "haproxy without a frontend of the ingress",
        SECOND,
        **edited("/^frontend ingress-443/,/default_backend/d", reload=True),
        turns={
            "HA-LB-BACKENDS runtime": fail("no line binds the VIP's port 443"),
            "HA-LB-BACKENDS persisted": fail("no line binds the VIP's port 443"),
        },
    ),
    ClusterFault(
        "haproxy forwards the ingress to no worker",
        SECOND,
        **edited("/^ *server k8s-node-.*:80/d", reload=True),
        turns={
            "HA-LB-BACKENDS runtime": fail("is not among the servers behind the VIP's port 80"),
            "HA-LB-BACKENDS persisted": fail("is not among the servers behind the VIP's port 80"),
        },
    ),
)
BALANCER_FAULTS = (
    ClusterFault(
        "haproxy without one master",
        SECOND,
        **edited(r"/^ *server k8s-master-03/d", reload=True),
        turns={
            "HA-LB-BACKENDS runtime": fail(f"{THIRD} (10.208.1.195:6443) is not among"),
            "HA-LB-BACKENDS persisted": fail(f"{THIRD} (10.208.1.195:6443) is not among"),
        },
    ),
    ClusterFault(
        "haproxy runs an old configuration",
        SECOND,
        **edited("$a # changed", reload=False),
        turns={"HA-LB-BACKENDS runtime": fail("haproxy runs an old configuration")},
    ),
    ClusterFault(
        "haproxy was given another master's old address, and not reloaded",
        SECOND,
        **edited("s/10.208.1.195:6443/10.208.1.77:6443/", reload=False),
        turns={
            "HA-LB-BACKENDS runtime": fail("which the running haproxy has not"),
            "HA-LB-BACKENDS persisted": fail("10.208.1.77:6443) is among its servers, and is no"),
        },
    ),
    ClusterFault(
        "haproxy was given a host name that leads to this host, and not reloaded",
        SECOND,
        **edited("s/10.208.1.195:6443/localhost:6443/", reload=False),
        turns={
            "HA-LB-BACKENDS runtime": fail("which the running haproxy has not"),
            "HA-LB-BACKENDS persisted": fail(f"{THIRD} (10.208.1.195:6443) is not among"),
        },
    ),
    ClusterFault(
        "haproxy is up and its backends are down",
        SECOND,
        **on(
            SECOND,
            "iptables -I OUTPUT -o eth0 -p tcp --dport 6443 -j REJECT --reject-with tcp-reset"
            " && sleep 3",
            "iptables -D OUTPUT -o eth0 -p tcp --dport 6443 -j REJECT --reject-with tcp-reset",
        ),
        turns={
            "HA-LB-BACKENDS runtime": fail(f"{FIRST} is down for it"),
            # Which interface leads to the other masters is not known to it.
            "FW-IPTABLES runtime": unknown("perhaps: -A OUTPUT -o eth0 -p tcp"),
            # A reset may be the other host's own.
            REACH: unknown(f"TCP port 6443 of {FIRST} refuses {SECOND}, and a process listens"),
        },
        soak=True,
    ),
    ClusterFault(
        "haproxy is stopped",
        THIRD,
        **on(THIRD, "systemctl stop haproxy", "systemctl start haproxy"),
        turns={"HA-LB-BACKENDS runtime": fail("haproxy.service does not run")},
    ),
    ClusterFault(
        "haproxy does not start at boot",
        THIRD,
        **on(THIRD, "systemctl -q disable haproxy", "systemctl -q enable haproxy"),
        turns={"HA-LB-BACKENDS persisted": fail("haproxy.service is not enabled")},
    ),
    ClusterFault(
        "haproxy's stats socket is gone",
        THIRD,
        # A reload hands the old socket on: only a start makes it anew.
        **on(THIRD, "rm /run/haproxy/admin.sock", "systemctl restart haproxy && sleep 1.5"),
        turns={"HA-LB-BACKENDS runtime": unknown("there is nothing at /run/haproxy/admin.sock")},
    ),
)

NEXT_START_FAULTS = (
    ClusterFault(
        "haproxy's next start reads a file without one master",
        SECOND,
        **on(
            SECOND,
            f"cp -p /etc/default/haproxy /root/; grep -v {THIRD} {CONFIG} >/etc/haproxy/site.cfg &&"
            " echo CONFIG=/etc/haproxy/site.cfg >>/etc/default/haproxy",
            "mv /root/haproxy /etc/default/; rm -f /etc/haproxy/site.cfg",
        ),
        turns={"HA-LB-BACKENDS persisted": fail("starts haproxy with /etc/haproxy/site.cfg")},
    ),
    ClusterFault(
        "a drop-in starts haproxy with a file elsewhere",
        SECOND,
        **on(
            SECOND,
            "mkdir -p /etc/systemd/system/haproxy.service.d &&"
            " printf '[Service]\\nEnvironment=CONFIG=/srv/haproxy.cfg\\n'"
            " >/etc/systemd/system/haproxy.service.d/zz-site.conf",
            "rm -f /etc/systemd/system/haproxy.service.d/zz-site.conf",
        ),
        turns={"HA-LB-BACKENDS persisted": unknown("/srv/haproxy.cfg, which is not read")},
    ),
    ClusterFault(
        "haproxy does not check one server",
        SECOND,
        **edited("/server k8s-master-03/s/$/ no-check/", reload=True),
        turns={
            "HA-LB-BACKENDS runtime": fail(f"{THIRD} is not checked"),
            "HA-LB-BACKENDS persisted": fail(f"{THIRD} is not checked"),
        },
    ),
    ClusterFault(
        "haproxy checks by a connection alone",
        SECOND,
        **edited("/httpchk/d; /http-check/d", reload=True),
        turns={"HA-LB-BACKENDS persisted": fail(f"{THIRD} is checked by a connection alone")},
    ),
    ClusterFault(
        "haproxy checks by a path that does not say whether the apiserver is ready",
        SECOND,
        **edited("s|/readyz|/version|", reload=True),
        turns={"HA-LB-BACKENDS persisted": fail(f"{THIRD} is checked by /version")},
    ),
    ClusterFault(
        "haproxy binds its own address alone",
        SECOND,
        **edited("s/bind .*/bind 10.208.1.192:16443/", reload=True),
        turns={
            "HA-LB-BACKENDS runtime": fail("10.208.1.192 alone, and not on the VIP"),
            "HA-LB-BACKENDS persisted": fail("10.208.1.192 alone, and not on the VIP"),
        },
        # Where the second master has the VIP, nothing listens there.
        may=(
            *(f"HA-APISERVER-VIP runtime @{host}" for host in EVERY),
            *(f"CMP-KUBECTL runtime @{host}" for host in MASTERS),
            "HA-VIP-OWNER runtime @cluster",
        ),
    ),
    ClusterFault(
        "haproxy's next start binds the VIP itself",
        SECOND,
        **edited(f"s/bind .*/bind {VIP}:{PORT}/", reload=False),
        turns={
            "HA-LB-BACKENDS runtime": fail("haproxy runs an old configuration"),
            "HA-LB-BACKENDS persisted": fail(f"binds the VIP {VIP} itself"),
        },
    ),
    ClusterFault(
        "another virtual_router_id at keepalived's next start",
        SECOND,
        **kept("s/virtual_router_id .*/virtual_router_id 99/"),
        turns={AT_BOOT: fail(f"{SECOND}: {vip_config.KEEPALIVED} has virtual_router_id 99")},
    ),
    ClusterFault(
        "an interface that the host does not have, in keepalived.conf",
        SECOND,
        **kept("s/interface .*/interface ens192/"),
        turns={AT_BOOT: fail(f"{SECOND}: {vip_config.KEEPALIVED} names the interface ens192")},
    ),
    ClusterFault(
        "a peer is missing in keepalived.conf",
        SECOND,
        **kept("/^ *10.208.1.195$/d"),
        turns={
            AT_BOOT: fail(f"{SECOND}: {vip_config.KEEPALIVED} has no unicast_peer 10.208.1.195")
        },
    ),
    ClusterFault(
        "keepalived.conf sends from another master's address",
        SECOND,
        **kept("s/unicast_src_ip .*/unicast_src_ip 10.208.1.195/"),
        turns={AT_BOOT: fail("sends from 10.208.1.195, which is not an address of this host")},
    ),
    ClusterFault(
        "the script of keepalived.conf does not exist",
        SECOND,
        **kept('s|^ *script .*|    script "/usr/local/bin/check-api -q"|'),
        turns={AT_BOOT: fail("and there is no program /usr/local/bin/check-api")},
    ),
    ClusterFault(
        # RFC 5798, 7.1: a backup takes the interval from the adverts.
        "another interval of adverts at keepalived's next start, as version 3 allows",
        SECOND,
        **kept("s/advert_int .*/advert_int 7/"),
    ),
    ClusterFault(
        "a worker's kubelet asks one master",
        NODE,
        **connects_to(NODE, "https://10.208.1.191:6443"),
        turns={"HA-APISERVER-VIP runtime": fail(f"which is {FIRST} alone")},
    ),
    ClusterFault(
        "a master's kubelet asks another master",
        SECOND,
        **connects_to(SECOND, "https://10.208.1.191:6443"),
        turns={"HA-APISERVER-VIP runtime": fail(f"which is {FIRST} alone")},
    ),
    ClusterFault(
        "a worker's kubelet asks a proxy of its own",
        NODE,
        **connects_to(NODE, "https://localhost:6443"),
        turns={"HA-APISERVER-VIP runtime": unknown("a proxy on this node")},
    ),
)

VIP_FAULTS = (
    ClusterFault(
        "two masters hold the VIP",
        FIRST,
        # Whichever of both does not hold it: one of the two always does not.
        inject=tuple(
            (host, f"ip -br addr | grep -q {VIP} || ip address add {VIP}/32 dev lo")
            for host in (SECOND, THIRD)
        ),
        undo=tuple((host, f"ip address del {VIP}/32 dev lo || true") for host in (SECOND, THIRD)),
        turns={"HA-VIP-OWNER runtime @cluster": fail(f"hold the VIP {VIP} at once")},
    ),
    ClusterFault(
        "no master holds the VIP",
        FIRST,
        inject=tuple((host, "systemctl stop keepalived") for host in MASTERS),
        undo=tuple((host, "systemctl start keepalived") for host in MASTERS),
        turns={
            "HA-VIP-OWNER runtime @cluster": fail(f"no master holds the VIP {VIP}"),
            **each(EVERY, "HA-APISERVER-VIP runtime", fail(f"https://{VIP}:{PORT}/livez: n")),
            **each(MASTERS, "CMP-KUBECTL runtime", fail("kubectl does not reach the cluster")),
        },
    ),
    ClusterFault(
        "the VIP's manager is stopped on one master",
        THIRD,
        **on(THIRD, "systemctl stop keepalived", "systemctl start keepalived"),
        turns={"HA-VIP-OWNER runtime @cluster": fail(f"{THIRD}: keepalived.service does not run")},
    ),
    ClusterFault(
        "the VIP's manager does not start at boot on one master",
        THIRD,
        **on(THIRD, "systemctl -q disable keepalived", "systemctl -q enable keepalived"),
        turns={
            "HA-VIP-OWNER persisted @cluster": fail(f"{THIRD}: keepalived.service is not enabled")
        },
    ),
    ClusterFault(
        "the VIP was removed from one keepalived.conf, and keepalived was not reloaded",
        THIRD,
        **on(
            THIRD,
            f"cp -p {vip_config.KEEPALIVED} /root/ && "
            f"sed -i '/{VIP} dev/d' {vip_config.KEEPALIVED}",
            f"mv /root/keepalived.conf {vip_config.KEEPALIVED}",
        ),
        turns={
            "HA-VIP-OWNER persisted @cluster": fail(
                f"{THIRD}: {vip_config.KEEPALIVED} gives {VIP} to no vrrp_instance"
            )
        },
    ),
    ClusterFault(
        "the VIP answers with another cluster's certificate",
        NODE,
        **answered(NODE, SELF),
        turns={"HA-APISERVER-VIP runtime": fail("the certificate is not of the cluster's CA")},
        may=("CMP-KUBELET runtime",),
    ),
    ClusterFault(
        "the certificate does not name the VIP",
        SECOND,
        **answered(SECOND, OF_THE_CA),
        turns={
            "HA-APISERVER-VIP runtime": fail(f"https://{VIP}:{PORT}/livez: the certificate"),
            "CMP-KUBECTL runtime": fail("kubectl does not reach the cluster"),
        },
    ),
)

FAULTS = (*BALANCER_FAULTS, *NEXT_START_FAULTS, *VIP_FAULTS)
