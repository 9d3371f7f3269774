"""The control plane's static manifests: equal on every master, except for names and addresses.

A flag that was changed by hand on one master shows its effect only when that master is lost, or
when a client happens to reach it. Before manifests are compared, each host's own name and address
are replaced, and the flags are removed that kubeadm writes differently for the first master and
for those that join.

Sources: kubeadm's implementation details, "Generate static Pod manifests"; etcd's clustering
guide (--initial-cluster).
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    ConfigLine,
    File,
    FileProbe,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case

FOLDER = "/etc/kubernetes/manifests"


class StaticPodsParameters(Struct, frozen=True):
    """The manifests, and flags that may differ from master to master."""

    manifests: tuple[str, ...]
    may_differ: tuple[str, ...]


class StaticPodsRuntime(Struct, frozen=True):
    """The number of masters compared, and the differences, in sentences."""

    compared: int
    drift: tuple[str, ...]
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        parts = self.drift or (f"{self.compared} masters have the same static manifests",)
        return "; ".join([*parts, *self.unread])


def probes(host: Host, cases: Sequence[Case[StaticPodsParameters]]) -> tuple[Probe, ...]:
    """The control plane's manifests, which name key files but contain no keys."""
    return (FileProbe(*_paths(cases[0])),) if host.is_master and cases else ()


def _paths(case: Case[StaticPodsParameters]) -> list[str]:
    return [f"{FOLDER}/{name}" for name in case.parameters.manifests]


def read_runtime(readings: ClusterView, case: Case[StaticPodsParameters]) -> StaticPodsRuntime:
    """The differences from what most masters have. Raises NotApplicable where there is no cluster.

    Raises Unreadable where a master gave no answer and the others prove no fault.
    """
    each: dict[str, Mapping[str, list[str]]] = {}
    unread = []
    for host in case.inventory.masters:
        try:
            if host.name not in readings:
                raise Unreadable("not asked")
            each[host.name] = _manifests(readings[host.name].files(*_paths(case)), host, case)
        except Unreadable as error:
            unread.append(f"{host.name}: {error}")
    if not unread and not any(each.values()):
        raise NotApplicable(f"no master has a manifest in {FOLDER}: there is no cluster yet")
    drift = [fault for name in case.parameters.manifests for fault in _drift(name, each, case)]
    if unread and not drift:
        raise Unreadable("; ".join(unread))
    return StaticPodsRuntime(len(each), tuple(drift), tuple(unread))


def _manifests(
    files: Sequence[File], host: Host, case: Case[StaticPodsParameters]
) -> dict[str, list[str]]:
    """By name, the lines with the host's own name and address replaced. Raises Unreadable."""
    wanted = case.parameters
    names = [name for name in (host.name, host.address) if name]
    own = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w-]|\.\w)", re.ASCII)
    flags = re.compile(
        rf"^ *- --(?:{'|'.join(map(re.escape, wanted.may_differ)) or '(?!)'})(?:=|$)"
    )
    found = {}
    for file in files:
        name = file.path.rpartition("/")[2]
        if name in wanted.manifests:
            lines = (own.sub("<own>", line.rstrip(BLANKS)) for line in file.lines)
            found[name] = [line for line in lines if line and not flags.match(line)]
    return found


def _drift(
    name: str, each: Mapping[str, Mapping[str, list[str]]], case: Case[StaticPodsParameters]
) -> list[str]:
    """How this manifest differs from the version that most masters have."""
    if name == "etcd.yaml" and case.inventory.etcd_kind != "stacked":
        return []
    have = {host: texts[name] for host, texts in each.items() if name in texts}
    missing = [host for host in each if host not in have]
    faults = [f"{host}: there is no {FOLDER}/{name}" for host in missing]
    if not have:
        return faults
    texts = list(have.values())
    usual = max(texts, key=lambda text: (texts.count(text), -texts.index(text)))
    others = " and ".join(host for host, text in have.items() if text == usual)
    for host, text in have.items():
        more = [line.strip(" -") for line in text if line not in usual]
        less = [line.strip(" -") for line in usual if line not in text]
        if text != usual:
            differences = [f"has {', '.join(more)}"] if more else []
            differences += [f"has not {', '.join(less)}"] if less else []
            what = " and ".join(differences) or "has its lines in another order"
            faults.append(f"{host}: {name} {what[:300]}, unlike {others}")
    return faults
