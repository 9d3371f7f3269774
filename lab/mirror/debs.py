"""Packages of Kubernetes and etcd's tools, shaped like those of pkgs.k8s.io.

The same names, version, files and modes (kubernetes/release, cmd/krel/templates); the kubelet is
enabled and not started, as there. Different is what they depend on: the CNI plugins are Debian's
containernetworking-plugins, and cri-tools there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hale.shell import load_script
from lab.build import FULL_DISK, Cache
from lab.mirror.binaries import ETCD_VERSION

#: The revision that Kubernetes gives the packages of a version the first time it makes them.
REVISION = "1.1"

_CONTROL = """\
Package: {package.name}
Version: {version}-{revision}
Architecture: {architecture}
Section: net
Priority: optional
Maintainer: the lab of Hale <root@localhost>
Homepage: {package.homepage}
Depends: {package.depends}
Description: {package.summary}
 Built by the lab, for the lab.
"""

_KUBELET_UNIT = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""

_KUBEADM_DROP_IN = """\
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# What "kubeadm init" and "kubeadm join" found out about this host.
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# What the site wants besides, in KUBELET_EXTRA_ARGS.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""  # noqa: E501

# The scripts that dpkg runs: kubelet.NAME.sh.
_KUBELET_SCRIPTS = {
    name: f"#!/bin/sh\n{load_script(Path(__file__).with_name(f'kubelet.{name}.sh'))}"
    for name in ("postinst", "prerm", "postrm")
}

#: Text of a file and its mode, by where it is installed.
Files = Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class Package:
    """A .deb: programs for /usr/bin, other files, and the scripts that dpkg runs."""

    name: str
    summary: str
    homepage: str
    programs: tuple[str, ...]
    depends: str = "libc6"
    files: Files = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()

    def installed(self, programs: Path) -> dict[str, Path]:
        """Its programs, in the folder where they were built, by where they are installed."""
        return {f"usr/bin/{name}": programs / name for name in self.programs}


_KUBERNETES = "https://kubernetes.io"

KUBERNETES = (
    Package(
        "kubelet",
        "Node agent for Kubernetes clusters",
        _KUBERNETES,
        ("kubelet",),
        "iptables (>= 1.4.21), containernetworking-plugins, mount, util-linux, init-system-helpers",
        {
            "usr/lib/systemd/system/kubelet.service": (_KUBELET_UNIT, 0o600),
            "etc/default/kubelet": ("KUBELET_EXTRA_ARGS=\n", 0o644),
            "etc/kubernetes/manifests/.kubelet-keep": ("", 0o644),
            "var/lib/kubelet/.kubelet-keep": ("", 0o644),
        },
        _KUBELET_SCRIPTS,
        ("/etc/default/kubelet",),
    ),
    Package(
        "kubeadm",
        "Command-line utility for administering a Kubernetes cluster",
        _KUBERNETES,
        ("kubeadm",),
        "kubelet",
        {"usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": (_KUBEADM_DROP_IN, 0o644)},
    ),
    Package(
        "kubectl",
        "Command-line utility for interacting with a Kubernetes cluster",
        _KUBERNETES,
        ("kubectl",),
    ),
)

ETCD = (Package("etcd-client", "etcdctl and etcdutl", "https://etcd.io", ("etcdctl", "etcdutl")),)


def build_packages(
    building: Cache, kubernetes: Path, version: str, etcd: Path, architecture: str
) -> Path:
    """A folder with the .deb files of the programs in two folders, packed if they are not there.

    `version` is that of Kubernetes, `architecture` Debian's name of it.
    """

    def make(folder: Path) -> Path:
        for package in KUBERNETES:
            _pack(building, folder, package, version, kubernetes, architecture)
        for package in ETCD:
            _pack(building, folder, package, ETCD_VERSION, etcd, architecture)
        return folder / "packages"

    inputs = {
        "control": _CONTROL,
        "packages": [repr(package) for package in (*KUBERNETES, *ETCD)],
        "kubernetes": kubernetes.name,
        "version": version,
        "etcd": etcd.name,
        "revision": REVISION,
        "architecture": architecture,
    }
    return building.entry("debs", inputs, make)


def _pack(
    building: Cache,
    folder: Path,
    package: Package,
    version: str,
    programs: Path,
    architecture: str,
) -> None:
    root = folder / package.name
    control = _CONTROL.format(
        package=package, version=version, revision=REVISION, architecture=architecture
    )
    _write(root / "DEBIAN/control", control, 0o644)
    for name, text in package.scripts.items():
        _write(root / "DEBIAN" / name, text, 0o755)
    if package.conffiles:
        _write(root / "DEBIAN/conffiles", "".join(f"{f}\n" for f in package.conffiles), 0o644)
    install_files(root, package.installed(programs), package.files)
    done = folder / "packages"
    done.mkdir(exist_ok=True)
    # Fast to unpack rather than small: five hosts unpack it at once, and nothing travels far.
    argv = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z3", "--build", str(root),
            str(done / f"{package.name}_{version}-{REVISION}_{architecture}.deb")]  # fmt: skip
    building.run(argv, folder, f"packing {package.name} {version}", FULL_DISK)
    shutil.rmtree(root)


def install_files(root: Path, programs: Mapping[str, Path], files: Files) -> None:
    """Put programs, by where they are installed, and other files below a package's root."""
    for where, program in programs.items():
        target = root / where
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(program, target)
        target.chmod(0o755)
    for where, (text, mode) in files.items():
        _write(root / where, text, mode)


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
