"""This machine as the host of a script, with stand-ins for the programs of a host."""

import os
import subprocess
from pathlib import Path

import pytest

from hale.ssh.remote import ATOMIC_WRITE
from hale.ssh.target import CommandResult


class Here:
    """A session whose host is this machine."""

    def run(
        self, command: str, timeout: float, given: bytes = b"", _: object = None
    ) -> CommandResult:
        done = subprocess.run(
            command, shell=True, input=given, capture_output=True, timeout=timeout, check=False
        )
        return CommandResult(done.returncode, done.stdout, done.stderr, 0.0)


def run(
    tmp_path: Path, script: str, given: str = "", **programs: str
) -> subprocess.CompletedProcess[str]:
    """A script with stand-ins for programs; each notes its arguments in `calls`."""
    for name, body in programs.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n{body}\n')
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["/bin/sh", "-c", f"{ATOMIC_WRITE}set -eu\n{script}"]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, env=environment, check=False
    )


# A dnf that has Kubernetes 1.34.1, no containerd, and versionlock where $LOCKS is set.
DNF = """
case $* in
*showduplicates*) echo "$5.x86_64 1.34.1-150500.1.1 here" ;;
*list\\ containerd) exit 1 ;;
*versionlock*) [ -n "$LOCKS" ] || exit 1 ;;
esac
"""
# In a mount namespace of its own: a volume on the file system of the kubelet's folder, and one
# on another.
VOLUMES = """
mount -t tmpfs tmpfs /var/lib
mkdir -p '/var/lib/kubelet/pods/1/volumes/a b' /var/lib/kubelet/pods/1/etc /var/lib/pv
echo data >/var/lib/pv/file
mount --bind /var/lib/pv '/var/lib/kubelet/pods/1/volumes/a b'
mount -t tmpfs tmpfs /var/lib/kubelet/pods/1/etc
echo data >/var/lib/kubelet/pods/1/etc/file
"""


def in_a_mount_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """The script after VOLUMES; what it mounts ends with it."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    command = [*unshare, "/bin/sh", "-c", f"set -eu\n{VOLUMES}{script}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
