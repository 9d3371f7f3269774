"""Faults of certificates: signed anew by the cluster's own CA, for a time that is too short."""

from lab.faults.fault import fail, unknown
from tests.cluster.faults.fault import THIRD, Both, ClusterFault, on

PKI = "/etc/kubernetes/pki"
KEPT = "/root/kept-certificate"
KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def signed(file: str, key: str, ca: str, days: int) -> str:
    """The certificate in this file with another end: names, key and extensions stay.

    By way of a request: openssl signs no certificate of a CA's anew as it is.
    """
    return (
        f"openssl x509 -in {file} -x509toreq -signkey {key} -copy_extensions copyall 2>/dev/null |"
        f" openssl x509 -req -CA {ca}.crt -CAkey {ca}.key -set_serial 7 -days {days}"
        " -copy_extensions copyall 2>/dev/null"
    )


def short(path: str, ca: str, days: int) -> Both:
    """A file of kubeadm's with that many days left."""
    return on(
        THIRD,
        f"cp -p {path} {KEPT} && {signed(KEPT, path.replace('.crt', '.key'), ca, days)} >{path}",
        f"mv {KEPT} {path}",
    )


def in_kubeconfig(path: str, days: int, restart: str = "true") -> Both:
    """A kubeconfig whose client certificate has that many days left.

    restart: of a process that must not be older than the file that is put back.
    """
    return on(
        THIRD,
        f"""
        cp -p {path} {KEPT} && old=$(sed -n 's/^ *client-certificate-data: //p' {path}) &&
        echo "$old" | base64 -d >/run/old.crt && umask 077 &&
        sed -n 's/^ *client-key-data: //p' {path} | base64 -d >/run/old.key &&
        new=$({signed("/run/old.crt", "/run/old.key", f"{PKI}/ca", days)} | base64 -w0) &&
        [ -n "$new" ] && sed -i "s|$old|$new|" {path} && rm /run/old.crt /run/old.key""",
        f"mv {KEPT} {path}; sleep 4; {restart}",
    )


CONF = "/etc/kubernetes/kubelet.conf"
SCHEDULER = "/etc/kubernetes/scheduler.conf"
APISERVER = f"{PKI}/apiserver.crt"
SERVING = "/var/lib/kubelet/pki/kubelet"
EXPIRED = signed(KUBELET, KUBELET, f"{PKI}/ca", -1)

FAULTS = (
    ClusterFault(
        "the kubelet's kubeconfig contains a certificate that has expired",
        THIRD,
        **on(
            THIRD,
            f'cp -p {CONF} {KEPT} && new=$({EXPIRED} | base64 -w0) && [ -n "$new" ] &&'
            f' sed -i "s|client-certificate: .*|client-certificate-data: $new|" {CONF}',
            f"mv {KEPT} {CONF}",
        ),
        turns={
            "CERT-KUBELET runtime": fail(f"{CONF} (CN=system:node:k8s-master-03,O=system:"),
            "CERT-HELD runtime": fail("kubelet (process"),
        },
    ),
    ClusterFault(
        "the apiserver's certificate for kubelets expires soon",
        THIRD,
        **short(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/ca", 10),
        turns={"CERT-APISERVER runtime": fail("(CN=kube-apiserver-kubelet-client")},
    ),
    ClusterFault(
        "etcd's certificate for its peers expires soon",
        THIRD,
        **short(f"{PKI}/etcd/peer.crt", f"{PKI}/etcd/ca", 10),
        turns={"CERT-ETCD runtime": fail("peer.crt (CN=k8s-master-03) expires in 10 days")},
    ),
    ClusterFault(
        "the front proxy's certificate has run out",
        THIRD,
        **short(f"{PKI}/front-proxy-client.crt", f"{PKI}/front-proxy-ca", -1),
        turns={"CERT-FRONT-PROXY runtime": fail("(CN=front-proxy-client) expired 1 days ago")},
    ),
    ClusterFault(
        "the scheduler's kubeconfig expires soon",
        THIRD,
        **in_kubeconfig(SCHEDULER, 10, "pkill -x kube-scheduler"),
        turns={
            "CERT-KUBECONFIG runtime": fail("scheduler.conf (CN=system:kube-scheduler) expires"),
            "CERT-HELD runtime": fail("kube-scheduler (process"),
        },
    ),
    ClusterFault(
        "the administrator's kubeconfig has run out",
        THIRD,
        **in_kubeconfig("/etc/kubernetes/admin.conf", -1),
        turns={
            "CERT-KUBECONFIG runtime": fail("expired 1 days ago"),
            "CMP-KUBECTL runtime": fail("kubectl does not reach the cluster"),
        },
    ),
    ClusterFault(
        "the front proxy's CA is in its last half-year",
        THIRD,
        **on(
            THIRD,
            f"cp -p {PKI}/front-proxy-ca.crt {KEPT} && openssl x509 -in {KEPT} -signkey"
            f" {PKI}/front-proxy-ca.key -days 100 2>/dev/null >{PKI}/front-proxy-ca.crt",
            f"mv {KEPT} {PKI}/front-proxy-ca.crt",
        ),
        turns={"CERT-CA runtime": fail("front-proxy-ca.crt (CN=front-proxy-ca) expires in 100")},
    ),
    ClusterFault(
        "the kubelet's certificate is not renewed",
        THIRD,
        **on(
            THIRD,
            f"p=$(readlink -f {KUBELET}) && cp -p $p {KEPT} &&"
            f" {{ {signed(KEPT, KEPT, f'{PKI}/ca', 10)};"
            f" sed -n '/PRIVATE KEY/,/PRIVATE KEY/p' {KEPT}; }} >$p",
            f"mv {KEPT} $(readlink -f {KUBELET})",
        ),
        turns={
            "CERT-KUBELET runtime": fail("(CN=system:node:k8s-master-03,O=system:nodes) expires")
        },
    ),
    ClusterFault(
        "the apiserver does not see its renewed certificate",
        THIRD,
        # A container does not see what is mounted on the host later.
        **on(
            THIRD,
            f"{signed(APISERVER, f'{PKI}/apiserver.key', f'{PKI}/ca', 365)} >{KEPT} &&"
            f" mount --bind {KEPT} {APISERVER}",
            f"umount {APISERVER}; rm {KEPT}",
        ),
        turns={
            "CERT-SERVED runtime": fail(
                f"kube-apiserver at 127.0.0.1:6443 serves another certificate than {APISERVER} has"
            )
        },
    ),
    ClusterFault(
        "etcd serves a certificate that expires soon",
        THIRD,
        **short(f"{PKI}/etcd/server.crt", f"{PKI}/etcd/ca", 10),
        turns={
            "CERT-ETCD runtime": fail("server.crt (CN=k8s-master-03) expires in 10 days"),
            "CERT-SERVED runtime": fail(
                f"etcd at 127.0.0.1:2379 serves {PKI}/etcd/server.crt, which expires in 10 days"
            ),
        },
    ),
    ClusterFault(
        "the kubelet serves a certificate that expires soon",
        THIRD,
        **on(
            THIRD,
            f"cp -p {SERVING}.crt {KEPT} && openssl x509 -in {KEPT} -signkey {SERVING}.key"
            f" -days 10 2>/dev/null >{SERVING}.crt && systemctl restart kubelet",
            f"mv {KEPT} {SERVING}.crt && systemctl restart kubelet",
        ),
        turns={
            "CERT-KUBELET-SERVED runtime": fail(
                f"kubelet at 127.0.0.1:10250 serves {SERVING}.crt, which expires in 10 days"
            )
        },
    ),
    ClusterFault(
        "the scheduler was not restarted after a renewal",
        THIRD,
        **on(THIRD, "kubeadm certs renew scheduler.conf", "pkill -x kube-scheduler"),
        turns={"CERT-HELD runtime": fail("kube-scheduler (process")},
        may=("HA-SCHEDULER runtime @cluster",),
    ),
    ClusterFault(
        "the scheduler's kubeconfig was touched",
        THIRD,
        **on(THIRD, f"touch {SCHEDULER}", "sleep 4; pkill -x kube-scheduler"),
        turns={"CERT-HELD runtime": unknown("its dates do not show it")},
        may=("HA-SCHEDULER runtime @cluster",),
    ),
)
