"""Faults of the nodes: kubelet, kube-proxy, CoreDNS, control groups, the registry."""

from lab.faults.fault import ExpectedResult, fail, unknown
from lab.faults.network import PODS
from tests.cluster.faults.fault import (
    EVERY,
    FIRST,
    KUBECTL,
    NODE,
    OTHER_NODE,
    ClusterFault,
    each,
    gone,
    hanging,
    on,
)

DNS = "10.96.0.10"
TO_DNS = f"OUTPUT -d {DNS} -p udp --dport 53"
FAKE = "/run/fake-dns"
MODE = f"{KUBECTL} -n kube-system get configmap kube-proxy -o yaml"
NAMES = "k8s-app=kube-proxy"
# kube-proxy writes its rules anew when it starts.
AGAIN = "pkill -x kube-proxy"
COREDNS = f"{KUBECTL} -n kube-system"
# An answer to the query of dns_query.py: one A record, 10.96.0.99. It has a newline in
# it, at which bash would cut it in two.
ANSWER = (
    r"\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster"
    r"\x05local\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x60\x00\x63"
)


def moded(mode: str) -> str:
    """Every kube-proxy in that mode."""
    return (
        f"{MODE} | sed 's/^    mode: .*/    mode: {mode}/' | {KUBECTL} apply -f - 2>/dev/null &&"
        f" {KUBECTL} -n kube-system delete pods -l {NAMES} --wait=true &&"
        f" {KUBECTL} -n kube-system rollout status daemonset kube-proxy --timeout=240s"
    )


def cut_off(why: str) -> dict[str, ExpectedResult]:
    """A node whose rules are gone finds no name either."""
    return {
        "CMP-KUBE-PROXY runtime": fail(why),
        "CMP-COREDNS runtime @cluster": fail(f"{OTHER_NODE}: {DNS} gives no answer"),
    }


KUBELETS = "CMP-KUBELET-DRIFT persisted @cluster"
KUBELET_FAULTS = (
    ClusterFault(
        "kubelet is stopped",
        OTHER_NODE,
        **on(OTHER_NODE, "systemctl stop kubelet", "systemctl start kubelet"),
        turns={
            "CMP-KUBELET runtime": fail("the kubelet does not listen"),
            "NODE-PORTS-WORKER runtime": fail("nothing listens on 10250"),
        },
        may=(
            "CMP-COREDNS runtime @cluster",
            PODS,
            "CMP-NODES runtime @cluster",
            "CERT-KUBELET-SERVED runtime",
            *(f"SVC-KUBELET-{item} runtime" for item in ("NOFILE", "NPROC", "MEMLOCK")),
        ),
    ),
    ClusterFault(
        "kubelet hangs",
        OTHER_NODE,
        **hanging(OTHER_NODE, "kubelet"),
        turns={
            "CMP-KUBELET runtime": fail("gives no answer in time"),
            "CERT-KUBELET-SERVED runtime": unknown("shows no certificate: no answer in time"),
        },
        may=("CMP-COREDNS runtime @cluster", PODS, "CMP-NODES runtime @cluster"),
    ),
    ClusterFault(
        "kubelet is disabled",
        OTHER_NODE,
        **on(OTHER_NODE, "systemctl -q disable kubelet", "systemctl -q enable kubelet"),
        turns={"CMP-KUBELET persisted": fail("kubelet.service is not enabled")},
    ),
    ClusterFault(
        "containerd is disabled",
        OTHER_NODE,
        **on(OTHER_NODE, "systemctl -q disable containerd", "systemctl -q enable containerd"),
        turns={"CMP-KUBELET persisted": fail("containerd.service is not enabled")},
    ),
    ClusterFault(
        "kubelet's configuration names no DNS server",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "cd /var/lib/kubelet && cp -p config.yaml /root/ &&"
            " sed -i '/^clusterDNS:/,+1d' config.yaml",
            "mv /root/config.yaml /var/lib/kubelet/",
        ),
        turns={
            "CMP-COREDNS runtime @cluster": fail("names no clusterDNS"),
            KUBELETS: fail("clusterDNS is ["),
        },
    ),
    ClusterFault(
        "two workers' kubelets have different configuration",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "cd /var/lib/kubelet && cp -p config.yaml /root/ && echo 'maxPods: 50' >>config.yaml",
            "mv /root/config.yaml /var/lib/kubelet/",
        ),
        turns={KUBELETS: fail(f"maxPods is not set on {NODE}, 50 on {OTHER_NODE}")},
    ),
    ClusterFault(
        "one master's kubelet has a different configuration by a flag",
        FIRST,
        **on(
            FIRST,
            "cd /var/lib/kubelet && cp -p kubeadm-flags.env /root/ &&"
            " sed -i 's/--node-ip/--pods-per-core=9 &/' kubeadm-flags.env",
            "mv /root/kubeadm-flags.env /var/lib/kubelet/",
        ),
        turns={KUBELETS: fail(f"podsPerCore is 9 on {FIRST}, not set on")},
    ),
    ClusterFault(
        "containerd has another driver of control groups",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "cp -p /etc/containerd/config.toml /root/ &&"
            " sed -i 's/SystemdCgroup = false/SystemdCgroup = true/' /etc/containerd/config.toml",
            "mv /root/config.toml /etc/containerd/",
        ),
        turns={"NODE-CGROUP-DRIVER persisted": fail("the kubelet uses cgroupfs")},
    ),
    ClusterFault(
        "the registry is unreachable for one node",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "iptables -I OUTPUT -p tcp --dport 5000 -j REJECT --reject-with tcp-reset",
            "iptables -D OUTPUT -p tcp --dport 5000 -j REJECT --reject-with tcp-reset",
        ),
        turns={"NODES-IMAGE-PULL runtime": fail("nothing listens there")},
    ),
)

NODES = "CMP-NODES runtime @cluster"
STATUS = f"{KUBECTL} patch node {OTHER_NODE} --subresource=status --type=json -p"
OBJECT_FAULTS = (
    ClusterFault(
        "a node is cordoned",
        FIRST,
        **on(FIRST, f"{KUBECTL} cordon {OTHER_NODE}", f"{KUBECTL} uncordon {OTHER_NODE}"),
        turns={NODES: fail(f"{OTHER_NODE} is cordoned: no pod is scheduled to it")},
    ),
    ClusterFault(
        "a node is not ready",
        FIRST,
        # containerd finds no configuration of the network: the kubelet reports it, and is healthy.
        # The network plugin writes a removed file again, and does not see what is mounted over it.
        **on(
            OTHER_NODE,
            "mount -t tmpfs none /etc/cni/net.d && systemctl restart containerd",
            "! mountpoint -q /etc/cni/net.d || umount /etc/cni/net.d; systemctl restart containerd",
        ),
        turns={NODES: fail(f"{OTHER_NODE} is not ready (NotReady)")},
        may=("CMP-COREDNS runtime @cluster", PODS),
    ),
    ClusterFault(
        "a node that is no host of the inventory",
        FIRST,
        **on(
            FIRST,
            f"printf 'apiVersion: v1\\nkind: Node\\nmetadata: {{name: old-node}}\\n' |"
            f" {KUBECTL} create -f -",
            f"{KUBECTL} delete node old-node --ignore-not-found",
        ),
        turns={NODES: fail("old-node is a node, and no host of the inventory")},
    ),
    ClusterFault(
        "a host is not a node",
        FIRST,
        inject=(
            (OTHER_NODE, "systemctl stop kubelet"),
            (FIRST, f"{KUBECTL} delete node {OTHER_NODE}"),
        ),
        undo=((OTHER_NODE, "systemctl start kubelet"),),
        turns={
            NODES: fail(f"{OTHER_NODE} is not a node; 4 nodes"),
            f"CMP-KUBELET runtime @{OTHER_NODE}": fail("the kubelet does not listen"),
            f"NODE-PORTS-WORKER runtime @{OTHER_NODE}": fail("nothing listens on 10250"),
        },
        may=(
            "CMP-COREDNS runtime @cluster",
            PODS,
            f"CMP-KUBE-PROXY runtime @{OTHER_NODE}",
            f"CERT-KUBELET-SERVED runtime @{OTHER_NODE}",
            *(f"SVC-KUBELET-{i} runtime @{OTHER_NODE}" for i in ("NOFILE", "NPROC", "MEMLOCK")),
        ),
    ),
    ClusterFault(
        "a kubelet is older than the version skew policy allows",
        FIRST,
        # The stopped kubelet does not put it right.
        inject=(
            (OTHER_NODE, "systemctl stop kubelet"),
            (
                FIRST,
                f'{STATUS} \'[{{"op":"replace","path":"/status/nodeInfo/kubeletVersion",'
                '"value":"v1.30.14"}]\'',
            ),
        ),
        undo=((OTHER_NODE, "systemctl start kubelet"),),
        turns={
            NODES: fail(f"{OTHER_NODE}'s kubelet v1.30.14 is more than 3 minor versions older"),
            f"CMP-KUBELET runtime @{OTHER_NODE}": fail("the kubelet does not listen"),
            f"NODE-PORTS-WORKER runtime @{OTHER_NODE}": fail("nothing listens on 10250"),
        },
        may=(
            "CMP-COREDNS runtime @cluster",
            PODS,
            f"CERT-KUBELET-SERVED runtime @{OTHER_NODE}",
            *(f"SVC-KUBELET-{i} runtime @{OTHER_NODE}" for i in ("NOFILE", "NPROC", "MEMLOCK")),
        ),
    ),
    ClusterFault(
        "a node has another InternalIP",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "ip address add 10.208.1.199/24 dev eth0 && cp -p /var/lib/kubelet/kubeadm-flags.env"
            " /root/ && sed -i 's/--node-ip=[0-9.]*/--node-ip=10.208.1.199/'"
            " /var/lib/kubelet/kubeadm-flags.env && systemctl restart kubelet",
            "mv /root/kubeadm-flags.env /var/lib/kubelet/ && systemctl restart kubelet &&"
            " sleep 12; ip address del 10.208.1.199/24 dev eth0",
        ),
        turns={NODES: fail(f"{OTHER_NODE} has InternalIP 10.208.1.199")},
        may=("CMP-COREDNS runtime @cluster", PODS, "CMP-KUBELET runtime"),
    ),
)

PROXY_FAULTS = (
    ClusterFault(
        "kube-proxy's rules are flushed",
        OTHER_NODE,
        **on(OTHER_NODE, "iptables -t nat -F KUBE-SERVICES", AGAIN),
        turns=cut_off("KUBE-SERVICES has no rule for default/kubernetes:https"),
    ),
    ClusterFault(
        "nothing leads to kube-proxy's rules",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            "iptables -t nat -F OUTPUT",
            AGAIN,
        ),
        turns=cut_off("nat's OUTPUT does not lead to KUBE-SERVICES"),
    ),
    ClusterFault(
        "kube-proxy hangs",
        OTHER_NODE,
        **hanging(OTHER_NODE, "kube-proxy"),
        turns={"CMP-KUBE-PROXY runtime": fail("kube-proxy gives no answer in time")},
    ),
    ClusterFault(
        "kube-proxy is absent on one node",
        OTHER_NODE,
        inject=(
            (FIRST, f"{KUBECTL} label node {OTHER_NODE} kubernetes.io/os=none --overwrite"),
            (OTHER_NODE, gone("kube-proxy")),
        ),
        undo=((FIRST, f"{KUBECTL} label node {OTHER_NODE} kubernetes.io/os=linux --overwrite"),),
        turns={
            "CMP-KUBE-PROXY runtime": fail("kube-proxy does not run"),
            "NODE-PORTS-WORKER runtime": fail("nothing listens on 10256"),
        },
    ),
    ClusterFault(
        "kube-proxy runs in another mode",
        FIRST,
        **on(FIRST, moded("nftables"), moded("iptables")),
        turns=each(EVERY, "CMP-KUBE-PROXY runtime", fail("kube-proxy runs in mode nftables and")),
    ),
)

DNS_FAULTS = (
    ClusterFault(
        "CoreDNS is scaled to 0",
        FIRST,
        **on(
            FIRST,
            f"{COREDNS} scale deployment coredns --replicas 0 &&"
            f" {COREDNS} wait --for=delete pod -l k8s-app=kube-dns --timeout=240s",
            f"{COREDNS} scale deployment coredns --replicas 2",
        ),
        turns={
            "CMP-COREDNS runtime @cluster": fail("none is ready"),
            PODS: unknown("no Pod of CoreDNS is ready"),
        },
    ),
    ClusterFault(
        "CoreDNS is on one node alone",
        FIRST,
        **on(
            FIRST,
            f"{KUBECTL} cordon {OTHER_NODE} && {COREDNS} patch deployment coredns -p"
            f' \'{{"spec":{{"template":{{"spec":{{"nodeName":"{NODE}"}}}}}}}}\''
            f" && {COREDNS} rollout status deployment coredns --timeout=240s",
            f"{KUBECTL} uncordon {OTHER_NODE}; {COREDNS} rollout undo deployment coredns",
        ),
        turns={
            "CMP-COREDNS runtime @cluster": fail("they are on 1 node(s)"),
            NODES: fail(f"{OTHER_NODE} is cordoned"),
        },
    ),
    ClusterFault(
        "CoreDNS forwards to itself",
        FIRST,
        **on(
            FIRST,
            f"{COREDNS} get configmap coredns -o yaml >/root/coredns.yaml && sed"
            " 's|forward . /etc/resolv.conf|forward . 127.0.0.1|' /root/coredns.yaml |"
            f" {COREDNS} replace -f - && {COREDNS} delete pods -l k8s-app=kube-dns --wait=false",
            f"{COREDNS} get configmap coredns -o yaml | sed"
            f" 's|forward . 127.0.0.1|forward . /etc/resolv.conf|' | {COREDNS} replace -f - &&"
            f" {COREDNS} delete pods -l k8s-app=kube-dns --grace-period=1;"
            f" {COREDNS} rollout status deployment coredns --timeout=240s",
        ),
        turns={"CMP-COREDNS runtime @cluster": fail("is not ready (CrashLoopBackOff)")},
        may=(PODS,),
    ),
    ClusterFault(
        "CoreDNS is to forward to itself at its next start",
        FIRST,
        **on(
            OTHER_NODE,
            "cp -p /etc/resolv.conf /root/; echo nameserver 127.0.0.53 >/etc/resolv.conf",
            "cat /root/resolv.conf >/etc/resolv.conf; rm /root/resolv.conf",
        ),
        turns={
            "CMP-COREDNS runtime @cluster": fail(f"{OTHER_NODE}: /etc/resolv.conf names 127.0.0.53")
        },
    ),
    ClusterFault(
        "one node gets a wrong address",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            f"""
            printf '#!/bin/bash\\nprintf "%s" | dd bs=512 iflag=fullblock status=none\\n' \
              '{ANSWER}' >{FAKE} && chmod +x {FAKE}
            nohup socat UDP-RECVFROM:5399,bind=127.0.0.1,fork EXEC:{FAKE} >/dev/null 2>&1 &
            sleep 0.5; iptables -t nat -I {TO_DNS} -j REDIRECT --to-ports 5399""",
            f"iptables -t nat -D {TO_DNS} -j REDIRECT --to-ports 5399; pkill -x socat; rm {FAKE}",
        ),
        turns={"CMP-COREDNS runtime @cluster": fail(f"{OTHER_NODE}: {DNS} says 10.96.0.99 for")},
    ),
    ClusterFault(
        "one node gets no answer",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            f"iptables -t raw -I {TO_DNS} -j DROP",
            f"iptables -t raw -D {TO_DNS} -j DROP",
        ),
        turns={"CMP-COREDNS runtime @cluster": fail(f"{OTHER_NODE}: {DNS} gives no answer")},
    ),
)

FAULTS = (*KUBELET_FAULTS, *OBJECT_FAULTS, *PROXY_FAULTS, *DNS_FAULTS)
