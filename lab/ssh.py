"""The lab's own ssh: its key, the hosts' keys, ssh_config and known_hosts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.subprocesses import run
from lab.topology import HostSpec

KEY = "id_ed25519"

#: A fresh Debian has an RSA key too; making five would take half of the time to raise a lab.
_HOST_KEY_TYPES = ("ecdsa", "ed25519")


def make_key(state: Path, keep: Sequence[int]) -> None:
    """Make the key that opens root's account on every host of the lab."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hale-lab", "-f", str(state / KEY)],
        keep=keep)  # fmt: skip


def make_host_keys(host: HostSpec, folder: Path, keep: Sequence[int]) -> None:
    """Make a host's keys, with names and comment of a fresh Debian host."""
    for kind in _HOST_KEY_TYPES:
        path = folder / f"ssh_host_{kind}_key"
        comment = f"root@{host.name}"
        run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)], keep=keep)


def install_keys(state: Path, identity: Path, root: Path) -> None:
    """Put the host's own keys and the lab's public key onto the host's disk."""
    for path in identity.glob("ssh_host_*"):
        shutil.copy(path, root / "etc/ssh" / path.name)
    folder = root / "root/.ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(state / f"{KEY}.pub", folder / "authorized_keys")


def known_hosts(roots: Iterable[tuple[HostSpec, Path]]) -> str:
    """The text of a known_hosts (sshd(8)) with the keys read from the hosts' disks."""
    lines = []
    for host, root in roots:
        for path in sorted((root / "etc/ssh").glob("ssh_host_*_key.pub")):
            kind, key, *_ = path.read_text().split()
            lines.append(f"{host.address},{host.name} {kind} {key}\n")
    return "".join(lines)
