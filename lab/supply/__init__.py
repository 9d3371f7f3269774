"""What a cluster on the lab's hosts needs from outside, which the lab's network has not.

`invoke lab.supply` builds Kubernetes, etcd and CoreDNS from pinned Go modules, makes packages and
images of them, and serves both inside the lab: an apt repository at http://10.208.1.1:8080/apt and
an image registry at 10.208.1.1:5000. Everything but the two servers lies in the cache, shared by
all labs.
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
from lab.build import Cache, cache, opened
from lab.errors import LabError
from lab.machine import Lab, LabHost
from lab.supply import (
    debian,
    debs,
    golang,
    images,
    kube_vip,
    programs,
    red_hat,
    repository,
    services,
)
from lab.topology import POD_RANGE, SERVICE_RANGE, VIP, VIP_PORT

Say = Callable[[str], None]

#: A program that is called here, and the Debian package it comes in.
PROGRAMS = {"apt-ftparchive": "apt-utils", "dpkg-deb": "dpkg", "gpg": "gpg"}

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Goods:
    """What is served: folders of the cache, and the version of Kubernetes in them.

    kubernetes: its programs by themselves. kube_vip: its program, where it was asked for.
    """

    version: str
    kubernetes: Path
    packages: Path
    images: Path
    registry: Path
    key: Path
    kube_vip: Path | None = None


def supply(
    lab: Lab,
    say: Say,
    kube_dir: Path | None = None,
    dnf: Sequence[LabHost] = (),
    with_kube_vip: bool = False,
) -> None:
    """Build what is not built yet, serve it in the lab, and name it in the lab's inventory.

    Eight minutes on two cores the first time, seconds later. `kube_dir` is a folder with the
    programs of a Kubernetes release, which are taken instead of building them. `dnf` are hosts
    that become such as are no Debian (red_hat.py), which takes three minutes more the first time.
    With `with_kube_vip` it is kube-vip that holds the VIP, for as long as its manifest lies on a
    master (kube_vip.py): two minutes more the first time.

    Raises LabError if a step fails, `kube_dir` lacks a program, or kube-vip would come into a
    cluster that has keepalived; LabUnavailable if the machine lacks a package that cannot be
    installed.
    """
    prerequisites.install_missing(say, PROGRAMS)
    masters = [host for host in lab.hosts if host.plan.role == "masters"]
    if kube_vip.placed(masters):
        with_kube_vip = True
    elif with_kube_vip and (joined := kube_vip.joined(masters)):
        raise LabError(
            f"{joined} has a cluster, whose VIP keepalived holds: `invoke reset` first, then "
            "`invoke lab.supply --kube-vip`"
        )
    goods = built(lab.base, say, kube_dir, with_kube_vip)
    others = (
        red_hat.built(lab.base, say, goods.kubernetes, goods.version)
        if dnf or red_hat.served(lab.state)
        else None
    )
    with lab.locked() as lock:
        if not lab.is_up:
            raise LabError(f"lab {lab.name} went down meanwhile: `invoke lab.up` raises it")
        state = lab.state / "supply"
        state.mkdir(exist_ok=True)
        more = dict(red_hat.VARIABLES) if others else {}
        port = VIP_PORT
        if goods.kube_vip:
            more |= kube_vip.VARIABLES
            port = kube_vip.PORT
            kube_vip.put(goods.kube_vip, masters)
        _write_files(lab.state, goods, port)
        if others:
            red_hat.serve(others, lab.name, lab.state, [lock])
        lab.write_inventory(variables(goods) | more, port)
        started = services.serve_files(services.PACKAGES, lab.name, goods.packages, state, [lock])
        say(_said("packages", services.PACKAGES.url, started))
        program = goods.registry / "usr/bin/docker-registry"
        started = services.serve_images(lab.name, program, goods.images, state, [lock])
        say(_said("images", services.IMAGES.url, started))
    if others:
        for host in dnf:
            red_hat.become(others, host)
            say(f"{host.name} has dnf now, and no apt")


def built(base: Path, say: Say, kube_dir: Path | None = None, with_kube_vip: bool = False) -> Goods:
    """Everything that is served, built where the cache has it not; `base` is the hosts' Debian."""
    with opened(cache() / "supply", say) as building:
        if kube_dir is None:
            version = programs.KUBERNETES_VERSION
            kubernetes = golang.built(building, programs.KUBERNETES)
        else:
            kubernetes = _taken(building, kube_dir)
            version = _version(kubernetes)
        etcd = golang.built(building, programs.ETCD)
        made = images.Programs(
            kubernetes,
            etcd,
            golang.built(building, programs.COREDNS),
            golang.built(building, programs.TOOLS),
        )
        downloaded = debian.downloaded(building, base)
        packed = debs.packed(building, kubernetes, version, etcd, debian.architecture(base))
        wanted = images.wanted(made, version)
        its = golang.built(building, programs.KUBE_VIP) / "kube-vip" if with_kube_vip else None
        if its:
            wanted.append(kube_vip.image(its))
        return Goods(
            version,
            kubernetes,
            repository.made(building, [packed, downloaded / "packages"]),
            images.stored(building, wanted, base),
            downloaded / "registry",
            repository.signing_key(building) / repository.KEY,
            its,
        )


def variables(goods: Goods) -> dict[str, str]:
    """What the lab's inventory says of the cluster once the lab is supplied, by variable."""
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


def _write_files(folder: Path, goods: Goods, vip_port: int) -> None:
    """Put the files that the variables name beside the inventory."""
    templates = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    for name in ("network", "echo"):
        text = templates.get_template(f"{name}.yaml.j2").render(
            registry=images.REGISTRY,
            image=f"{images.LAB}/{name}:{images.OWN}",
            pods=POD_RANGE,
            vip=VIP,
            vip_port=vip_port,
        )
        (folder / f"{name}.yaml").write_text(text)
    shutil.copyfile(_HERE / "kubeadm-extra.yaml", folder / "kubeadm-extra.yaml")
    shutil.copyfile(goods.key, folder / "apt-key.asc")


def _taken(building: Cache, folder: Path) -> Path:
    """The programs of somebody else's release, copied into the cache."""
    lacking = [name for name in programs.KUBERNETES_PROGRAMS if not (folder / name).is_file()]
    if lacking:
        raise LabError(
            f"{folder} lacks {', '.join(lacking)}: --kube-dir is a folder with the programs of "
            "kubernetes-server-linux-*.tar.gz (kubernetes/server/bin there)"
        )
    inputs: dict[str, object] = {}
    for name in programs.KUBERNETES_PROGRAMS:
        with (folder / name).open("rb") as program:
            inputs[name] = hashlib.file_digest(program, "sha256").hexdigest()

    def make(partial: Path) -> Path:
        for name in programs.KUBERNETES_PROGRAMS:
            shutil.copyfile(folder / name, partial / name)
            (partial / name).chmod(0o755)
        return partial

    return building.entry("kubernetes-given", inputs, make)


def _version(folder: Path) -> str:
    """The version that a release's own kubeadm says it is."""
    asked = [str(folder / "kubeadm"), "version", "--output=short"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as e:
        raise LabError(f"`{' '.join(asked)}` failed: {e}") from e
    return said.removeprefix("v")


def _said(what: str, url: str, started: bool) -> str:
    return f"{what} at {url}" + ("" if started else ", as before")
