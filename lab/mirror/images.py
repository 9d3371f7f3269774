"""The images that a cluster pulls, as the storage folder of a read-only docker-registry.

They are the images that kubeadm names, two of the lab's own, and its stand-in for Headlamp. An
image consists of layers, a configuration and a manifest (OCI image specification); their paths in a
registry's storage are those of distribution/distribution, registry/storage/paths.go.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.build import Cache
from lab.errors import LabError
from lab.mirror import binaries, rootfs
from lab.topology import OPERATOR_ADDRESS

#: Where the lab's registry answers, and the two repositories in it.
REGISTRY = f"{OPERATOR_ADDRESS}:5000"
KUBERNETES, LAB = "k8s", "lab"

#: Changes when the images are made in another way.
_RECIPE = 1

#: Version of the lab's own two images.
OWN = "1"

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image: its name with the tag, what it starts, and the programs in it by their place.

    With `debian` a small Debian lies under the programs.
    """

    name: str
    start: tuple[str, ...]
    programs: tuple[tuple[Path, str], ...]
    debian: bool = False


@dataclass(frozen=True)
class ImagePrograms:
    """Folders with what was built."""

    kubernetes: Path
    etcd: Path
    coredns: Path
    tools: Path


def lab_images(programs: ImagePrograms, version: str) -> list[Image]:
    """The images that this kubeadm names for its version, and the lab's own.

    Raises LabError if kubeadm cannot be run, or names one that the lab cannot make.
    """
    argv = [str(programs.kubernetes / "kubeadm"), "config", "images", "list",
             f"--kubernetes-version=v{version}", f"--image-repository={KUBERNETES}"]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    named = [_named(line, programs) for line in done.stdout.split()]
    return [
        *named,
        Image(
            f"{LAB}/network:{OWN}",
            ("/bin/sh",),
            ((programs.kubernetes / "kubectl", "usr/local/bin/kubectl"),),
            debian=True,
        ),
        Image(f"{LAB}/echo:{OWN}", ("/echo",), ((programs.tools / "echo", "echo"),)),
        Image(
            f"{KUBERNETES}/headlamp:v{binaries.HEADLAMP_VERSION}",
            ("/headlamp",),
            ((programs.tools / "headlamp", "headlamp"),),
        ),
    ]


def _named(name: str, programs: ImagePrograms) -> Image:
    kind = name.removeprefix(f"{KUBERNETES}/").partition(":")[0]
    match kind:
        case "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "kube-proxy":
            place = f"usr/local/bin/{kind}"
            program = (programs.kubernetes / kind, place)
            return Image(name, (f"/{place}",), (program,), debian=kind == "kube-proxy")
        case "coredns":
            return Image(name, ("/coredns",), ((programs.coredns / "coredns", "coredns"),))
        case "pause":
            return Image(name, ("/pause",), ((programs.tools / "pause", "pause"),))
        case "etcd":
            names = ("etcd", "etcdctl", "etcdutl")
            places = tuple((programs.etcd / n, f"usr/local/bin/{n}") for n in names)
            return Image(name, ("/usr/local/bin/etcd",), places)
    raise LabError(f"kubeadm wants the image {name}, and the lab does not know how to make it")


def build_registry(building: Cache, images: Sequence[Image], base: Path) -> Path:
    """A registry's folder with the images, made if it is not there.

    `base` is the hosts' Debian, of which some have a part.
    """

    def make(folder: Path) -> Path:
        store = _Store(folder / "registry")
        debian = None
        for image in images:
            building.say(f"making the image {image.name}")
            layers = []
            if image.debian:
                debian = debian or store.blob(_archive(base))
                layers.append(debian)
            layers.extend(store.blob(_archive_of(*program)) for program in image.programs)
            store.image(image, layers)
        return store.root

    inputs = {
        "recipe": _RECIPE,
        "debian": [base.name, *rootfs.PACKAGES],
        "images": [
            [image.name, image.start, image.debian, *([str(a), b] for a, b in image.programs)]
            for image in images
        ],
    }
    return building.entry("registry", inputs, make)


@dataclass(frozen=True)
class _Blob:
    digest: str
    size: int

    def described(self, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "digest": f"sha256:{self.digest}", "size": self.size}


class _Store:
    """A registry's folder that is being filled."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._top = folder / "docker/registry/v2"

    def blob(self, data: bytes) -> _Blob:
        digest = hashlib.sha256(data).hexdigest()
        path = self._top / "blobs/sha256" / digest[:2] / digest / "data"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return _Blob(digest, len(data))

    def image(self, image: Image, layers: Sequence[_Blob]) -> None:
        config = {
            "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {
                "Entrypoint": image.start,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            # Layers are not compressed, so that an archive's hash is also the blob's.
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{b.digest}" for b in layers]},
        }
        configured = self.blob(json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": configured.described(_CONFIG),
            "layers": [layer.described(_LAYER) for layer in layers],
        }
        revision = self.blob(json.dumps(manifest).encode())
        name, _, tag = image.name.partition(":")
        here = self._top / "repositories" / name
        for blob in (configured, *layers):
            self._link(here / "_layers/sha256" / blob.digest, blob)
        self._link(here / "_manifests/revisions/sha256" / revision.digest, revision)
        self._link(here / "_manifests/tags" / tag / "current", revision)
        self._link(here / "_manifests/tags" / tag / "index/sha256" / revision.digest, revision)

    def _link(self, folder: Path, blob: _Blob) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(f"sha256:{blob.digest}")


def _archive(base: Path) -> bytes:
    """A layer with the small Debian."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        rootfs.write(base, tar)
    return written.getvalue()


def _archive_of(program: Path, place: str) -> bytes:
    """A layer with one program."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        member = tarfile.TarInfo(place)
        member.size = program.stat().st_size
        member.mode = 0o755
        with program.open("rb") as source:
            tar.addfile(member, source)
    return written.getvalue()
