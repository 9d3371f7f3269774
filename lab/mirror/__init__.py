"""The package mirror and image registry of a lab, whose network has no way out.

`invoke lab.supply` builds Kubernetes, etcd and CoreDNS from pinned Go modules, downloads Traefik,
makes packages and images of them, and serves both inside the lab: an apt repository at
http://10.208.1.1:8080/apt and an image registry at 10.208.1.1:5000. Everything but the two servers
is in the cache that all labs share.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab import prerequisites
from lab.build import Cache, cache_root, open_cache
from lab.errors import LabError
from lab.machine import Lab, LabHost
from lab.mirror import (
    binaries,
    debian,
    debs,
    dnf_host,
    golang,
    images,
    karmada,
    kube_vip,
    repository,
    services,
    traefik,
)
from lab.topology import (
    POD_RANGE,
    SECOND_POD_RANGE,
    SECOND_SERVICE_RANGE,
    SECOND_VIP,
    SERVICE_RANGE,
    VIP,
    VIP_PORT,
)

Say = Callable[[str], None]

#: A program that is called here, and the Debian package it comes in.
PROGRAMS = {"apt-ftparchive": "apt-utils", "dpkg-deb": "dpkg", "gpg": "gpg"}

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Artifacts:
    """The folders of the cache that are served, and their Kubernetes version.

    kubernetes: the folder of its programs. kube_vip: its program, or None without it. karmada: the
    file of its definitions, or None without it.
    """

    version: str
    kubernetes: Path
    packages: Path
    images: Path
    registry: Path
    key: Path
    kube_vip: Path | None = None
    karmada: Path | None = None


def start_mirror(
    lab: Lab,
    say: Say,
    kube_dir: Path | None = None,
    dnf: Sequence[LabHost] = (),
    with_kube_vip: bool = False,
    with_karmada: bool = False,
) -> None:
    """Build what is missing in the cache, serve it in the lab, and write the lab's inventory.

    Takes eight minutes on two cores the first time, seconds later. `kube_dir` is a folder with
    the programs of a Kubernetes release, used instead of building them. The `dnf` hosts are
    converted (dnf_host.py), three more minutes the first time. With `with_kube_vip`, kube-vip
    holds the VIP as long as its manifest is on a master (kube_vip.py), two more minutes. With
    `with_karmada`, the lab serves Karmada's images from then on, ten more minutes the first time.
    The hosts of a second cluster have an inventory of their own, with the same packages and images.

    Raises LabError if a step fails, `kube_dir` lacks a program, or the lab's cluster already uses
    keepalived; LabUnavailable if the machine lacks a package that cannot be installed.
    """
    prerequisites.install_missing(say, PROGRAMS)
    masters = [
        host for host in lab.hosts if host.spec.role == "masters" and host not in lab.second_hosts
    ]
    if kube_vip.has_manifest(masters):
        with_kube_vip = True
    elif with_kube_vip and (joined := kube_vip.cluster_member(masters)):
        raise LabError(
            f"{joined} is in a cluster with keepalived: `invoke reset` first, then "
            "`invoke lab.supply --kube-vip`"
        )
    with_karmada = with_karmada or karmada.is_served(lab.state)
    goods = build_artifacts(lab.base, say, kube_dir, with_kube_vip, with_karmada)
    others = (
        dnf_host.build_artifacts(lab.base, say, goods.kubernetes, goods.version)
        if dnf or dnf_host.is_served(lab.state)
        else None
    )
    with lab.locked() as lock:
        if not lab.is_up:
            raise LabError(f"lab {lab.name} is down by now: start it with `invoke lab.up`")
        state = lab.state / "supply"
        state.mkdir(exist_ok=True)
        more = dict(dnf_host.VARIABLES) if others else {}
        port = VIP_PORT
        if goods.kube_vip:
            more |= kube_vip.VARIABLES
            port = kube_vip.PORT
            kube_vip.install_manifest(goods.kube_vip, masters)
        _write_files(lab.state, goods, port)
        if goods.karmada:
            shutil.copyfile(goods.karmada, lab.state / karmada.DEFINITIONS)
        if others:
            dnf_host.serve(others, lab.name, lab.state, [lock])
        variables = inventory_variables(goods)
        lab.write_inventory(variables | more | (karmada.VARIABLES if goods.karmada else {}), port)
        if lab.second_hosts:
            lab.write_second_inventory(variables | _SECOND)
        started = services.serve_files(services.PACKAGES, lab.name, goods.packages, state, [lock])
        say(_served_line("packages", services.PACKAGES.url, started))
        program = goods.registry / "usr/bin/docker-registry"
        started = services.serve_images(lab.name, program, goods.images, state, [lock])
        say(_served_line("images", services.IMAGES.url, started))
    if others:
        for host in dnf:
            dnf_host.convert_host(others, host)
            say(f"{host.name} has dnf instead of apt now")


def build_artifacts(
    base: Path,
    say: Say,
    kube_dir: Path | None = None,
    with_kube_vip: bool = False,
    with_karmada: bool = False,
) -> Artifacts:
    """Everything that is served, from the cache or built; `base` is the hosts' Debian."""
    federation = karmada.build_programs(say) if with_karmada else None
    with open_cache(cache_root() / "supply", say) as building:
        if kube_dir is None:
            version = binaries.KUBERNETES_VERSION
            kubernetes = golang.build_module(building, binaries.KUBERNETES)
        else:
            kubernetes = _taken(building, kube_dir)
            version = _version(kubernetes)
        etcd = golang.build_module(building, binaries.ETCD)
        made = images.ImagePrograms(
            kubernetes,
            etcd,
            golang.build_module(building, binaries.COREDNS),
            golang.build_module(building, binaries.TOOLS),
        )
        downloaded = debian.download_packages(building, base)
        packed = debs.build_packages(building, kubernetes, version, etcd, debian.architecture(base))
        ingress = traefik.image(traefik.download_program(building))
        wanted = [*images.lab_images(made, version), ingress]
        its = (
            golang.build_module(building, binaries.KUBE_VIP) / "kube-vip" if with_kube_vip else None
        )
        if its:
            wanted.append(kube_vip.image(its))
        if federation:
            wanted += karmada.its_images(federation[0])
        return Artifacts(
            version,
            kubernetes,
            repository.build_repository(building, [packed, downloaded / "packages"]),
            images.build_registry(building, wanted, base),
            downloaded / "registry",
            repository.signing_key(building) / repository.KEY,
            its,
            federation and federation[1],
        )


def inventory_variables(goods: Artifacts) -> dict[str, str]:
    """The cluster's variables in the inventory of a lab with a mirror."""
    return {
        "cluster_name": "kubernetes",
        "kubernetes_version": goods.version,
        "apt_repository": f'"{services.PACKAGES.url}/{repository.FOLDER} ./"',
        "apt_key": "apt-key.asc",
        "image_repository": f"{images.REGISTRY}/{images.KUBERNETES}",
        "image_registry_plain_http": "true",
        "pod_cidr": str(POD_RANGE),
        "service_cidr": str(SERVICE_RANGE),
        "network_manifest": "network.yaml",
        "addons": "echo.yaml",
        "vrrp_id": "51",
        "kubeadm_extra": "kubeadm-extra.yaml",
        "cgroup_driver": "cgroupfs",
    }


#: What differs in the inventory of the second cluster.
_SECOND = {
    "cluster_name": "second",
    "pod_cidr": str(SECOND_POD_RANGE),
    "service_cidr": str(SECOND_SERVICE_RANGE),
    "network_manifest": "second-network.yaml",
    "vrrp_id": "52",
    "kubeadm_extra": "second-kubeadm-extra.yaml",
}


def _write_files(folder: Path, goods: Artifacts, vip_port: int) -> None:
    """Write the files that the variables name, beside the inventory."""
    templates = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    for file, name, pods, vip, port in (
        ("network.yaml", "network", POD_RANGE, VIP, vip_port),
        ("second-network.yaml", "network", SECOND_POD_RANGE, SECOND_VIP, VIP_PORT),
        ("echo.yaml", "echo", POD_RANGE, VIP, vip_port),
    ):
        text = templates.get_template(f"{name}.yaml.j2").render(
            registry=images.REGISTRY,
            image=f"{images.LAB}/{name}:{images.OWN}",
            pods=pods,
            others=POD_RANGE if pods is SECOND_POD_RANGE else SECOND_POD_RANGE,
            vip=vip,
            vip_port=port,
        )
        (folder / file).write_text(text)
    extra = (_HERE / "kubeadm-extra.yaml").read_text()
    (folder / "kubeadm-extra.yaml").write_text(extra)
    schedulable = (_HERE / "schedulable-masters.yaml").read_text()
    (folder / "second-kubeadm-extra.yaml").write_text(f"{extra}---\n{schedulable}")
    shutil.copyfile(goods.key, folder / "apt-key.asc")


def _taken(building: Cache, folder: Path) -> Path:
    """The programs of an existing release, copied into the cache."""
    lacking = [name for name in binaries.KUBERNETES_PROGRAMS if not (folder / name).is_file()]
    if lacking:
        raise LabError(
            f"{folder} lacks {', '.join(lacking)}: --kube-dir is a folder with the programs of "
            "kubernetes-server-linux-*.tar.gz (kubernetes/server/bin there)"
        )
    inputs: dict[str, object] = {}
    for name in binaries.KUBERNETES_PROGRAMS:
        with (folder / name).open("rb") as program:
            inputs[name] = hashlib.file_digest(program, "sha256").hexdigest()

    def make(partial: Path) -> Path:
        for name in binaries.KUBERNETES_PROGRAMS:
            shutil.copyfile(folder / name, partial / name)
            (partial / name).chmod(0o755)
        return partial

    return building.entry("kubernetes-given", inputs, make)


def _version(folder: Path) -> str:
    """The version that the release's kubeadm reports."""
    argv = [str(folder / "kubeadm"), "version", "--output=short"]
    try:
        output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as e:
        raise LabError(f"`{' '.join(argv)}` failed: {e}") from e
    return output.removeprefix("v")


def _served_line(what: str, url: str, started: bool) -> str:
    return f"{what} at {url}" + ("" if started else ", as before")
