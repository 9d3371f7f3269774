"""What cannot work together: Kubernetes, kubeadm's API, containerd and control groups.

The table is versions.toml, with its sources.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from facts.cluster.packages import Packages
from hale.install.cluster_context import ClusterContext
from hale.inventory.ini import Host

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["needs"]


def problems(site: ClusterContext, host: Host, found: Packages) -> Iterator[str]:
    """Why the inventory's version of Kubernetes cannot run on this host, with the next step."""
    wanted = site.cluster.kubernetes_version
    version = _minor(wanted)
    fails_v1 = site.extra.get("KubeletConfiguration", {}).get("failCgroupV1")
    has = {
        "kubeadm": True,
        "cgroup v1": found.cgroup == "v1" and fails_v1 is not False,
        "containerd 1": found.containerd.startswith("1."),
    }
    for row in _TABLE:
        before, since = row.get("before"), row.get("from")
        applies = version < _minor(before) if before else version >= _minor(since)
        if applies and has[row["what"]]:
            yield (
                f"{host.name}: Kubernetes {wanted}: {row['why']} ({row['source']}). "
                f"Next step: {row['instead']}."
            )


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
