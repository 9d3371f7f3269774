"""The cluster as a master's own apiserver tells it: nodes, and what kubeadm has put into it.

No subject of its own: the install's phases ask, on the masters, with admin.conf of kubeadm,
which kubectl alone reads. A master whose apiserver does not answer says so; that is no error.
Several phases that ask for the nodes are answered by one kubectl (hale/install/look.py).

Sources: kubectl's reference, "JSONPath support"; kubeadm, "Implementation details".
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from hale.cluster import ADMIN
from hale.fact import Command, Probe, Readings, Unreadable

SUBJECT = "nodes"


class Object(NamedTuple):
    """An object of the cluster, as a manifest names it. namespace: empty where it names none."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.namespace, self.kind.lower(), self.name)))


# What kubeadm init makes, in its order; the last two are its addons.
MADE = (
    Object("v1", "ConfigMap", "kubeadm-config", "kube-system"),
    Object("v1", "ConfigMap", "kubelet-config", "kube-system"),
    Object("v1", "ConfigMap", "cluster-info", "kube-public"),
    Object("apps/v1", "Deployment", "coredns", "kube-system"),
    Object("apps/v1", "DaemonSet", "kube-proxy", "kube-system"),
)
ADDONS = MADE[3:]
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

_NODES = (
    "{range .items[*]}node {.metadata.name} "
    '{.status.conditions[?(@.type=="Ready")].status} {.metadata.labels}{"\\n"}{end}'
)
_KUBECTL = f"""\
address=%s
[ -e {ADMIN} ] || {{ echo absent; exit 0; }}
[ -r {ADMIN} ] || {{ echo "{ADMIN} is not readable by this user" >&2; exit 3; }}
command -v kubectl >/dev/null || {{ echo absent; exit 0; }}
k() {{ kubectl --kubeconfig {ADMIN} --server "https://$address:6443" --request-timeout 8s "$@"; }}
"""
_ASK_NODES = f"""\
nodes=$(k get nodes -o jsonpath={shlex.quote(_NODES)} 2>&1) || {{
  echo "silent $(echo "$nodes" | tail -n 1)"; exit 0
}}
echo answers
printf '%s\\n' "$nodes"
"""
# Of a Deployment: wanted and ready; of a DaemonSet: the same by other names.
_OBJECTS = (
    "{range .items[*]}object [{.metadata.namespace}] {.kind} {.metadata.name} "
    "[{.spec.replicas}] [{.status.readyReplicas}] "
    '[{.status.desiredNumberScheduled}] [{.status.numberReady}]{"\\n"}{end}'
)
_NO_SUCH_KIND = ("no matches for kind", "ensure CRDs are installed first")


class Nodes(Struct, frozen=True):
    """What one master's apiserver says. answers: it does; else `why`.

    nodes: whether each is Ready. masters: those that kubeadm has marked as control plane.
    """

    answers: bool
    why: str = ""
    nodes: Mapping[str, bool] = {}
    masters: frozenset[str] = frozenset()


class Count(NamedTuple):
    """How many of an object's pods are wanted, and how many are ready; 0 where it has none."""

    wanted: int
    ready: int


def probe(address: str) -> Command:
    """Asks this master's own apiserver for the nodes."""
    script = f"{_KUBECTL % shlex.quote(address)}{_ASK_NODES}"
    return Command("nodes", script, timeout=40, slow=True)


def probes(address: str, objects: Iterable[Object] = MADE) -> tuple[Probe, ...]:
    """Asks for the nodes, and for these objects, all at once: kubectl finds their namespaces."""
    given = "\n".join(
        json.dumps(
            {
                "apiVersion": o.api_version,
                "kind": o.kind,
                "metadata": {"name": o.name} | ({"namespace": o.namespace} if o.namespace else {}),
            }
        )
        for o in objects
    )
    if not given:
        return (probe(address),)
    get = f"k get -f - --ignore-not-found -o jsonpath={shlex.quote(_OBJECTS)}"
    asked = (
        f"said=$(printf '%s' {shlex.quote(given)} | {get} 2>&1) && r=0 || r=$?\n"
        'printf "%s\\n" "$said"\necho "end $r"\n'
    )
    script = f"{_KUBECTL % shlex.quote(address)}{asked}"
    return probe(address), Command("objects", script, timeout=40, slow=True)


def read(readings: Readings) -> Nodes:
    """What the apiserver says of the nodes. Raises Unreadable."""
    lines = readings.output("nodes").lines
    if not lines:
        raise Unreadable("the answer breaks off")
    word, _, why = lines[0].partition(" ")
    if word != "answers":
        return Nodes(False, why or "there is no admin.conf here")
    nodes: dict[str, bool] = {}
    masters: set[str] = set()
    for line in lines[1:]:
        kind, _, rest = line.partition(" ")
        if kind == "node":
            name, ready, labels = [*rest.split(" ", 2), "", ""][:3]
            nodes[name] = ready == "True"
            if f'"{CONTROL_PLANE}"' in labels:
                masters.add(name)
    return Nodes(True, "", nodes, frozenset(masters))


def counted(readings: Readings, objects: Iterable[Object]) -> dict[Object, Count | None]:
    """Of each of these objects its pods; None where it is not there. Raises Unreadable."""
    *lines, end = readings.output("objects").lines or [""]
    word, _, status = end.partition(" ")
    if word not in ("end", "absent"):
        raise Unreadable("the answer breaks off")
    found: dict[tuple[str, str, str], Count] = {}
    for line in filter(None, lines):
        words = line.split()
        if words[0] != "object":
            # A kind that nobody has defined yet has no objects; warnings are nobody's concern.
            if status != "0" and not any(text in line for text in _NO_SUCH_KIND):
                raise Unreadable(f"kubectl: {line[:200]}")
            continue
        try:
            _, space, kind, name, *numbers = words
            replicas, ready, scheduled, there = (int(n.strip("[]") or 0) for n in numbers)
        except ValueError:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}") from None
        found[space.strip("[]"), kind, name] = Count(replicas or scheduled, ready or there)
    return {o: _count(o, found) for o in objects}


def _count(wanted: Object, found: Mapping[tuple[str, str, str], Count]) -> Count | None:
    """Where a manifest names no namespace, it is the default one, or the kind has none; where
    the kind has none, the one that a manifest names is not heeded."""
    for space in (wanted.namespace or "default", ""):
        if count := found.get((space, wanted.kind, wanted.name)):
            return count
    return None
