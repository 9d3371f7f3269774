"""kube-vip in the place of keepalived and haproxy: a static pod of each master, and a lease.

It holds the VIP and passes no connection on: the VIP's port is the apiservers' own. Whose turn it
is says a lease in the cluster (kube-vip.io, "Static Pods").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lab.machine import LabHost
from lab.mirror import binaries, images
from lab.subprocesses import run
from lab.topology import VIP

#: What the inventory of such a cluster says besides, and its `vip_port`.
VARIABLES = {"endpoint_kind": "kube-vip"}
PORT = 6443

IMAGE = f"{images.LAB}/kube-vip:{binaries.KUBE_VIP_VERSION}"

_FOLDER = "etc/kubernetes/manifests"
_NAME = "kube-vip.yaml"
# Before init has ended, admin.conf may do nothing; a master that joins has no other.
_ADMIN, _FIRST = "/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf"
#: Seconds: a lease, how long its owner tries to renew it, and how often.
LEASE = (3, 2, 1)


def image(program: Path) -> images.Image:
    """Its image: `program` alone."""
    return images.Image(IMAGE, ("/kube-vip",), ((program, "kube-vip"),))


def install_manifest(program: Path, masters: Sequence[LabHost]) -> None:
    """Put the manifest that it prints itself onto every master, also onto one that is off.

    Raises LabError if it prints none.
    """
    lease, renewal, retry = LEASE
    argv = [str(program), "manifest", "pod", "--controlplane", "--arp", "--leaderElection",
            "--interface=eth0", f"--address={VIP}", f"--leaseDuration={lease}",
            f"--leaseRenewDuration={renewal}", f"--leaseRetry={retry}"]  # fmt: skip
    manifest = re.sub(
        r"(?m)^( *image:) .*$", rf"\1 {images.REGISTRY}/{IMAGE}", run(argv).stdout.strip() + "\n"
    )
    for host in masters:
        folder = host.root / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        config = _FIRST if host is masters[0] else _ADMIN
        (folder / _NAME).write_text(manifest.replace(f" path: {_ADMIN}", f" path: {config}"))


def has_manifest(masters: Sequence[LabHost]) -> bool:
    """Whether one of them has it."""
    return any((host.root / _FOLDER / _NAME).exists() for host in masters)


def cluster_member(masters: Sequence[LabHost]) -> str:
    """The first of them that is in a cluster already, by name; or nothing."""
    its = (host.name for host in masters if (host.root / _ADMIN.lstrip("/")).exists())
    return next(its, "")


def remove_manifest(masters: Sequence[LabHost]) -> None:
    """Take the manifest off them; fine where there is none."""
    for host in masters:
        (host.root / _FOLDER / _NAME).unlink(missing_ok=True)
