"""A host's disk: an overlay on the shared image, with what the Debian installer would have left.

A folder a host, `hosts/<host>/`, holds `upper` and `work` (what the host changed), `root` (the
disk as the host sees it), `real` (folders that cannot be on an overlay), `identity` (machine-id
and ssh host keys, which outlive a reset) and `console.log` (its last boot).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab import ssh
from lab.errors import LabError
from lab.subprocesses import run
from lab.topology import NETWORK, OPERATOR_ADDRESS, HostSpec

#: Folders of a host that lie on the machine's disk itself. containerd's are overlays, and an
#: overlay on an overlay there is not (kernel's overlayfs.rst); the kubelet's and etcd's are those
#: that a site puts on a disk of their own.
REAL = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")

# As the installer's netcfg writes them for an address that is set by hand.
_HOSTS = """\
127.0.0.1\tlocalhost
{host.address}\t{host.name}

# The following lines are desirable for IPv6 capable hosts
::1     localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
_INTERFACES = """\
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
auto eth0
iface eth0 inet static
\taddress {host.address}/{prefixlen}
\tgateway {gateway}
"""


def make_identity(host: HostSpec, folder: Path, keep: Sequence[int]) -> None:
    """Make what is this host's own for as long as the lab is up: machine-id and ssh host keys."""
    identity = folder / "identity"
    identity.mkdir(parents=True)
    (identity / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    ssh.make_host_keys(host, identity, keep)


def mount(folder: Path, lower: str, keep: Sequence[int]) -> None:
    """Mount the host's disk at `root`."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(exist_ok=True)
    layers = f"lowerdir={lower},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    run(["mount", "-t", "overlay", "-o", layers, "overlay", str(folder / "root")], keep=keep)


def bind_folders(folder: Path) -> dict[Path, str]:
    """The machine's folder of each of `REAL`, made if it is not there."""
    disks = {folder / "real" / Path(where).name: where for where in REAL}
    for path in disks:
        path.mkdir(parents=True, exist_ok=True)
    return disks


def install(
    host: HostSpec, state: Path, folder: Path, routes: Mapping[IPv4Network, IPv4Address]
) -> None:
    """Leave on the mounted disk what the Debian installer would have.

    routes: gateways of the site, by the range that they lead to.
    """
    root = folder / "root"
    (root / "etc/hostname").write_text(f"{host.name}\n")
    (root / "etc/hosts").write_text(_HOSTS.format(host=host))
    interfaces = _INTERFACES.format(
        host=host, prefixlen=NETWORK.prefixlen, gateway=OPERATOR_ADDRESS
    )
    lines = [f"\tup ip route replace {to} via {by}\n" for to, by in routes.items()]
    (root / "etc/network/interfaces").write_text(interfaces + "".join(lines))
    # It refuses DNS requests at once. CoreDNS does not start without a name server.
    (root / "etc/resolv.conf").write_text(f"nameserver {OPERATOR_ADDRESS}\n")
    shutil.copyfile(folder / "identity/machine-id", root / "etc/machine-id")
    ssh.install_keys(state, folder / "identity", root)


def unmount_below(folder: Path, keep: Sequence[int]) -> None:
    """Unmount everything mounted below `folder`, the deepest first."""
    inside = f"{folder}/"
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(inside)), key=len, reverse=True):
        if run(["umount", point], check=False, keep=keep).returncode:
            # A shell may have its working folder there; a lazy unmount leaves it to that shell.
            run(["umount", "--lazy", point], keep=keep)


def erase(folder: Path) -> None:
    """Delete `folder`, also files that a host made immutable (chattr(1)).

    Raises LabError if something is left.
    """
    if not folder.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        run(["chattr", "-R", "-f", "-i", "-a", str(folder)], check=False)
        try:
            shutil.rmtree(folder)
        except OSError as e:
            raise LabError(f"{e.filename} could not be deleted: {e.strerror}") from e
