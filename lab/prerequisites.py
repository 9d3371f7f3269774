"""What a machine must have to carry a lab, and getting the Debian packages it lacks."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from lab import cgroups
from lab.errors import LabUnavailable
from lab.subprocesses import ENVIRONMENT
from lab.topology import STATE_ROOT

_PATH = ENVIRONMENT["PATH"]

#: A program the lab calls, and the Debian package it comes in.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "nc.openbsd": "netcat-openbsd",
    "ip": "iproute2",
    "sysctl": "procps",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "bash": "bash",
}

# File systems that cannot hold the upper layer of an overlay (kernel's overlayfs.rst).
_NO_UPPER = {"overlay", "tmpfs", "ramfs", "nfs", "nfs4", "9p", "fuse", "vfat"}


def unavailable() -> str | None:
    """Why this machine cannot carry a lab, in one sentence that says what is needed, or None.

    Takes some milliseconds and changes nothing. Packages that apt-get can install are no reason.
    """
    if platform.system() != "Linux":
        return f"the lab needs Linux with systemd-nspawn; this is {platform.system()}"
    if os.geteuid() != 0:
        return (
            "the lab needs root (namespaces, mounts, control groups): run it as root or with sudo"
        )
    if missing_packages() and not shutil.which("apt-get"):
        return (
            f"the lab needs {', '.join(missing_packages())} (Debian's package names), and there is "
            "no apt-get to install them: install them by hand"
        )
    if (
        "overlay" not in _filesystems()
        and subprocess.run(
            ["modprobe", "overlay"], capture_output=True, env=ENVIRONMENT, check=False
        ).returncode
    ):
        return "the lab needs the overlay file system, and this kernel has none (modprobe overlay)"
    kind = _filesystem_of(STATE_ROOT)
    if kind in _NO_UPPER:
        return (
            f"the lab needs {STATE_ROOT} on a real disk, and it is on {kind}, which cannot hold an "
            f"overlay's upper layer: mount a disk (ext4, xfs, btrfs) at {STATE_ROOT}"
        )
    made = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    if made.returncode:
        return (
            "the lab needs namespaces of its own, and this machine refuses them "
            f"({made.stderr.strip()}): it needs CAP_SYS_ADMIN on the machine itself, "
            "not a container without it"
        )
    try:
        cgroups.hierarchies()
    except LabUnavailable as e:
        return str(e)
    if all(not os.access(h.path, os.W_OK) for h in cgroups.hierarchies()):
        return "the lab needs control groups of its own, and /sys/fs/cgroup is read-only here"
    return None


#: Inotify instances of root's that a booted host holds: systemd three, logind one, and containerd
#: one where it runs. A login adds none (lab/container-init.sh).
_INOTIFY = 5.0
#: Those of a cluster of five hosts, and what tests on five hosts beside it may start themselves.
_CLUSTER, _SPARE = 95, 8


def lacks_capacity(hosts: int) -> str | None:
    """Why this machine has no room for that many more hosts, and what to do; None if it has.

    The kernel counts root's inotify instances per machine, over the hosts of all labs
    (inotify(7)); a systemd that gets none dies while booting, without an error message. The limit
    is the machine's, so the lab does not change it.
    """
    needed = math.ceil(hosts * _INOTIFY)
    free = _free_instances(needed)
    if free == needed:
        return None
    limit = Path("/proc/sys/fs/inotify/max_user_instances").read_text().strip()
    return (
        f"this machine has no room for {hosts} more hosts: of its {limit} inotify instances "
        f"{free} are free, a host takes {_INOTIFY:g}. Remove an unused lab (`ls {STATE_ROOT}` "
        "lists them), or, if you may change this machine, raise the limit: "
        "`sysctl fs.inotify.max_user_instances=1024`"
    )


def has_room_beside_a_cluster() -> bool:
    """Whether this machine has room for a cluster of five hosts, and for five hosts beside it."""
    needed = _CLUSTER + math.ceil(5 * _INOTIFY) + _SPARE
    return _free_instances(needed) == needed


def _free_instances(wanted: int) -> int:
    """How many of so many inotify instances root can have."""
    libc = ctypes.CDLL(None, use_errno=True)
    opened = []
    try:
        for _ in range(wanted):
            fd = libc.inotify_init1(os.O_CLOEXEC)
            if fd < 0:
                break
            opened.append(fd)
        return len(opened)
    finally:
        for fd in opened:
            os.close(fd)


def missing_packages(programs: Mapping[str, str] = PROGRAMS) -> list[str]:
    """Debian packages of the programs that are not installed."""
    return sorted({p for name, p in programs.items() if not shutil.which(name, path=_PATH)})


def install_missing(say: Callable[[str], None], programs: Mapping[str, str] = PROGRAMS) -> None:
    """Install the Debian packages the lab lacks, saying which.

    Raises LabUnavailable if apt-get fails.
    """
    packages = missing_packages(programs)
    if not packages:
        return
    say(f"installing Debian packages the lab needs: {' '.join(packages)}")
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    for argv in (install, ["apt-get", "update", "--quiet"], install):
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if argv is install and done.returncode == 0:
            return
    raise LabUnavailable(
        f"apt-get could not install {' '.join(packages)}:\n{done.stderr.strip()}\n"
        "Install them by hand, then run the same command again."
    )


def _filesystems() -> str:
    return Path("/proc/filesystems").read_text()


def _filesystem_of(path: Path) -> str:
    """Type of the file system that `path` is on, or would be."""
    while not path.exists():
        path = path.parent
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == wanted:
            return line.partition(" - ")[2].split()[0]
    return "unknown"
