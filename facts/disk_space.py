"""Free space and free inodes of the file systems that hold a node's data.

The folders are those of the configuration: the kubelet's `--root-dir`, containerd's `root` and the
`root_path` of its snapshotters (images and containers), and the volumes of etcd's manifest that
hold its data and its log. One that does not exist yet lies on the file system of the nearest folder
above it, so a host is judged before it joins.

Space is what an ordinary user may still take, in percent of the size, as the kubelet counts it. A
file system without a fixed number of inodes (btrfs) has enough of them.

Sources: kubernetes.io, "Node-pressure Eviction" (thresholds, nodefs and imagefs), kubelet(1)
(--root-dir), "Garbage Collection" (images); containerd-config.toml(5) (root, imports), containerd's
docs/snapshotters; etcd's configuration flags (data-dir, wal-dir); statvfs(3), stat(1).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers import containerd_files, kubelet_config, static_pod
from facts.parsers.blanks import is_decimal
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import script_with

KUBELET, CONTAINERD, ETCD = "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/etcd"
SNAPSHOTTER = "io.containerd.snapshotter.v1."
MANIFEST = static_pod.manifest_of("etcd")
SOCKET = "containerd.sock"
_ANSWER = re.compile(
    r"blocks (\d{1,20}) (\d{1,20}) inodes (\d{1,20}) (\d{1,20}) of (/.*)", re.ASCII
)

SCRIPT = PRELUDE + script_with(
    Path(__file__).with_suffix(".sh"),
    usual="\n".join((KUBELET, CONTAINERD, ETCD)),
    containerd=" ".join((containerd_files.CONFIG, *containerd_files.IMPORTS)),
    kubelet=" ".join(kubelet_config.OPTION_FILES),
    manifest=MANIFEST,
)


class DiskSpaceParameters(Struct, frozen=True):
    """Whose data it is: `kubelet`, `containerd`, `etcd`; the minimum of both, in percent."""

    what: str
    free_percent: int
    free_inodes_percent: int


class FileSystem(Struct, frozen=True):
    """What is free of the file system that holds a folder, in percent.

    at: the directory that stands for the folder. inodes: None where their number is not limited.
    """

    folder: str
    at: str
    space: float
    inodes: float | None


class DiskSpaceRuntime(Struct, frozen=True):
    """The file systems; wanted: the minimum of space and of inodes.

    More than the minimum is not stated more closely: it changes from one audit to the next.
    """

    file_systems: tuple[FileSystem, ...]
    wanted: tuple[int, int]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(self._one(found) for found in self.file_systems)

    def _one(self, found: FileSystem) -> str:
        where = found.folder if found.at == found.folder else f"{found.folder} (on {found.at})"
        space = _percent(found.space, self.wanted[0], "space")
        if found.inodes is None:
            return f"{where}: {space}; its inodes are not limited"
        return f"{where}: {space} and {_percent(found.inodes, self.wanted[1], 'inodes')}"


def _percent(have: float, wanted: int, what: str) -> str:
    much = f"at least {wanted}" if have >= wanted else f"only {have:.1f}"
    return f"{much} % of the {what} free"


def probes(host: Host, cases: Sequence[Case[DiskSpaceParameters]]) -> tuple[Probe, ...]:
    """The configurations that name the folders, and the file systems of all of them."""
    return (
        FileProbe(*containerd_files.PATTERNS, *kubelet_config.PATTERNS, MANIFEST),
        CommandProbe("free", SCRIPT),
    )


def read_runtime(readings: HostView, case: Case[DiskSpaceParameters]) -> DiskSpaceRuntime:
    """The file systems of what the requirement names. Raises NotApplicable, Unreadable."""
    wanted = case.parameters
    folders = {"kubelet": _kubelet, "containerd": _containerd}
    if wanted.what == "etcd":
        if case.inventory.etcd_kind != "stacked":
            raise NotApplicable("etcd is external: its data is on hosts of its own")
        named = _etcd(readings)
    else:
        named = folders[wanted.what](readings)
    found = _answers(readings.output("free").lines)
    for folder in named:
        if folder not in found:
            raise Unreadable(f"{folder}: its file system is not read; `df {folder}` shows it")
    minimum = wanted.free_percent, wanted.free_inodes_percent
    return DiskSpaceRuntime(tuple(found[folder] for folder in named), minimum)


def _answers(lines: Sequence[str]) -> dict[str, FileSystem]:
    """By folder. Raises Unreadable."""
    folders = [line.removeprefix("at ") for line in lines if line.startswith("at ")]
    stats = lines[len(folders) :]
    if not folders or len(stats) != len(folders):
        raise Unreadable("the answer of stat is incomplete")
    found = {}
    for folder, line in zip(folders, stats, strict=True):
        parts = _ANSWER.fullmatch(line)
        if not parts or not all(map(is_decimal, parts.groups()[:4])):
            raise Unreadable(f"{folder}: stat printed {line[:80]!r}")
        free, size, inodes, every = map(int, parts.groups()[:4])
        if not size:
            raise Unreadable(f"{folder}: its file system reports no size")
        free_inodes = 100 * inodes / every if every else None
        found[folder] = FileSystem(folder, parts[5], 100 * free / size, free_inodes)
    return found


def _kubelet(readings: HostView) -> list[str]:
    named = kubelet_config.option(readings, "root-dir")
    return [_plain(named[0]) if named else KUBELET]


def _containerd(readings: HostView) -> list[str]:
    """Its root, and what its snapshotters have elsewhere. Raises NotApplicable, Unreadable."""
    endpoint = kubelet_config.effective(
        readings, "container-runtime-endpoint", "containerRuntimeEndpoint"
    )
    if endpoint and endpoint[0] and not endpoint[0].endswith(SOCKET):
        raise NotApplicable(f"the kubelet's runtime is not containerd ({endpoint[1]})")
    config = containerd_files.configuration(readings) or {}
    plugins = config.get("plugins")
    elsewhere = [
        table["root_path"]
        for name, table in (plugins.items() if isinstance(plugins, dict) else ())
        if name.startswith(SNAPSHOTTER) and isinstance(table, dict) and table.get("root_path")
    ]
    flag = containerd_files.flag(readings, "root")
    named = [flag[0] if flag else config.get("root") or CONTAINERD, *elsewhere]
    return list(dict.fromkeys(map(_plain, named)))


def _etcd(readings: HostView) -> list[str]:
    """Its data, and its log where that is elsewhere. Without a manifest, kubeadm's folder."""
    manifest = static_pod.read(readings, "etcd")
    if manifest is None:
        return [ETCD]
    data = manifest.flag("data-dir")
    if not data:
        raise Unreadable(f"{manifest.path} names no --data-dir")
    log = manifest.flag("wal-dir")
    folders = [manifest.on_host(folder) for folder in (data, log) if folder]
    return list(dict.fromkeys(map(_plain, folders)))


def _plain(folder: Any) -> str:
    """An absolute path without a slash at its end. Raises Unreadable."""
    if not isinstance(folder, str) or not folder.startswith("/"):
        raise Unreadable(f"{folder!r} is not the absolute path of a folder")
    return folder.rstrip("/") or "/"
