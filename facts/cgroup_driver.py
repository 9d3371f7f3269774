"""The cgroup driver: containerd and the kubelet must use the same one.

A flag of the kubelet wins over its file (`--cgroup-driver`, which kubeadm no longer writes).

With different drivers, two managers write the same cgroup tree: pods lose their limits, or do not
start after a reboot. Both drivers are read from the configuration that the next start will use.
containerd's is `SystemdCgroup` of its default runtime; a file that it imports may set it too.

A kubelet from 1.34 on may query the container runtime (containerd 2.0 and later) and then ignores
the setting in its own file; an older runtime cannot answer that query.

Sources: kubernetes.io, "Configuring a cgroup driver", "Container Runtimes"; containerd's
docs/cri/config.md, containerd-config.toml(5) (version, imports).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers import containerd_files, kubelet_config
from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model.evidence import ConfigLine, FileProbe, HostView, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case

CONTAINERD = containerd_files.CONFIG
PLUGINS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")


class CgroupDriverParameters(Struct, frozen=True):
    """None: any driver is accepted, as long as both use it."""


class CgroupDriverPersisted(Struct, frozen=True):
    """Both drivers: `systemd` or `cgroupfs`. where: what sets the kubelet's."""

    kubelet: str
    runtime: str
    sources: tuple[ConfigLine, ...] = ()
    where: str = kubelet_config.PATH

    @property
    def actual(self) -> str:
        return (
            f"the kubelet uses {self.kubelet} ({self.where}), "
            f"containerd {self.runtime} ({CONTAINERD})"
        )


def probes(host: Host, cases: Sequence[Case[CgroupDriverParameters]]) -> tuple[Probe, ...]:
    """Both configurations, and the files that containerd's may import."""
    return (FileProbe(*kubelet_config.PATTERNS, *containerd_files.PATTERNS),)


def read_persisted(readings: HostView, case: Case[CgroupDriverParameters]) -> CgroupDriverPersisted:
    """The drivers that both will use at their next start. Raises NotApplicable, Unreadable."""
    kubelet, containerd = readings.file(kubelet_config.PATH), readings.file(CONTAINERD)
    if kubelet is None:
        raise NotApplicable(f"this host is not a node yet (no {kubelet_config.PATH})")
    if containerd is None:
        raise Unreadable(
            f"there is no {CONTAINERD}: the driver of another runtime is not read here"
        )
    config = containerd_files.configuration(readings) or {}
    driver, sources = "cgroupfs", []  # the kubelet's own default
    where = kubelet_config.PATH
    if found := kubelet_config.effective(readings, "cgroup-driver", "cgroupDriver"):
        driver, source = found
        where = str(source) if source.path != where else where
        sources.append(source)
    for number, line in enumerate(containerd.lines, 1):
        if line.strip(BLANKS).startswith("SystemdCgroup"):
            sources.append(
                ConfigLine(CONTAINERD, number, line.strip(BLANKS), False, containerd.changed)
            )
    return CgroupDriverPersisted(
        driver, "systemd" if _systemd(config) else "cgroupfs", tuple(sources), where
    )


def _systemd(config: Mapping[str, Any]) -> bool:
    """SystemdCgroup of the default runtime."""
    for plugin in PLUGINS:
        containerd = config.get("plugins", {}).get(plugin, {}).get("containerd", {})
        if containerd:
            name = containerd.get("default_runtime_name", "runc")
            options = containerd.get("runtimes", {}).get(name, {}).get("options", {})
            return options.get("SystemdCgroup", False) is True
    return False
