"""Debian's packages that the hosts' Debian lacks, with all they depend on, as files.

The hosts' own apt chooses and verifies them, in the hosts' own Debian, whatever the machine runs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from hale.shell import arguments, script_with
from lab import image
from lab.build import Cache

#: What a cluster's hosts install from the lab's repository, and tools that people miss there.
PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "haproxy",
    "keepalived",
    "conntrack",
    "socat",
    "ebtables",
    "ethtool",
    "ipset",
    "ipvsadm",
    "bind9-dnsutils",
    "tcpdump",
    "chrony",
)

#: The image registry: it runs beside the hosts, on the machine, so it is unpacked only.
REGISTRY = "docker-registry"


def download_packages(building: Cache, base: Path) -> Path:
    """A folder with `packages/`, the .deb files, and `registry/`, what is in the registry's.

    `base` is the hosts' Debian. Raises LabError if apt cannot get them.
    """
    script = script_with(Path(__file__).with_suffix(".sh"), registry=REGISTRY)
    steps = f"{arguments(*PACKAGES)}{script}"

    def make(folder: Path) -> Path:
        written = image.build_layer(building, folder, base, steps, "the hosts' Debian packages")
        kept = folder / "kept"
        kept.mkdir()
        for name in ("packages", "registry"):
            (written / name).rename(kept / name)
        return kept

    return building.entry("debian", {"base": base.name, "steps": steps}, make)


def architecture(base: Path) -> str:
    """Debian's name of the hosts' architecture, for instance amd64."""
    argv = ["dpkg", f"--root={base}", "--print-architecture"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
