"""The inventory's settings of the cluster that `invoke install` builds, typed and validated.

Every variable applies to the cluster, not to a host. Names of files are relative to the inventory's
folder. Sources: kubeadm's v1beta4 configuration (networking, imageRepository), RFC 9568 (VRRP:
virtual router ids), apt's sources.list(5), distribution's "reference" for names of images.
"""

import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hale.inventory.component_choice import GATEWAY, MANIFEST, REFUSED, ComponentChoice
from hale.model.errors import Location, UserError

CGROUP_DRIVERS = ("systemd", "cgroupfs")
NO_INGRESS = "none"
INGRESSES = (NO_INGRESS, "traefik", f"{GATEWAY}:CLASS", f"{MANIFEST}:FILE")
INGRESS_PORTS = (80, 443)  # of every worker; of the VIP too with ingress_on_vip
NO_DASHBOARD = "none"
DASHBOARDS = (NO_DASHBOARD, "headlamp", "kubernetes-dashboard", f"{MANIFEST}:FILE")
NO_FEDERATION = "none"
FEDERATIONS = (NO_FEDERATION, "karmada")
VARIABLES = (
    "cluster_name",
    "kubernetes_version",
    "apt_repository",
    "apt_key",
    "dnf_repository",
    "dnf_key",
    "image_repository",
    "image_registry_plain_http",
    "pod_cidr",
    "service_cidr",
    "network_manifest",
    "addons",
    "vrrp_id",
    "kubeadm_extra",
    "cgroup_driver",
    "ingress",
    "ingress_image",
    "ingress_on_vip",
    "dashboard",
    "dashboard_image",
    "federation",
    "federation_crds",
)
ADMIN = "/etc/kubernetes/admin.conf"  # where kubeadm puts the administrator's kubeconfig
KUBELET = "/etc/kubernetes/kubelet.conf"  # the kubelet's, on a host that has joined a cluster
# On the hosts: below it, by path, the SHA-256 of all that an install has written to a file.
WRITTEN = "/var/lib/hale/install/written"
# The default VRRP router id; not 51 of keepalived's examples, which many sites forget to change.
VRRP_ID = 163
TRUE, FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Setting(Protocol):
    """A variable of the inventory."""

    @property
    def value(self) -> str:
        """Its text."""

    @property
    def where(self) -> Location:
        """The line that sets it."""


class AptSource(Struct, frozen=True):
    """An apt source line without its options: sources.list(5)."""

    url: str
    suite: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.url, self.suite, *self.components))


SERVICES = ipaddress.IPv4Network("10.96.0.0/12")  # kubeadm's own default


class ClusterSpec(Struct, frozen=True):
    """The cluster's settings; empty or None if the inventory does not set them.

    kubernetes_version: without a `v`. image_repository: with its path, without a trailing `/`;
    empty means kubeadm's default. plain_http: the registry does not use TLS. cgroup_driver: of
    containerd and the kubelet. ingress, dashboard: one of INGRESSES, of DASHBOARDS, its first word;
    ingress_class, ingress_manifest, dashboard_manifest: what is named behind `gateway`, `manifest`;
    ingress_image, dashboard_image: in place of those that Hale names. ingress_on_vip: haproxy on
    the masters forwards INGRESS_PORTS to the workers. federation: one of FEDERATIONS;
    federation_crds: the file of its kinds, with which it is installed.
    """

    name: str = "kubernetes"
    kubernetes_version: str = ""
    apt_repository: AptSource | None = None
    apt_key: Path | None = None
    dnf_repository: str = ""
    dnf_key: Path | None = None
    image_repository: str = ""
    plain_http: bool = False
    pod_cidr: Network | None = None
    service_cidr: Network = SERVICES
    network_manifest: Path | None = None
    addons: tuple[Path, ...] = ()
    vrrp_id: int = VRRP_ID
    kubeadm_extra: Path | None = None
    cgroup_driver: str = "systemd"
    ingress: str = NO_INGRESS
    ingress_class: str = ""
    ingress_manifest: Path | None = None
    ingress_image: str = ""
    ingress_on_vip: bool = False
    dashboard: str = NO_DASHBOARD
    dashboard_manifest: Path | None = None
    dashboard_image: str = ""
    federation: str = NO_FEDERATION
    federation_crds: Path | None = None

    @property
    def manifests(self) -> tuple[Path, ...]:
        """The files of objects that the inventory names for the cluster."""
        own = (self.network_manifest, self.ingress_manifest, self.dashboard_manifest)
        return (*(path for path in own if path is not None), *self.addons)

    @property
    def registry(self) -> str:
        """Host and port of the image repository; empty for kubeadm's default."""
        return self.image_repository.partition("/")[0]

    @property
    def minor(self) -> tuple[int, int]:
        """Major and minor of the version. Raises ValueError where none is given."""
        major, minor, _ = self.kubernetes_version.split(".")
        return int(major), int(minor)


def read_cluster_spec(
    site: Mapping[str, Setting], path: Path, addresses: Iterable[str]
) -> ClusterSpec:
    """The cluster's settings in the inventory at `path`.

    addresses: those of the hosts and the VIP, which no range may contain. Raises UserError, with
    file and line, for a mistake in one of them.
    """
    given = _SettingReader(site, path)
    pods, services = given.network("pod_cidr"), given.network("service_cidr")
    services = services or SERVICES
    _check_ranges_disjoint(given, pods, services, addresses)
    ingress = given.component("ingress", INGRESSES)
    dashboard = given.component("dashboard", DASHBOARDS)
    return ClusterSpec(
        name=given.matching(
            "cluster_name", r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", "small letters, digits and -"
        )
        or "kubernetes",
        kubernetes_version=given.matching(
            "kubernetes_version", r"[1-9]\d?\.\d{1,3}\.\d{1,3}", "like 1.34.4, without a v"
        ),
        apt_repository=given.apt_source("apt_repository"),
        apt_key=given.file("apt_key"),
        dnf_repository=given.matching("dnf_repository", r"(https?|file)://\S+", "a baseurl"),
        dnf_key=given.file("dnf_key"),
        image_repository=given.matching(
            "image_repository",
            r"[A-Za-z0-9.-]+(:\d{1,5})?(/[a-z0-9._-]+)*",
            "like registry.example:5000/k8s, without https:// and tag",
        ),
        plain_http=given.boolean("image_registry_plain_http"),
        pod_cidr=pods,
        service_cidr=services,
        network_manifest=given.file("network_manifest"),
        addons=given.files("addons"),
        vrrp_id=given.number("vrrp_id", 1, 255) or VRRP_ID,
        kubeadm_extra=given.file("kubeadm_extra"),
        cgroup_driver=given.choice("cgroup_driver", CGROUP_DRIVERS),
        ingress=ingress.kind,
        ingress_class=ingress.gateway_class,
        ingress_manifest=ingress.manifest,
        ingress_image=given.image("ingress_image"),
        ingress_on_vip=_on_vip(given, ingress.kind),
        dashboard=dashboard.kind,
        dashboard_manifest=dashboard.manifest,
        dashboard_image=given.image("dashboard_image"),
        federation=given.choice("federation", FEDERATIONS),
        federation_crds=given.file("federation_crds"),
    )


class _SettingReader:
    def __init__(self, site: Mapping[str, Setting], path: Path) -> None:
        self._site = site
        self._path = path

    def wrong(self, name: str, why: str) -> UserError:
        found = self._site.get(name)
        if found is None:
            return UserError(f"{name}: {why}", Location(self._path))
        return UserError(f"{name}={found.value!r}: {why}", found.where)

    def text(self, name: str) -> str:
        found = self._site.get(name)
        if found is None:
            return ""
        if not found.value.strip():
            raise self.wrong(name, "empty. Give it a value, or remove the line.")
        return found.value.strip()

    def matching(self, name: str, pattern: str, expected: str) -> str:
        text = self.text(name)
        if text and not re.fullmatch(pattern, text):
            raise self.wrong(name, f"expected {expected}.")
        return text

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        text = self.text(name) or known[0]
        if text not in known:
            raise self.wrong(name, f"use one of {', '.join(known)}.")
        return text

    def component(self, name: str, known: tuple[str, ...]) -> ComponentChoice:
        """One of `known`, whose first is the default; behind a colon what it names."""
        text = self.text(name) or known[0]
        if why := REFUSED.get((name, text)):
            raise self.wrong(name, f"{why} See docs/install.md.")
        kind, colon, named = text.partition(":")
        forms = {form.partition(":")[0]: ":" in form for form in known}
        if forms.get(kind) is not bool(colon):
            raise self.wrong(name, f"use one of {', '.join(known)}.")
        if kind == MANIFEST:
            return ComponentChoice(kind, manifest=self._there(name, named))
        if colon and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", named, re.ASCII):
            raise self.wrong(name, f"expected the name of a GatewayClass behind {GATEWAY}:.")
        return ComponentChoice(kind, gateway_class=named)

    def image(self, name: str) -> str:
        return self.matching(
            name,
            r"[A-Za-z0-9.-]+(:\d{1,5})?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
            r"(@sha256:[0-9a-f]{64})?",
            "like registry.example:5000/traefik:v3.7.15, with its registry",
        )

    def boolean(self, name: str) -> bool:
        text = self.text(name).lower()
        if text and text not in TRUE + FALSE:
            raise self.wrong(name, "expected true or false.")
        return text in TRUE

    def number(self, name: str, least: int, most: int) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise self.wrong(name, f"expected a number from {least} to {most}.")
        return int(text)

    def network(self, name: str) -> Network | None:
        text = self.text(name)
        if not text:
            return None
        if "/" not in text:
            raise self.wrong(name, "expected a range with its mask, like 10.244.0.0/16.")
        try:
            return ipaddress.ip_network(text)
        except ValueError as error:
            raise self.wrong(name, f"not an address range: {error}.") from None

    def apt_source(self, name: str) -> AptSource | None:
        text = self.text(name)
        if not text:
            return None
        url, *rest = text.split()
        if not re.fullmatch(r"(https?|file|mirror\+\S+)://?\S+", url) or not rest:
            raise self.wrong(
                name, 'expected "URL SUITE [COMPONENT…]", like "http://mirror/k8s ./".'
            )
        suite, *components = rest
        if suite.endswith("/") == bool(components):
            raise self.wrong(
                name,
                "a suite that is a path ends with / and has no components; other suites need some.",
            )
        return AptSource(url, suite, tuple(components))

    def file(self, name: str) -> Path | None:
        text = self.text(name)
        return self._there(name, text) if text else None

    def files(self, name: str) -> tuple[Path, ...]:
        try:
            words = shlex.split(self.text(name))
        except ValueError as error:
            raise self.wrong(name, f"{str(error).lower()}.") from None
        return tuple(self._there(name, word) for word in words)

    def _there(self, name: str, text: str) -> Path:
        try:
            path = self._path.parent / Path(text).expanduser()
            if path.is_file():
                return path
        except (RuntimeError, ValueError, OSError) as error:  # no such user, no such name
            raise self.wrong(name, f"{error}.") from None
        raise self.wrong(name, f"there is no file {path}.")


def _on_vip(given: _SettingReader, ingress: str) -> bool:
    """Whether haproxy forwards the ingress's ports. Raises UserError where it cannot."""
    name = "ingress_on_vip"
    if not given.boolean(name):
        return False
    if ingress == NO_INGRESS:
        raise given.wrong(name, "there is no ingress; set ingress, or remove the line.")
    kind = given.text("endpoint_kind")
    if kind not in ("", "keepalived"):
        raise given.wrong(name, f"endpoint_kind={kind} has no haproxy of Hale's on the masters.")
    if given.number("vip_port", 1, 65535) in INGRESS_PORTS:
        raise given.wrong(name, "vip_port is one of the ingress's own ports.")
    return True


def _check_ranges_disjoint(
    given: _SettingReader, pods: Network | None, services: Network, addresses: Iterable[str]
) -> None:
    """Pods, services and hosts need disjoint addresses. Raises UserError."""
    # kubeadm's default service CIDR applies only if an install is configured.
    installs = given.text("service_cidr") or given.text("kubernetes_version")
    ranges = [("service_cidr", services)] if installs else []
    if pods is not None:
        ranges.insert(0, ("pod_cidr", pods))
        if pods.version == services.version and pods.overlaps(services):
            raise given.wrong("pod_cidr", f"it overlaps the services' range {services}.")
    for name, found in ranges:
        for text in addresses:
            if (address := _address(text)) and address in found:
                raise given.wrong(
                    name, f"the host's address or VIP {address} lies in the range {found}."
                )


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None  # a name, which only the hosts can resolve
