"""A node's versions: of Kubernetes, of control groups, and of containerd.

The engine reads this from every host in every run: which requirements and values of the baseline
hold depends on the version of Kubernetes that runs there. That is the kubelet's, by the binary of
its own process; of a node whose kubelet does not run, by the installed one.

Version 1 of the control groups is accepted where the kubelet's file has `failCgroupV1: false`.

Sources: kubelet(1), containerd(8), `--version`; kubernetes.io, "About cgroup v2" (the type of
/sys/fs/cgroup), KEP-5573 (failCgroupV1); "Container Runtimes"; os-release(5).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from facts import os_release
from facts.parsers import kubelet_config
from facts.parsers.blanks import split_words
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
from hale.shell import PROCESSES, load_script

SCRIPT = PRELUDE + PROCESSES + load_script(Path(__file__).with_suffix(".sh"))
# The type of /sys/fs/cgroup's file system. With tmpfs there are hierarchies of version 1 below it.
CGROUPS = {"cgroup2fs": 2, "tmpfs": 1}
What = Literal["cgroup", "containerd"]


class NodeVersionsParameters(Struct, frozen=True):
    """What has a version, and the lowest major version that is accepted."""

    what: What
    least: int


class NodeVersions(Struct, frozen=True):
    """kubernetes: major, minor and patch of the kubelet, empty where there is none or it does not
    tell. systems: numbers of the host's VERSION_ID by its NAME."""

    kubernetes: tuple[int, ...]
    systems: Mapping[str, tuple[int, ...]]


class NodeVersionsRuntime(Struct, frozen=True):
    """The major version in use, and how it was found out."""

    major: int
    how: str
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return self.how


def probes(host: Host, cases: Sequence[Case[NodeVersionsParameters]]) -> tuple[Probe, ...]:
    """One command, beside the others: each program takes a moment to start; the kubelet's files."""
    return (
        CommandProbe("programs", SCRIPT, timeout=10, slow=True),
        FileProbe(*os_release.FILES, *kubelet_config.PATTERNS),
    )


def read(readings: HostView) -> NodeVersions:
    """The versions that decide what of the baseline holds. Raises Unreadable without an answer."""
    kubelet = _program(readings, "kubelet", r"Kubernetes v(\d+)\.(\d+)\.(\d+)")
    try:
        fields = os_release.fields(readings, os_release.FILES)
        release = os_release.numbers(fields.get("VERSION_ID", ""))
        systems = {fields.get("NAME", ""): release}
    except Unreadable:
        systems = {}
    runs = kubelet and (kubelet[0] == "running" or "node" in readings.output("programs").lines)
    return NodeVersions(kubelet[1] if kubelet and runs else (), systems)


def _program(readings: HostView, name: str, pattern: str) -> tuple[str, tuple[int, ...]] | None:
    """Whether it is running or installed, and its version; None where no answer has that form."""
    for line in readings.output("programs").lines:
        words = split_words(line)
        if words[:1] == [name] and len(words) > 2:
            found = re.match(pattern, " ".join(words[2:]), re.ASCII)
            return (words[1], tuple(map(int, found.groups()))) if found else None
    return None


def read_runtime(readings: HostView, case: Case[NodeVersionsParameters]) -> NodeVersionsRuntime:
    """The version in use. Raises Unreadable, and NotApplicable where there is nothing to judge."""
    if case.parameters.what == "cgroup":
        return _cgroup(readings, case.parameters.least)
    lines = readings.output("programs").lines
    if not any(split_words(line)[:1] == ["containerd"] for line in lines):
        raise NotApplicable("containerd is not installed")
    found = _program(readings, "containerd", r"containerd \S+ v?(\d+)\.(\d+)\.(\d+)")
    if found is None:
        raise Unreadable("containerd's version has another form")
    state, version = found
    text = ".".join(map(str, version))
    how = f"containerd {text} runs" if state == "running" else f"containerd {text} is installed"
    return NodeVersionsRuntime(version[0], how)


def _cgroup(readings: HostView, least: int) -> NodeVersionsRuntime:
    kind = next(
        (
            line.removeprefix("cgroup ")
            for line in readings.output("programs").lines
            if line.startswith("cgroup ")
        ),
        "",
    )
    if kind not in CGROUPS:
        raise Unreadable(f"/sys/fs/cgroup is of the type {kind!r}: no version is known by it")
    major = CGROUPS[kind]
    how = f"the control groups have version {major} (/sys/fs/cgroup is of the type {kind})"
    if major < least and (found := kubelet_config.setting(readings, "failCgroupV1")):
        value, source = found
        if value == "false":
            raise NotApplicable(f"{how}, and {source} has the kubelet accept that")
        return NodeVersionsRuntime(major, how, (source,))
    return NodeVersionsRuntime(major, how)
