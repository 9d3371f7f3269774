"""kubeadm's configuration, in its v1beta4 form; no phase.

The site's kubeadm_extra is merged into ours by kind: its values win, lists of ours are kept in
front of the site's. It goes to kubeadm on standard input, for it may hold the token and the key.

Source: kubernetes.io, "kubeadm Configuration (v1beta4)".
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from facts.cluster import kubernetes
from facts.parsers import vip_config
from hale.install.cluster_context import APISERVER_PORT, ClusterContext, encoded
from hale.install.secrets import Secret
from hale.inventory.ini import Host

API = "kubeadm.k8s.io/v1beta4"
SOCKET = "unix:///run/containerd/containerd.sock"
TOKEN_TTL = "2h0m0s"  # as long as the certificates that are uploaded for masters
CONFIG = "--config /dev/stdin"
_KEPT = "/var/lib/hale/install/kept"


def init(site: ClusterContext) -> Secret:
    """What `kubeadm init` and its phases read."""
    secrets = site.secrets
    return Secret(
        _documents(
            site,
            {
                "apiVersion": API,
                "kind": "InitConfiguration",
                "localAPIEndpoint": _local(site.first_control_plane),
                "nodeRegistration": _node(site.first_control_plane),
                "bootstrapTokens": [{"token": secrets.token.reveal(), "ttl": TOKEN_TTL}],
                "certificateKey": secrets.certificate_key.reveal(),
            },
        )
    )


def token(site: ClusterContext) -> Secret:
    """What `kubeadm token create` reads."""
    return init(site)


def public_config(site: ClusterContext) -> str:
    """The cluster's own configuration, without any secret: for `kubeadm config images`."""
    return _documents(site, None)


def join(site: ClusterContext, host: Host, ca_pin: str, *, master: bool) -> Secret:
    """What `kubeadm join` reads on that host. ca_pin: sha256:HEX of the CA's public key."""
    secrets = site.secrets
    document: dict[str, Any] = {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "nodeRegistration": _node(host),
        "discovery": {
            "bootstrapToken": {
                "token": secrets.token.reveal(),
                "apiServerEndpoint": site.endpoint,
                "caCertHashes": [ca_pin],
            }
        },
    }
    if master:
        document["controlPlane"] = {
            "localAPIEndpoint": _local(host),
            "certificateKey": secrets.certificate_key.reveal(),
        }
    return Secret(encoded(deep_merge(document, site.extra.get("JoinConfiguration", {}))))


def _documents(site: ClusterContext, first: dict[str, Any] | None) -> str:
    cluster, endpoint = site.cluster, site.inventory.endpoint
    named = [*endpoint.names, endpoint.vip]
    for host in site.masters:
        named += [host.name, host.address or host.name]
    configuration: dict[str, Any] = {
        "apiVersion": API,
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{cluster.kubernetes_version}",
        "controlPlaneEndpoint": site.endpoint,
        "apiServer": {"certSANs": list(dict.fromkeys(named))},
        "networking": {
            "podSubnet": str(cluster.pod_cidr),
            "serviceSubnet": str(cluster.service_cidr),
        },
    }
    if cluster.image_repository:
        configuration["imageRepository"] = cluster.image_repository
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": cluster.cgroup_driver,
    }
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": site.kube_proxy_mode,
    }
    documents = [configuration, kubelet, proxy] if first is None else [
        first, configuration, kubelet, proxy
    ]  # fmt: skip
    return "\n---\n".join(
        encoded(deep_merge(d, site.extra.get(str(d["kind"]), {}))) for d in documents
    )


def _local(host: Host) -> dict[str, Any]:
    return {"advertiseAddress": host.address, "bindPort": APISERVER_PORT}


def _node(host: Host) -> dict[str, Any]:
    return {
        "name": host.name,
        "criSocket": SOCKET,
        # The address of the plan, on a host that has several.
        "kubeletExtraArgs": [{"name": "node-ip", "value": host.address}],
    }


def cleanup_script(site: ClusterContext, *, init: bool = False) -> str:
    """A script: what an init or a join that was cut off has left on a host goes, and nothing else.

    Twice where need be: what the containers hold open goes only when they do. What an init has
    written to an etcd of the site's own stays there, so the keys that it was written with do too:
    with other ones nobody could read it, and the next init goes on with both.
    """
    script = f"{reset(site)} >/dev/null 2>&1 || {reset(site)}\n{etcd_data(site)}"
    return preserving(site, script, _PKI if init and not site.etcd_is_stacked else ())


# What kubeadm makes all else from; it takes them as they are where they are there. The last of
# them is written last of all, so where it is, so are the others.
_PKI = tuple(
    f"/etc/kubernetes/pki/{name}"
    for name in (
        *("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key"),
        *("sa.key", "sa.pub"),
    )
)


def reset(site: ClusterContext) -> str:
    """kubeadm's own command. Its removal of a member empties /var/lib/etcd, whoever's that is."""
    return "kubeadm reset --force" + (
        "" if site.etcd_is_stacked else " --skip-phases=remove-etcd-member"
    )


def etcd_data(site: ClusterContext) -> str:
    """What takes away the data of a member that is kubeadm's."""
    return f"rm -rf {kubernetes.ETCD_DATA}" if site.etcd_is_stacked else ":"


def preserving(site: ClusterContext, script: str, pki: Sequence[str] = ()) -> str:
    """The script, and what the site has put among kubeadm's files stays: kube-vip's manifest, and
    what its own etcd is reached by.

    pki: files that stay as well where the last of them is there.
    """
    files = [f for f in site.etcd_files if f.startswith("/etc/kubernetes/")]
    if site.inventory.endpoint.kind == "kube-vip":
        files.append(vip_config.KUBE_VIP)
    if not (files or pki):
        return script
    last = pki[-1] if pki else ""
    more = f'set -- "$@" {shlex.join(pki)}' if pki else ":"
    # Whole or not at all: a copy may be cut off, and then what was kept first is all there is.
    return f"""\
set -- {shlex.join(files)}
if [ -s "{last}" ] || [ -s "{_KEPT}{last}" ]; then {more}; fi
copied() {{ mkdir -p "${{2%/*}}"; cp -a -- "$1" "$2.hale-new"; mv -fT -- "$2.hale-new" "$2"; }}
for f; do [ ! -e "$f" ] || (umask 077; copied "$f" "{_KEPT}$f"); done
(
{script}
)
for f; do [ ! -e "{_KEPT}$f" ] || copied "{_KEPT}$f" "$f"; done
rm -rf {_KEPT}
"""


def deep_merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the site's values over ours; mappings are merged, lists joined, each item once."""
    found = dict(ours)
    for key, value in theirs.items():
        mine = found.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            found[key] = deep_merge(mine, value)
        elif isinstance(mine, list) and isinstance(value, list):
            found[key] = [*mine, *(item for item in value if item not in mine)]
        else:
            found[key] = value
    return found
