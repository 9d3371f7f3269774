"""The cluster that phases install: the inventory, the operator's files, the run's secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hale.files import regular, yaml_documents
from hale.install.secrets import Secrets
from hale.inventory.cluster_spec import ClusterSpec
from hale.inventory.ini import Host, Inventory
from hale.model.errors import Location, UserError
from hale.paths import ROOT
from hale.standard import loader
from hale.standard.loader import Standard

KUBE_PROXY = "CMP-KUBE-PROXY"  # the requirement whose parameter `mode` is the proxy's mode
NO_PROXY = "none"  # … of a cluster whose network plugin replaces kube-proxy
SERVICE_LIMITS = "service_limits"  # the subject of requirements about the limits of services
COREDNS = "CMP-COREDNS"  # … and whose parameter `replicas` says on how many nodes it must be
APISERVER_PORT = 6443
# The kinds of host groups for a phase's HOST_GROUPS; and the name of the group of all hosts.
MOST = 16 * regular.MIB  # of a file that the inventory names
GROUPS = FIRST, MASTERS, WORKERS = "first", "masters", "workers"
ALL_HOSTS = ""


@dataclass(frozen=True)
class ClusterContext:
    """Everything that the phases know besides their observations.

    extra: the documents of kubeadm_extra by kind. files: the contents of the operator's files by
    path, as they were read. dns_nodes: the number of nodes that must run CoreDNS. current_group:
    the host group of the current task (hale/install/scheduler.py). service_limits: by host, the
    parameters of the requirements about limits of services.
    """

    inventory: Inventory
    kube_proxy_mode: str
    dns_nodes: int
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    current_group: str = ALL_HOSTS
    service_limits: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def cluster(self) -> ClusterSpec:
        """The cluster variables of the inventory."""
        return self.inventory.cluster

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Control-plane nodes and workers, in the inventory's order."""
        return tuple(h for h in self.inventory.hosts if h.groups & {"masters", "workers"})

    @property
    def current_hosts(self) -> tuple[Host, ...]:
        """The hosts of the current group."""
        return tuple(h for h in self.hosts if self.current_group in (ALL_HOSTS, _part(self, h)))

    @property
    def current_masters(self) -> tuple[Host, ...]:
        """The control-plane nodes of the current group."""
        return tuple(h for h in self.current_hosts if h in self.masters)

    @property
    def host_groups(self) -> dict[str, str]:
        """Every host group by name, in order, with its kind: first, masters or workers."""
        found = {_part(self, h): _group(self, h) for h in (*self.masters, *self.workers)}
        return {ALL_HOSTS: ALL_HOSTS, **found}

    @property
    def masters(self) -> tuple[Host, ...]:
        """The control-plane hosts."""
        return self.inventory.masters

    @property
    def workers(self) -> tuple[Host, ...]:
        """All other hosts of the cluster."""
        return tuple(h for h in self.hosts if not h.is_master)

    @property
    def first_control_plane(self) -> Host:
        """The control-plane node on which `kubeadm init` runs."""
        return self.masters[0]

    @property
    def cluster_name(self) -> str:
        """The cluster's name as kubeadm has it: kubeadm_extra's, else the inventory's."""
        named = self.extra.get("ClusterConfiguration", {}).get("clusterName")
        return str(named or self.cluster.name)

    @property
    def endpoint(self) -> str:
        """Name and port of the control plane: kubeadm's controlPlaneEndpoint."""
        return f"{self.inventory.endpoint.names[0]}:{self.inventory.endpoint.port}"

    @property
    def manages_load_balancer(self) -> bool:
        """Whether Hale sets up keepalived and haproxy on the control-plane nodes."""
        return self.inventory.endpoint.kind == "keepalived"

    @property
    def etcd_is_stacked(self) -> bool:
        """Whether kubeadm runs etcd on the control-plane nodes."""
        return self.inventory.etcd_kind == "stacked"

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        """The endpoints of an external etcd."""
        return tuple(map(str, _external_etcd(self.extra).get("endpoints") or ()))

    @property
    def etcd_files(self) -> tuple[str, str, str]:
        """CA, certificate and key for an external etcd; empty strings if it needs none."""
        named = _external_etcd(self.extra)
        ca, cert, key = (str(named.get(k) or "") for k in ("caFile", "certFile", "keyFile"))
        return ca, cert, key

    def text(self, path: Path) -> str:
        """The text of an operator's file."""
        return self.files[path].decode()


def _group(site: ClusterContext, host: Host) -> str:
    if host not in site.masters:
        return WORKERS
    return FIRST if host is site.first_control_plane else MASTERS


def _part(site: ClusterContext, host: Host) -> str:
    """The host group of a host: each control-plane node is one, all workers are one."""
    return f"[{WORKERS}]" if host not in site.masters else host.name


def load_context(inventory: Inventory, stated: Standard) -> ClusterContext:
    """Read the operator's files, to install. Raises UserError for missing or contradictory
    settings."""
    _check_ports(inventory)
    return _load(inventory, stated)


def _load(inventory: Inventory, stated: Standard) -> ClusterContext:
    cluster = inventory.cluster
    _check_required(inventory)
    paths = [cluster.apt_key, cluster.dnf_key, cluster.federation_crds, *cluster.manifests]
    texts: dict[Path, bytes] = {}
    for path in paths:
        if path is not None:
            texts[path] = _bytes(path)
    for path in cluster.manifests:
        documents(path, texts[path])
    extra: dict[str, Mapping[str, Any]] = {}
    if cluster.kubeadm_extra is not None:
        texts[cluster.kubeadm_extra] = _bytes(cluster.kubeadm_extra)
        for document in documents(cluster.kubeadm_extra, texts[cluster.kubeadm_extra]):
            extra[document["kind"]] = document
    _check_consistent(inventory, extra)
    nodes = min(_stated(inventory, stated, COREDNS).replicas, len(inventory.hosts))
    mode = _mode(inventory, stated, extra)
    limits = _service_limits(inventory, stated)
    return ClusterContext(inventory, mode, nodes, extra, texts, service_limits=limits)


def _service_limits(inventory: Inventory, stated: Standard) -> dict[str, tuple[Any, ...]]:
    """The parameters of each host, overrides included."""
    found = [r for r in stated.requirements if r.subject == SERVICE_LIMITS]
    return {
        host.name: tuple(loader.parameters_of(r, inventory, host)[0] for r in found)
        for host in inventory.hosts
    }


def load_cluster_context(inventory: Inventory) -> ClusterContext:
    """The cluster as the inventory and the standard describe it, to remove it: also one that could
    not be installed. Raises UserError."""
    return _load(inventory, loader.load_standard(ROOT / "standard"))


def documents(path: Path, raw: bytes) -> list[dict[str, Any]]:
    """The objects of a manifest, those of a List one by one. Raises UserError, with the line, for
    invalid YAML, and for what is no object of Kubernetes."""
    found: list[dict[str, Any]] = []
    for document in yaml_documents.load_documents(path, raw):
        items = document.get("items") if isinstance(document, dict) else None
        found += [document] if items is None else items if isinstance(items, list) else [items]
    for one in found:
        if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
            raise UserError("a document without `kind`.", Location(path))
        if not isinstance(one.get("metadata", {}), dict):
            raise UserError("a document whose `metadata` is no mapping.", Location(path))
    return found


def _bytes(path: Path) -> bytes:
    try:
        return regular.read_file(path, MOST)
    except regular.UnfitFile as error:
        raise UserError(f"it is {error}. Name a regular file.", Location(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", Location(path)) from None


def _check_ports(inventory: Inventory) -> None:
    """haproxy and the apiserver run on the same hosts. Raises UserError if they share a port."""
    endpoint = inventory.endpoint
    if endpoint.kind == "keepalived" and endpoint.port == APISERVER_PORT:
        raise UserError(
            f"vip_port={APISERVER_PORT} is the port of each master's own apiserver, beside which "
            "haproxy cannot listen. Set another, such as 16443; or endpoint_kind=kube-vip "
            "or external, which need no haproxy on the masters.",
            inventory.variables["vip_port"].where,
        )


def _check_required(inventory: Inventory) -> None:
    """Check the variables that have no default. Raises UserError."""
    cluster, where = inventory.cluster, Location(inventory.path)
    if not inventory.masters:
        raise UserError("the group [masters] has no host, so there is nothing to install.", where)
    for name, given in (
        ("kubernetes_version", cluster.kubernetes_version),
        ("pod_cidr", cluster.pod_cidr),
        ("network_manifest", cluster.network_manifest),
    ):
        if not given:
            raise UserError(
                f"the variable {name} is missing; set it in [k8s:vars] (docs/install.md).", where
            )
    for kind in ("apt", "dnf"):
        source, key = getattr(cluster, f"{kind}_repository"), getattr(cluster, f"{kind}_key")
        if source and key is None:
            raise UserError(
                f"{kind}_repository needs {kind}_key, the public key that its packages are signed "
                "with: nothing unsigned is installed.",
                inventory.variables[f"{kind}_repository"].where,
            )
        if key is not None and not source:
            raise UserError(
                f"{kind}_key belongs to {kind}_repository, which is not set.",
                inventory.variables[f"{kind}_key"].where,
            )
    for host in inventory.hosts:
        if host.groups & {"masters", "workers"} and not host.address:
            raise UserError(f"{host.name} needs ansible_host=ADDRESS to be installed.", host.where)


KINDS = (
    "ClusterConfiguration",
    "InitConfiguration",
    "JoinConfiguration",
    "KubeletConfiguration",
    "KubeProxyConfiguration",
)


def _check_consistent(inventory: Inventory, extra: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the inventory and kubeadm_extra agree. Raises UserError."""
    path = inventory.cluster.kubeadm_extra
    for kind in extra:
        if kind not in KINDS:
            raise UserError(
                f"kind {kind}: known are {', '.join(KINDS)}.", Location(path or inventory.path)
            )
    external = _external_etcd(extra)
    if inventory.etcd_kind == "external" and not external.get("endpoints"):
        raise UserError(
            "etcd_kind=external needs kubeadm_extra with a ClusterConfiguration that names "
            "etcd.external.endpoints and its certificates on the masters.",
            inventory.variables["etcd_kind"].where,
        )
    if inventory.etcd_kind == "stacked" and external:
        raise UserError(
            "etcd.external is named, but the inventory says etcd_kind=stacked.",
            Location(path or inventory.path),
        )
    driver = extra.get("KubeletConfiguration", {}).get("cgroupDriver")
    if driver and driver != inventory.cluster.cgroup_driver:
        raise UserError(
            f"cgroupDriver {driver} contradicts cgroup_driver={inventory.cluster.cgroup_driver} of "
            "the inventory: containerd and the kubelet must agree.",
            Location(path or inventory.path),
        )


def _external_etcd(extra: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """kubeadm's `etcd.external`: an external etcd, and how control-plane nodes reach it."""
    etcd = extra.get("ClusterConfiguration", {}).get("etcd") or {}
    return etcd.get("external") or {}


def _mode(inventory: Inventory, stated: Standard, extra: Mapping[str, Mapping[str, Any]]) -> str:
    """kube-proxy's mode: the site's own document, else the standard's with its overrides."""
    if mode := extra.get("KubeProxyConfiguration", {}).get("mode"):
        return str(mode)
    return str(_stated(inventory, stated, KUBE_PROXY).mode)


def _stated(inventory: Inventory, stated: Standard, name: str) -> Any:
    """A requirement's parameters, with the site's overrides."""
    requirement = next(r for r in stated.requirements if r.id == name)
    return loader.parameters_of(requirement, inventory, None)[0]


def encoded(document: Mapping[str, Any]) -> str:
    """One YAML document; JSON is YAML, and needs no quoting rules of its own."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
