"""What a site may have of its own: etcd as a service of its masters, a load balancer elsewhere.

etcd has its data in /var/lib/etcd, where kubeadm's would have it too.
"""

import datetime
import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.build import cache_root, open_cache
from lab.machine import Lab, LabHost
from lab.mirror import binaries, golang
from lab.topology import VIP

PKI = "/etc/etcd/pki"
# Where kubeadm's own guide has them put on the first master.
FILES = {
    "caFile": "/etc/kubernetes/pki/etcd/ca.crt",
    "certFile": "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "keyFile": "/etc/kubernetes/pki/apiserver-etcd-client.key",
}
_UNIT = """\
[Service]
Type=notify
ExecStart=/usr/local/bin/etcd --name {host.name} --data-dir /var/lib/etcd \\
  --listen-client-urls https://{host.address}:2379,https://127.0.0.1:2379 \\
  --advertise-client-urls https://{host.address}:2379 \\
  --listen-peer-urls https://{host.address}:2380 \\
  --initial-advertise-peer-urls https://{host.address}:2380 \\
  --initial-cluster {cluster} --client-cert-auth --peer-client-cert-auth \\
  --trusted-ca-file {pki}/ca.crt --cert-file {pki}/own.crt --key-file {pki}/own.key \\
  --peer-trusted-ca-file {pki}/ca.crt --peer-cert-file {pki}/own.crt --peer-key-file {pki}/own.key
Restart=always
[Install]
WantedBy=multi-user.target
"""
_BALANCER = """\
global
  maxconn 4096
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
frontend apiserver
  bind {vip}:16443
  default_backend masters
backend masters
  option httpchk GET /readyz
  default-server check check-ssl verify none inter 1s fall 2 rise 1
{servers}
"""
_EXTRA = """\
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
etcd:
  external:
    endpoints: [{endpoints}]
    caFile: {caFile}
    certFile: {certFile}
    keyFile: {keyFile}
"""


def extra(masters: Sequence[LabHost]) -> str:
    """What kubeadm_extra says besides."""
    endpoints = ", ".join(f"https://{h.address}:2379" for h in masters)
    return _EXTRA.format(endpoints=endpoints, **FILES)


def etcd(masters: Sequence[LabHost], folder: Path) -> None:
    """Three members, and what the first master needs to reach them. folder: for the keys."""
    with open_cache(cache_root() / "supply", print) as building:
        built = golang.build_module(building, binaries.ETCD)
    certificates(folder, [h.address for h in masters])
    members = ",".join(f"{h.name}=https://{h.address}:2380" for h in masters)
    for host in masters:
        for name in ("etcd", "etcdctl"):
            shutil.copy(built / name, host.root / "usr/local/bin" / name)
        put(host, folder, {f: f"{PKI}/{f}" for f in ("ca.crt", "own.crt", "own.key")})
        unit = _UNIT.format(host=host, cluster=members, pki=PKI)
        (host.root / "etc/systemd/system/etcd.service").write_text(unit)
        host.run("systemctl daemon-reload && systemctl enable --now --no-block etcd")
    for host in masters:
        host.run("until systemctl -q is-active etcd; do sleep 0.2; done", timeout=60)
    files = dict(zip(("ca.crt", "own.crt", "own.key"), FILES.values(), strict=True))
    put(masters[0], folder, files)


def put(host: LabHost, folder: Path, files: dict[str, str]) -> None:
    """Files of the folder onto the host, for root alone."""
    for name, where in files.items():
        host.run(f"umask 077; mkdir -p $(dirname {where})")
        host.run(f"umask 077; cat >{where}", input=(folder / name).read_bytes())


def ask(host: LabHost, words: str) -> str:
    """What the etcd on this master answers to etcdctl."""
    tls = f"--cacert {PKI}/ca.crt --cert {PKI}/own.crt --key {PKI}/own.key"
    return host.run(f"etcdctl --endpoints https://127.0.0.1:2379 {tls} {words}").stdout.decode()


def no_etcd(masters: Sequence[LabHost]) -> None:
    """Away with it and its data."""
    for host in masters:
        host.run("systemctl disable --now etcd; rm -f /etc/systemd/system/etcd.service")
        host.run("rm -rf /var/lib/etcd/* /etc/etcd /etc/kubernetes; systemctl daemon-reload")


def balancer(host: LabHost, masters: Sequence[LabHost]) -> None:
    """haproxy with the VIP, on a host that is none of the cluster's."""
    servers = "\n".join(f"  server {h.name} {h.address}:6443" for h in masters)
    host.run("DEBIAN_FRONTEND=noninteractive apt-get -qq install -y haproxy", timeout=120)
    host.run(f"ip addr replace {VIP}/32 dev eth0")
    text = _BALANCER.format(vip=VIP, servers=servers)
    host.run("cat >/etc/haproxy/haproxy.cfg; systemctl restart haproxy", input=text.encode())
    _moved(host.lab)


def no_balancer(host: LabHost) -> None:
    """Away with both."""
    host.run(f"apt-get -qq purge -y haproxy >/dev/null; ip addr del {VIP}/32 dev eth0", timeout=120)
    _moved(host.lab)


def _moved(lab: Lab) -> None:
    """What keepalived tells everybody by gratuitous ARP. A host that goes on sending to the old
    owner has its packets forwarded from there, until kube-proxy drops them as half a connection."""
    for host in lab.hosts:
        host.run(f"ip neigh flush to {VIP}")


def certificates(folder: Path, addresses: Sequence[str]) -> None:
    """ca.crt, own.crt and own.key: one certificate for all that etcd and its clients do."""
    now = datetime.datetime.now(datetime.UTC)
    days = datetime.timedelta(days=365)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("site etcd CA", "etcd")
    ]
    for name, key, subject in zip(("ca", "own"), keys, names, strict=True):
        known = [ipaddress.ip_address(a) for a in (*addresses, "127.0.0.1")]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + days)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(a) for a in known]), critical=False
            )
            .sign(keys[0], hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (folder / f"{name}.crt").write_bytes(made.public_bytes(pem))
        form = serialization.PrivateFormat.PKCS8
        raw = key.private_bytes(pem, form, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(raw)
