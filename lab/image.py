"""The hosts' disks: a Debian 12 by debootstrap, and a layer with firewalld on top.

Both are read-only lower layers of overlays, shared by all labs, cached outside the tree under a
name made from all that went into them. They are built in a temporary folder and renamed when
complete, so a killed build leaves nothing that is taken for complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from lab.command import run
from lab.errors import LabError
from lab.lock import locked

SUITE = "bookworm"

PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,ifupdown,iproute2,iputils-ping,"
    "procps,kmod,ca-certificates,curl,sudo,fish,nftables,iptables,ebtables,ethtool,socat,"
    "conntrack,libseccomp2"
)

# What the Debian installer does after debootstrap, and what must not be shared between hosts.
# An empty machine-id would be a "first boot" for systemd, which then enables every service there
# is (machine-id(5)); each host gets a machine-id of its own before it boots.
_FINISH_BASE = """
set -eu
useradd --create-home --uid 1000 --shell /bin/bash ops
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf
: > /etc/machine-id
: > /etc/resolv.conf
rm -f /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/bootstrap.log /var/cache/apt/*.bin
"""

_INSTALL_FIREWALLD = """
set -eu
apt-get update --quiet
apt-get install --yes --quiet --no-install-recommends firewalld
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
"""

# Runs in mount and pid namespaces of its own: mounts and processes go when the build ends or dies.
# apt inside uses the machine's resolver, certificates and apt settings while the layer is built.
_LAYER = """
set -eu
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=upper,workdir=work" root
mount --bind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
cp -L /etc/resolv.conf /etc/hosts root/run/
mount --bind root/run/resolv.conf root/etc/resolv.conf
mount --bind root/run/hosts root/etc/hosts
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    mount --bind /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/ca-certificates.crt
fi
apt-config dump Acquire > root/run/apt.conf
APT_CONFIG=/run/apt.conf chroot root /bin/sh -c "$STEPS"
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Images:
    """Lower layers, complete and never written again."""

    base: Path
    firewalld: Path

    def lower(self, firewalld: bool) -> str:
        """The `lowerdir=` of a host's overlay, topmost first."""
        layers = (self.firewalld, self.base) if firewalld else (self.base,)
        return ":".join(map(str, layers))


def cache() -> Path:
    """The folder of the cached layers, on the user's disk."""
    return user_cache_path("hale") / "lab"


def ready(say: Say) -> Images:
    """Return the layers, building what is not there yet (about a minute, once).

    Raises LabError saying what failed and where its log is.
    """
    key = _key({"suite": SUITE, "arch": _architecture(), "packages": PACKAGES, "end": _FINISH_BASE})
    base = cache() / f"base-{key}"
    key = _key({"base": base.name, "steps": _INSTALL_FIREWALLD, "layer": _LAYER})
    firewalld = cache() / f"firewalld-{key}"
    if not (base.is_dir() and firewalld.is_dir()):
        with locked(cache() / "lock", say) as lock:
            for stale in cache().glob("*.partial"):
                shutil.rmtree(stale)
            if not base.is_dir():
                _build_base(base, say, lock)
            if not firewalld.is_dir():
                _build_layer(firewalld, base, _INSTALL_FIREWALLD, say, lock)
    return Images(base, firewalld)


def mirror() -> str | None:
    """The Debian mirror of the machine's own apt, or None if it has none (then debootstrap's)."""
    if not shutil.which("apt-get"):
        return None
    targets = run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages",
         f"Codename: {SUITE}", "Label: Debian", "Component: main"], check=False
    )  # fmt: skip
    return next(iter(targets.stdout.split()), None)


def _build_base(target: Path, say: Say, lock: int) -> None:
    partial = _partial(target)
    root = partial / "root"
    argv = [
        "debootstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        SUITE,
        str(root),
        *filter(None, [mirror()]),
    ]
    _isolated(argv, partial, "building the hosts' Debian 12 (debootstrap)", say, lock, {})
    finish = ["chroot", str(root), "/bin/sh", "-c", _FINISH_BASE]
    _isolated(finish, partial, "finishing the hosts' Debian 12", say, lock, {})
    root.rename(target)
    shutil.rmtree(partial)


def _build_layer(target: Path, base: Path, steps: str, say: Say, lock: int) -> None:
    partial = _partial(target)
    argv = ["sh", "-c", _LAYER]
    _isolated(
        argv, partial, "building the layer with firewalld", say, lock,
        {"BASE": str(base), "STEPS": steps},
    )  # fmt: skip
    (partial / "upper").rename(target)
    shutil.rmtree(partial)


def _isolated(
    argv: Sequence[str], folder: Path, title: str, say: Say, lock: int, variables: Mapping[str, str]
) -> None:
    """Run a build step in namespaces that end with it, or with us, saying every 10 s how it goes.

    setpriv and unshare let it die with us also when we are killed; the lock is held until then.
    """
    log = folder.parent / f"{folder.name.removesuffix('.partial')}.log"
    environment = {
        **os.environ,  # proxies, and whatever else apt needs to get out of this machine
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        **variables,
    }
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork",
             "--kill-child=KILL", "--mount-proc"]  # fmt: skip
    say(title)
    begun = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*alone, *argv],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=(lock,),
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=10)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  … {time.monotonic() - begun:.0f} s: {_last_line(log)}")
        except BaseException:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            raise
    if status:
        shutil.rmtree(folder, ignore_errors=True)
        raise LabError(
            f"{title} failed after {time.monotonic() - begun:.0f} s: {_last_line(log)}\n"
            f"The whole log is {log}. Usual causes: no way to the Debian mirror "
            f"({mirror() or 'debootstrap' + chr(39) + 's default'}), or a full disk. "
            "Then run `invoke lab.up` again; it begins from the start."
        )
    log.unlink()


def _partial(target: Path) -> Path:
    folder = target.parent / f"{target.name}.partial"
    folder.mkdir()
    return folder


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _key(inputs: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _architecture() -> str:
    return os.uname().machine
