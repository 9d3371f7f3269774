"""kubeadm's configuration (v1beta4) and cleanup scripts.

The site's kubeadm_extra is merged by kind: its values win, and its lists are appended to ours. The
result goes to kubeadm on standard input, because it may contain the token and the key.

Source: kubernetes.io, "kubeadm Configuration (v1beta4)".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from facts.cluster import kubernetes, nodes
from facts.parsers import vip_config
from hale.install.cluster_context import APISERVER_PORT, NO_PROXY, ClusterContext, encoded
from hale.install.secrets import Secret
from hale.inventory.cluster_spec import KUBELET
from hale.inventory.ini import Host
from remediate.cluster import scripts

API = "kubeadm.k8s.io/v1beta4"
SOCKET = "unix:///run/containerd/containerd.sock"
TOKEN_TTL = "2h0m0s"  # as long as kubeadm keeps the uploaded certificates
CONFIG = "--config /dev/stdin"
_KEPT = "/var/lib/hale/install/kept"
_GIVEN = "/var/lib/hale/install/given"
_REMOVED = "/var/lib/hale/install/removed"
FOLDER = "/etc/kubernetes"
_PKI_FOLDER = f"{FOLDER}/pki"
_ETCD_CA = (f"{_PKI_FOLDER}/etcd/ca.crt", f"{_PKI_FOLDER}/etcd/ca.key")


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


def addons(site: ClusterContext) -> tuple[nodes.Object, ...]:
    """The addons that kubeadm makes for this cluster: all but those that the site has no use for.

    Source: kubeadm Configuration (v1beta4), `skipPhases`, `proxy.disabled`, `dns.disabled`.
    """
    skipped = site.extra.get("InitConfiguration", {}).get("skipPhases") or ()
    cluster = site.extra.get("ClusterConfiguration", {})
    without = {
        "kube-proxy": site.kube_proxy_mode == NO_PROXY or _disabled(cluster, "proxy"),
        "coredns": _disabled(cluster, "dns"),
    }
    return tuple(
        addon
        for addon in nodes.ADDONS
        if not (without[addon.name] or {"addon", f"addon/{addon.name}"} & set(skipped))
    )


def _disabled(cluster: Mapping[str, Any], name: str) -> bool:
    return (cluster.get(name) or {}).get("disabled") is True


def init_script(site: ClusterContext) -> str:
    """A script that runs `kubeadm init`, and notes its begin and its end."""
    files = kubernetes.kubeadm_files(stacked=site.etcd_is_stacked)
    begin = scripts.load(
        "begin_init",
        *(*_PKI, *_ETCD_CA),
        given=_GIVEN,
        removed=_REMOVED,
        began=kubernetes.INIT_BEGAN,
        ca=kubernetes.CA,
        none=kubernetes.NO_CA,
        kubeadm=" ".join(f for f in files if f != kubernetes.CA),
    )
    forget = scripts.load(
        "forget_init",
        *files,
        pki=_PKI_FOLDER,
        given=_GIVEN,
        began=kubernetes.INIT_BEGAN,
        ca=kubernetes.CA,
    )
    command = "kubeadm init --upload-certs --skip-token-print --skip-certificate-key-print"
    failed = f"status=$?\n{forget}exit $status"
    return f"{_noting()}{begin}{command} {CONFIG} || {{\n{failed}\n}}\n{END_INIT}"


def _noting() -> str:
    """Shell functions for the notes of what Hale begins."""
    return kubernetes.CERTIFICATE_DIGEST + scripts.load("note_began")


# Afterwards an addon that is missing is the site's decision.
END_INIT = f"rm -f {kubernetes.INIT_BEGAN}"
# Afterwards the host is no leftover of a join that Hale began.
END_JOIN = f"rm -f {kubernetes.JOIN_BEGAN}"


def join_script(site: ClusterContext, ca: str, *, master: bool) -> str:
    """A script that runs `kubeadm join`, and notes its begin and its end.

    ca: the SHA-256 of the cluster's CA certificate.
    """
    join = f"joined=0\nkubeadm join {CONFIG} || joined=$?\n"
    if master:
        join = scripts.load("join_control_plane", readyz=kubernetes.READYZ)
    files = kubernetes.kubeadm_files(stacked=site.etcd_is_stacked)
    began = kubernetes.JOIN_BEGAN
    begin = scripts.load("begin_join", *files, began=began, digest=ca)
    end = scripts.load("end_join", *files, began=began)
    return f"{_noting()}{begin}{join}{end}"


def token(site: ClusterContext) -> Secret:
    """What `kubeadm token create` reads."""
    return init(site)


def public_config(site: ClusterContext) -> str:
    """The cluster's configuration without secrets, for `kubeadm config images`."""
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
    documents = [configuration, kubelet]
    if site.kube_proxy_mode == NO_PROXY:
        configuration["proxy"] = {"disabled": True}
    else:
        documents.append(proxy)
    if first is not None:
        documents.insert(0, first)
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


def cleanup_script(site: ClusterContext, note: kubernetes.Note, *, init: bool = False) -> str:
    """A script that removes what an interrupted init or join has left on a host.

    note: what Hale noted before it, as it was observed; where this, or the CA, has changed since,
    the script removes nothing.

    It resets twice if need be: files that containers hold open are removed only after them. What an
    init has written to an external etcd stays, so the keys that encrypt it stay too; the next init
    reuses both. A CA that the site has put there before init is brought back, and no key of an
    init is deleted without a copy on the host.
    """
    # The kubelet would mount again.
    stop = f"systemctl stop kubelet 2>/dev/null || :\n{scripts.load('unmount_pods')}"
    script = f"{stop}{reset(site)} >/dev/null 2>&1 || {reset(site)}\n{etcd_data(site)}"
    if init:
        restore = scripts.load("restore_given", *_PKI, *_ETCD_CA, given=_GIVEN)
        script = f"{copy_keys()}{script}\n{restore}"
    require = scripts.load(
        "require_begun",
        began=kubernetes.INIT_BEGAN if init else kubernetes.JOIN_BEGAN,
        noted=note.ca,
        none=kubernetes.NO_CA,
        ca=kubernetes.CA,
        kubelet=KUBELET,
        completed=kubernetes.ROTATING if init else "",
    )
    script = preserving(site, script, _PKI if init and not site.etcd_is_stacked else ())
    return f"{_noting()}{require}{script}\n{'' if init else END_JOIN}"


def copy_keys() -> str:
    """A script that copies kubeadm's PKI to a folder that only root can read, if keys are in it."""
    return scripts.load("save_pki", pki=_PKI_FOLDER, removed=_REMOVED)


# kubeadm derives everything else from these, and reuses those that exist. The last one is written
# last, so if it exists, so do the others.
_PKI = tuple(
    f"{_PKI_FOLDER}/{name}"
    for name in (
        *("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key"),
        *("sa.key", "sa.pub"),
    )
)


def reset(site: ClusterContext) -> str:
    """kubeadm's command. Its removal of a member empties /var/lib/etcd, even an external etcd's."""
    return "kubeadm reset --force" + (
        "" if site.etcd_is_stacked else " --skip-phases=remove-etcd-member"
    )


def etcd_data(site: ClusterContext) -> str:
    """The command that removes the data of kubeadm's own etcd member."""
    return f"rm -rf {kubernetes.ETCD_DATA}" if site.etcd_is_stacked else ":"


def preserving(site: ClusterContext, script: str, pki: Sequence[str] = ()) -> str:
    """The script, wrapped so that the site's own files among kubeadm's stay: kube-vip's manifest,
    and the certificates for an external etcd.

    pki: files that stay as well if the last of them exists.
    """
    files = [f for f in site.etcd_files if f.startswith(f"{FOLDER}/")]
    if site.inventory.endpoint.kind == "kube-vip":
        files.append(vip_config.KUBE_VIP)
    if not (files or pki):
        return script
    keep = scripts.load("keep_files", *files, kept=_KEPT, pki=" ".join(pki))
    return f"{keep}(\n{script}\n)\n{scripts.load('restore_kept_files')}"


def deep_merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two documents: their values win, mappings merge, lists join without duplicates."""
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
