"""The hosts' disks: a Debian 12 by debootstrap, and layers with chrony and firewalld on top.

All are read-only lower layers of overlays, shared by all labs, cached outside the tree under a
name made from all that went into them. They are built in a temporary folder and renamed when
complete, so a killed build leaves nothing that is taken for complete.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hale.shell import arguments, load_script, script_with
from lab.build import Cache, Say, cache_key, cache_root, open_cache
from lab.subprocesses import run
from lab.topology import OPERATOR_ADDRESS

SUITE = "bookworm"

PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,ifupdown,iproute2,iputils-ping,"
    "procps,kmod,ca-certificates,curl,sudo,fish,nftables,iptables,ebtables,ethtool,socat,"
    "conntrack,libseccomp2"
)

_HERE = Path(__file__).parent
_FINISH_BASE = load_script(_HERE / "image_base.sh")


def install_script(*packages: str) -> str:
    """The steps of a layer (`build_layer`) that has these packages of Debian."""
    return arguments(*packages) + load_script(_HERE / "image_install.sh")


_INSTALL_FIREWALLD = install_script("firewalld")

# chronyd synchronizes with the lab's own time server (lab/time_server.py).
_INSTALL_CHRONY = (
    load_script(_HERE / "image_no_starts.sh")
    + install_script("chrony")
    + script_with(_HERE / "image_chrony.sh", server=str(OPERATOR_ADDRESS))
)

_LAYER = load_script(_HERE / "image_layer.sh")


@dataclass(frozen=True)
class BaseImages:
    """Lower layers, complete and never written again."""

    base: Path
    chrony: Path
    firewalld: Path

    def lower(self, firewalld: bool) -> str:
        """The `lowerdir=` of a host's overlay, topmost first."""
        layers = (self.chrony, self.base)
        return ":".join(map(str, (self.firewalld, *layers) if firewalld else layers))


def build_base_images(say: Say) -> BaseImages:
    """Return the layers, building what is not there yet (about a minute, once).

    Raises LabError saying what failed and where its log is.
    """
    there = BaseImages(
        cache_root() / f"base-{cache_key(_BASE)}",
        cache_root() / f"chrony-{cache_key(_chrony())}",
        cache_root() / f"firewalld-{cache_key(_firewalld())}",
    )
    if not all(layer.is_dir() for layer in (there.base, there.chrony, there.firewalld)):
        with open_cache(cache_root(), say) as building:
            building.entry("base", _BASE, lambda folder: _build_base(building, folder))
            building.entry(
                "chrony",
                _chrony(),
                lambda folder: build_layer(
                    building, folder, there.base, _INSTALL_CHRONY, "the layer with chrony"
                ),
            )
            building.entry(
                "firewalld",
                _firewalld(),
                lambda folder: build_layer(
                    building,
                    folder,
                    there.lower(firewalld=False),
                    _INSTALL_FIREWALLD,
                    "the layer with firewalld",
                ),
            )
    return there


def debian_mirror() -> str | None:
    """The Debian mirror of the machine's own apt, or None if it has none (then debootstrap's)."""
    if not shutil.which("apt-get"):
        return None
    targets = run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages",
         f"Codename: {SUITE}", "Label: Debian", "Component: main"], check=False
    )  # fmt: skip
    return next(iter(targets.stdout.split()), None)


def _build_base(building: Cache, folder: Path) -> Path:
    root = folder / "root"
    argv = [
        "debootstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        SUITE,
        str(root),
        *filter(None, [debian_mirror()]),
    ]
    building.run(argv, folder, "building the hosts' Debian 12 (debootstrap)", failure_hint())
    finish = ["chroot", str(root), "/bin/sh", "-c", _FINISH_BASE]
    building.run(finish, folder, "finishing the hosts' Debian 12", failure_hint())
    return root


def build_layer(building: Cache, folder: Path, base: Path | str, steps: str, title: str) -> Path:
    """Run shell steps in a Debian that is `base` underneath, one layer or several as in
    BaseImages.lower; returns what they wrote."""
    variables = {"BASE": str(base), "STEPS": steps}
    building.run(["sh", "-c", _LAYER], folder, f"building {title}", failure_hint(), variables)
    return folder / "upper"


def failure_hint() -> str:
    """What usually stops a step that needs Debian's packages, and what to do then."""
    return (
        "Usual causes: no way to the Debian mirror "
        f"({debian_mirror() or 'debootstrap' + chr(39) + 's default'}), or a full disk. "
        "Then run the same command again; it begins from the start."
    )


_BASE = {
    "suite": SUITE,
    "arch": os.uname().machine,
    "packages": PACKAGES,
    "end": _FINISH_BASE,
}


def _chrony() -> dict[str, object]:
    return {"base": f"base-{cache_key(_BASE)}", "steps": _INSTALL_CHRONY, "layer": _LAYER}


def _firewalld() -> dict[str, object]:
    return {"base": f"chrony-{cache_key(_chrony())}", "steps": _INSTALL_FIREWALLD, "layer": _LAYER}
