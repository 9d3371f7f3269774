"""Process limits that cannot be raised on this machine, so neither on the lab's hosts.

Without CAP_SYS_RESOURCE, root can only lower hard limits (capabilities(7), setrlimit(2)). The
lab's inventory then overrides the standard with the existing limits, and every report shows it.
"""

from __future__ import annotations

import resource
from pathlib import Path

_CAP_SYS_RESOURCE = 1 << 24
# Baseline: limits.conf's name, the kernel's, the least, units of one (memlock: KiB).
_WANTED = (
    ("nofile", resource.RLIMIT_NOFILE, 65536, 1),
    ("nproc", resource.RLIMIT_NPROC, 65536, 1),
    ("memlock", resource.RLIMIT_MEMLOCK, None, 1024),
)
_SUBJECTS = ("lim", "lim_root", "svc_containerd", "svc_kubelet")


def limit_overrides() -> dict[str, str]:
    """The baseline's values that the lab cannot reach, as variables of an inventory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and int(line.split()[1], 16) & _CAP_SYS_RESOURCE:
            return {}
    found: dict[str, str] = {}
    for item, number, least, unit in _WANTED:
        hard = resource.getrlimit(number)[1]
        if hard == resource.RLIM_INFINITY or (least is not None and hard // unit >= least):
            continue
        found |= {f"hale_{subject}_{item}__least": str(hard // unit) for subject in _SUBJECTS}
    return found
