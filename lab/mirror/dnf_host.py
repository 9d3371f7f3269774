"""A host with dnf and rpm instead of apt and dpkg, and what it installs: Kubernetes, containerd 2.

Not a Red Hat: kernel, systemd, PAM and paths stay Debian's. It shows that the arguments of dnf are
right, and that a cluster may have both, and containerd 1 and 2.

The packages have the names that sites know: Kubernetes' are those of pkgs.k8s.io, containerd.io is
Docker's, which brings runc too, and a configuration that leaves the CRI plugin out. Programs that
the hosts' Debian has anyway are packages without files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hale.shell import load_script, script_with
from lab import image, prerequisites
from lab.build import FULL_DISK, Cache, cache_root, open_cache
from lab.machine import LabHost, Say
from lab.mirror import binaries, debian, debs, golang, repository, services
from lab.subprocesses import run

#: Programs that are called here, and the Debian packages they come in.
PROGRAMS = {"rpmbuild": "rpm", "rpmsign": "rpm", "createrepo_c": "createrepo-c"}

RELEASE = "150500.1.1"
#: What the inventory of a lab with such hosts says besides.
VARIABLES = {"dnf_repository": services.RPMS.url, "dnf_key": "rpm-key.asc"}

_INSTALL_DNF = image.install_script("dnf", "rpm")

_HERE = Path(__file__).parent
_BECOME = load_script(_HERE / "dnf_host.sh")

_SPEC = """\
Name: {package.name}
Version: {package.version}
Release: {release}
Summary: {package.summary}
License: Apache-2.0
AutoReqProv: no
{more}
%description
Built by the lab, for the lab.
%install
cp -a {root}/. %{{buildroot}}/
%files
{files}
"""

_CONTAINERD_UNIT = """\
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target local-fs.target

[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
"""
# As Red Hat's packages have them: with a second place for haproxy's configuration, and keepalived
# as a daemon that goes into the background.
_HAPROXY_UNIT = """\
[Unit]
Description=HAProxy Load Balancer
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile=-/etc/sysconfig/haproxy
Environment="CONFIG=/etc/haproxy/haproxy.cfg" "PIDFILE=/run/haproxy.pid" \
  "CFGDIR=/etc/haproxy/conf.d"
ExecStartPre=/usr/sbin/haproxy -f $CONFIG -f $CFGDIR -c -q $OPTIONS
ExecStart=/usr/sbin/haproxy -Ws -f $CONFIG -f $CFGDIR -p $PIDFILE $OPTIONS
ExecReload=/usr/sbin/haproxy -f $CONFIG -f $CFGDIR -c -q $OPTIONS
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
SuccessExitStatus=143
Type=notify

[Install]
WantedBy=multi-user.target
"""
_HAPROXY_CONFIG = """\
global
    user haproxy
    group haproxy
defaults
    mode tcp
    timeout connect 10s
    timeout client 1m
    timeout server 1m
frontend main
    bind *:5000
"""
_HAPROXY_USER = f"%pre\n{load_script(_HERE / 'haproxy.pre.sh')}"
_KEEPALIVED_UNIT = """\
[Unit]
Description=LVS and VRRP High Availability Monitor
After=network-online.target syslog.target
Wants=network-online.target

[Service]
Type=forking
PIDFile=/run/keepalived.pid
KillMode=process
EnvironmentFile=-/etc/sysconfig/keepalived
ExecStart=/usr/sbin/keepalived $KEEPALIVED_OPTIONS
ExecReload=/bin/kill -HUP $MAINPID

[Install]
WantedBy=multi-user.target
"""
_CONTAINERD_CONFIG = 'disabled_plugins = ["cri"]\n'


@dataclass(frozen=True)
class Rpm:
    """programs: what goes where, from files of ours; files: text and mode of others. more: further
    lines of the spec, after which sections come.
    """

    name: str
    version: str
    summary: str
    programs: Mapping[str, Path] = field(default_factory=dict)
    files: debs.Files = field(default_factory=dict)
    requires: Sequence[str] = ()
    more: str = ""


@dataclass(frozen=True)
class DnfArtifacts:
    """What such hosts are made from and what they are served: folders of the cache."""

    layer: Path
    packages: Path
    key: Path


def build_artifacts(base: Path, say: Say, kubernetes: Path, version: str) -> DnfArtifacts:
    """Built where the cache has it not: three minutes on two cores. `base` is the hosts' Debian,
    `kubernetes` a folder of its programs.

    Raises LabError if a step fails, LabUnavailable if the machine lacks a package that cannot be
    installed.
    """
    prerequisites.install_missing(say, PROGRAMS)
    with open_cache(cache_root() / "supply", say) as building:
        key = repository.signing_key(building) / repository.KEY
        layer = _layer(building, base)
        packages = _repository(building, base, layer, kubernetes, version)
        return DnfArtifacts(layer, packages, key)


def is_served(state: Path) -> bool:
    """Whether a lab, by its folder, has such hosts."""
    return (state / VARIABLES["dnf_key"]).exists()


def convert_host(goods: DnfArtifacts, host: LabHost) -> None:
    """Make a running host one with dnf, for as long as its disk lives."""
    run(["cp", "--archive", f"{goods.layer}/.", str(host.root)])
    host.run(_BECOME)


def serve(goods: DnfArtifacts, lab: str, state: Path, keep: Sequence[int]) -> None:
    """Serve the packages. state: the lab's folder, which gets their key."""
    services.serve_files(services.RPMS, lab, goods.packages, state / "supply", keep)
    shutil.copyfile(goods.key, state / VARIABLES["dnf_key"])


def _layer(building: Cache, base: Path) -> Path:
    """What dnf and rpm are in the hosts' Debian, as files."""

    def make(folder: Path) -> Path:
        return image.build_layer(building, folder, base, _INSTALL_DNF, "a Debian with dnf")

    return building.entry("dnf", {"base": base.name, "steps": _INSTALL_DNF}, make)


def _repository(building: Cache, base: Path, layer: Path, kubernetes: Path, version: str) -> Path:
    containerd = golang.build_module(building, binaries.CONTAINERD)
    downloaded = debian.download_packages(building, base)
    key = repository.signing_key(building)

    def make(folder: Path) -> Path:
        debians = _unpacked(building, folder, downloaded / "packages", layer)
        packed = folder / "packages"
        packed.mkdir()
        for package in _packages(kubernetes, version, containerd, debians):
            _pack(building, folder, package, packed)
        argv = ["sh", "-c", _INDEX]
        building.run(argv, packed, "making the dnf repository", FULL_DISK, {"KEY": str(key)})
        return packed

    inputs = {
        "kubernetes": kubernetes.name,
        "containerd": containerd.name,
        "debian": downloaded.name,
        "layer": layer.name,
        "key": key.name,
        "steps": [_SPEC, _INDEX, *_TAKEN, *_LIBRARIES],
        "packages": repr(_packages(Path(), version, Path(), Path())),
    }
    return building.entry("rpms", inputs, make)


_INDEX = script_with(_HERE / "dnf_index.sh", owner=repository.OWNER)


# What is taken from Debian's packages.
_TAKEN = ("runc", "containernetworking-plugins", "haproxy", "keepalived")
_LIBRARIES = (
    "libgdbm-compat4", "libglib2.0-0", "liblua5.3-0", "libnl-3-200", "libnl-genl-3-200",
    "libopentracing-c-wrapper0", "libopentracing1", "libpci3", "libperl5.36", "libsensors5",
    "libsnmp40",
)  # fmt: skip


def _unpacked(building: Cache, folder: Path, packages: Path, layer: Path) -> Path:
    """What lies in Debian's packages, but for libraries that dnf itself has brought along."""
    root = folder / "debian"
    for name in (*_TAKEN, *_LIBRARIES):
        (package,) = packages.glob(f"{name}_*.deb")
        argv = ["dpkg-deb", "--extract", str(package), str(root)]
        building.run(argv, folder, f"unpacking {name}", FULL_DISK)
    for path in _linked(root):
        if os.path.lexists(layer / "usr/lib" / path.parent.name / path.name):
            path.unlink()
    return root


def _linked(root: Path) -> list[Path]:
    """The libraries there, wherever Debian's packages have them."""
    return sorted(p for f in ("lib", "usr/lib") for p in root.glob(f"{f}/*-linux-gnu/lib*.so.*"))


def _packages(kubernetes: Path, version: str, containerd: Path, debians: Path) -> tuple[Rpm, ...]:
    """All of them, from the folders where their programs are."""
    plugins = debians / "usr/lib/cni"
    made = [
        Rpm(
            package.name,
            version,
            package.summary,
            package.installed(kubernetes),
            {
                where.replace("etc/default", "etc/sysconfig"): (
                    text.replace("/etc/default", "/etc/sysconfig"),
                    mode,
                )
                for where, (text, mode) in package.files.items()
            },
            {"kubelet": ("kubernetes-cni",), "kubeadm": ("kubelet",)}.get(package.name, ()),
        )
        for package in debs.KUBERNETES
    ]
    return (
        *made,
        Rpm(
            "containerd.io",
            binaries.CONTAINERD_VERSION,
            "An industry-standard container runtime, and runc",
            {
                "usr/bin/runc": debians / "usr/sbin/runc",
                **{
                    f"usr/bin/{name}": containerd / name
                    for name in binaries.CONTAINERD.packages.values()
                },
            },
            {
                "usr/lib/systemd/system/containerd.service": (_CONTAINERD_UNIT, 0o644),
                "etc/containerd/config.toml": (_CONTAINERD_CONFIG, 0o644),
            },
        ),
        Rpm(
            "kubernetes-cni",
            "1.7.1",
            "Plugins of the Container Network Interface",
            {f"opt/cni/bin/{p.name}": p for p in sorted(plugins.glob("*"))},
        ),
        *_balancer(debians),
        *(Rpm(n, "1.0", "The hosts' Debian has it", more=more) for n, more in _THERE.items()),
    )


def _balancer(debians: Path) -> tuple[Rpm, ...]:
    """What masters have besides, and what both are linked with."""
    libraries = "libraries-of-balancers"
    return (
        Rpm(
            "haproxy",
            "2.6.12",
            "HAProxy load balancer",
            {"usr/sbin/haproxy": debians / "usr/sbin/haproxy"},
            {
                "usr/lib/systemd/system/haproxy.service": (_HAPROXY_UNIT, 0o644),
                "etc/haproxy/haproxy.cfg": (_HAPROXY_CONFIG, 0o644),
                "etc/haproxy/conf.d/.keep": ("", 0o644),
                "etc/sysconfig/haproxy": ('OPTIONS=""\n', 0o644),
            },
            (libraries,),
            _HAPROXY_USER,
        ),
        Rpm(
            "keepalived",
            "2.2.7",
            "Load balancer and high availability by VRRP",
            {"usr/sbin/keepalived": debians / "usr/sbin/keepalived"},
            {
                "usr/lib/systemd/system/keepalived.service": (_KEEPALIVED_UNIT, 0o644),
                "etc/keepalived/keepalived.conf": ("! Configuration File for keepalived\n", 0o644),
                "etc/sysconfig/keepalived": ('KEEPALIVED_OPTIONS="-D"\n', 0o644),
            },
            (libraries,),
        ),
        Rpm(
            libraries,
            "1.0",
            "What haproxy and keepalived are linked with",
            {f"usr/lib/{p.parent.name}/{p.name}": p for p in _linked(debians)},
        ),
    )


_THERE = {"conntrack-tools": "", "curl": "", "socat": "", "bash": "Provides: /bin/sh\n"}


def _pack(building: Cache, folder: Path, package: Rpm, done: Path) -> None:
    root = folder / package.name
    root.mkdir()
    debs.install_files(root, package.programs, package.files)
    configured = [f"/{w}" for w in package.files if w.startswith("etc/") and "/." not in w]
    spec = folder / f"{package.name}.spec"
    spec.write_text(
        _SPEC.format(
            package=package,
            release=RELEASE,
            root=root,
            more="".join(f"Requires: {name}\n" for name in package.requires) + package.more,
            files="\n".join(
                f"%config(noreplace) {where}" if where in configured else where
                for where in sorted(f"/{w}" for w in (*package.programs, *package.files))
            ),
        )
    )
    top = folder / "rpmbuild"
    argv = ["rpmbuild", "-bb", "--define", f"_topdir {top}", "--define", f"_rpmdir {done}",
            "--define", "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm", "--define",
            "_binary_payload w3.zstdio", "--define", "debug_package %{nil}", "--define",
            "__os_install_post %{nil}", str(spec)]  # fmt: skip
    building.run(argv, folder, f"packing {package.name} {package.version}", FULL_DISK)
    shutil.rmtree(root)
    shutil.rmtree(top)
