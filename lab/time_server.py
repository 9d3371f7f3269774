"""The lab's time server: chronyd in the operator's network namespace, with which hosts synchronize.

It serves the machine's clock, which it cannot set: it has no CAP_SYS_TIME (capabilities(7)), and
with -x it would not try (chronyd(8)). It runs from the hosts' own layers, mounted read-only in a
mount namespace of its own, so the machine needs no chrony. Its control group belongs to the lab,
and ends with it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lab import cgroups, daemonize, image, network
from lab.subprocesses import ENVIRONMENT
from lab.topology import NETWORK, OPERATOR_ADDRESS

GROUP = "time"

_CHRONYD = (
    "/usr/sbin/chronyd -x -d -f /dev/null 'local stratum 8' "
    f"'allow {NETWORK}' 'bindaddress {OPERATOR_ADDRESS}' 'cmdport 0' 'bindcmdaddress /' "
    "'pidfile /run/chronyd.pid'"
)


def start(lab: str, images: image.BaseImages, state: Path, keep: Sequence[int]) -> None:
    """Start it, unless it runs. `state` is the lab's folder; `keep` as in daemonize.start."""
    if cgroups.processes(lab, GROUP):
        return
    root = state / "time-server"
    root.mkdir(exist_ok=True)
    mounts = (
        f"mount -t overlay -o lowerdir={images.lower(firewalld=False)} overlay {root}"
        f" && mount -t tmpfs tmpfs {root}/run && exec chroot {root} {_CHRONYD}"
    )
    argv = [
        *("setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time"),
        *network.inside(network.operator(lab), ["unshare", "--mount", "sh", "-c", mounts]),
    ]
    groups = [group / cgroups.POWER for group in cgroups.create(lab, GROUP)]
    log = state / "time-server.log"
    daemonize.start(groups, f"exec {shlex.join(argv)}", log, ENVIRONMENT, keep)
