"""kubeadm's configuration, in its v1beta4 form; no phase.

The site's kubeadm_extra is merged into ours by kind: its values win, lists of ours are kept in
front of the site's. It goes to kubeadm on standard input, for it may hold the token and the key.

Source: kubernetes.io, "kubeadm Configuration (v1beta4)".
"""

from collections.abc import Mapping
from typing import Any

from hale.install.site import APISERVER_PORT, Site, encoded
from hale.install.step import Secret
from hale.inventory import Host

API = "kubeadm.k8s.io/v1beta4"
SOCKET = "unix:///run/containerd/containerd.sock"
TOKEN_TTL = "2h0m0s"  # as long as the certificates that are uploaded for masters
CONFIG = "--config /dev/stdin"


def init(site: Site) -> Secret:
    """What `kubeadm init` and its phases read."""
    secrets = site.secrets
    return Secret(
        _documents(
            site,
            {
                "apiVersion": API,
                "kind": "InitConfiguration",
                "localAPIEndpoint": _local(site.first),
                "nodeRegistration": _node(site.first),
                "bootstrapTokens": [{"token": secrets.token.reveal(), "ttl": TOKEN_TTL}],
                "certificateKey": secrets.certificate_key.reveal(),
            },
        )
    )


def token(site: Site) -> Secret:
    """What `kubeadm token create` reads."""
    return init(site)


def plain(site: Site) -> str:
    """The cluster's own configuration, without any secret: for `kubeadm config images`."""
    return _documents(site, None)


def join(site: Site, host: Host, ca_pin: str, *, master: bool) -> Secret:
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
    return Secret(encoded(merged(document, site.extra.get("JoinConfiguration", {}))))


def _documents(site: Site, first: dict[str, Any] | None) -> str:
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
    return "\n---\n".join(encoded(merged(d, site.extra.get(str(d["kind"]), {}))) for d in documents)


def _local(host: Host) -> dict[str, Any]:
    return {"advertiseAddress": host.address, "bindPort": APISERVER_PORT}


def _node(host: Host) -> dict[str, Any]:
    return {
        "name": host.name,
        "criSocket": SOCKET,
        # The address of the plan, on a host that has several.
        "kubeletExtraArgs": [{"name": "node-ip", "value": host.address}],
    }


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the site's values over ours; mappings are merged, lists joined, each item once."""
    found = dict(ours)
    for key, value in theirs.items():
        mine = found.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            found[key] = merged(mine, value)
        elif isinstance(mine, list) and isinstance(value, list):
            found[key] = [*mine, *(item for item in value if item not in mine)]
        else:
            found[key] = value
    return found
