"""The control plane's static manifests: equal on every master, except for names and addresses.

A flag that was changed by hand on one master shows its effect only when that master is lost, or
when a client happens to reach it. Before manifests are compared, each host's own name and address
are replaced, and the flags are removed that kubeadm writes differently for the first master and
for those that join.

The kubelet reads every file of the folder but those whose name begins with a dot, whatever their
ending: a copy beside a manifest (`.bak`, `.yaml~`) is a second Pod of one name, and which of the
two runs after the kubelet's next start depends on the order of names.

Sources: kubeadm's implementation details, "Generate static Pod manifests"; kubernetes.io, "Create
static Pods"; the kubelet's pkg/kubelet/config/file.go (extractFromDir); etcd's clustering guide
(--initial-cluster).
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from facts.parsers.combined import read_each
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case

FOLDER = "/etc/kubernetes/manifests"
# Of files beside the manifests: whether each is a Pod, and its name.
OTHERS = select(
    Selection(r"[[:space:]]*[\"']?(kind|metadata|name|namespace|spec)[\"']?[[:space:]]*:"),
    f"{FOLDER}/*",
)
_KEY = re.compile(
    r"""([ \t]*)["']?(kind|metadata|name|namespace|spec)["']?[ \t]*:[ \t]*["']?([^"',{#\s]*)""",
    re.ASCII,
)


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
    """The control plane's manifests, which name key files but contain no keys; others' names."""
    return (FileProbe(*_paths(cases[0]), *OTHERS),) if host.is_master and cases else ()


def _paths(case: Case[StaticPodsParameters]) -> list[str]:
    return [f"{FOLDER}/{name}" for name in case.parameters.manifests]


def read_runtime(readings: ClusterView, case: Case[StaticPodsParameters]) -> StaticPodsRuntime:
    """The differences from what most masters have. Raises NotApplicable where there is no cluster.

    Raises Unreadable where a master gave no answer and the others prove no fault.
    """
    masters = {host.name: host for host in case.inventory.masters}

    def read(its: HostView) -> tuple[dict[str, list[str]], list[str]]:
        files = its.files(*OTHERS)
        return _manifests(files, masters[its.host], case), _copies(files)

    answers, unread = read_each(readings, masters.values(), read)
    each = {host: manifests for host, (manifests, _) in answers.items()}
    copies = [f"{host}: {fault}" for host, (_, faults) in answers.items() for fault in faults]
    if not unread and not any(each.values()):
        raise NotApplicable(f"no master has a manifest in {FOLDER}: there is no cluster yet")
    drift = [fault for name in case.parameters.manifests for fault in _drift(name, each, case)]
    drift += copies
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


def _copies(files: Sequence[File]) -> list[str]:
    """Files that are Pods of the same name and namespace."""
    pods: dict[tuple[str, str], str] = {}
    faults = []
    # The manifest proper first: its name ends as kubeadm's does.
    for file in sorted(
        files, key=lambda f: (not f.path.endswith((".yaml", ".yml", ".json")), f.path)
    ):
        if file.kind != "f" or not (pod := _pod(file)):
            continue
        if pod in pods:
            faults.append(
                f"{file.path} is a second manifest of the Pod {pod[1]} beside {pods[pod]}: the "
                "kubelet reads every file there"
            )
        pods.setdefault(pod, file.path)
    return faults


def _pod(file: File) -> tuple[str, str] | None:
    """The Pod's namespace and name; None where the file is not a Pod."""
    keys = [
        (len(found[1]), found[2], found[3]) for line in file.lines if (found := _KEY.match(line))
    ]
    top = min((depth for depth, _, _ in keys), default=0)
    if (top, "kind", "Pod") not in keys or (top, "metadata", "") not in keys:
        return None
    inside = list(takewhile(lambda k: k[0] > top, keys[keys.index((top, "metadata", "")) + 1 :]))
    least = min((depth for depth, _, _ in inside), default=0)
    # Labels are deeper.
    own = {key: value for depth, key, value in reversed(inside) if depth == least}
    return (own.get("namespace") or "default", own["name"]) if own.get("name") else None


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
