"""The cluster according to a master's own apiserver: nodes, and the objects kubeadm created.

Not a subject: the install's phases observe it on the masters. Nodes are requested as in every fact
(facts/parsers/local_apiserver.py). Objects that manifests name, of any kind, are requested by
kubectl with kubeadm's admin.conf, which only kubectl reads. A master whose apiserver does not
answer reports that; it is not an error. Phases that need the same observation share one probe
(hale/install/observe.py).

Sources: kubectl's reference, "JSONPath support"; kubeadm, "Implementation details".
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from facts.parsers import local_apiserver
from facts.parsers.blanks import split_words
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.cluster_spec import ADMIN
from hale.model.evidence import CommandProbe, HostView, Probe, Unreadable, parsed
from hale.shell import script_with

SUBJECT = "nodes"


class Object(NamedTuple):
    """An object of the cluster, as in a manifest. namespace: empty where the manifest has none."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.namespace, self.kind.lower(), self.name)))


# The objects that kubeadm init creates, in that order; the last two are its addons.
COREDNS = Object("apps/v1", "Deployment", "coredns", "kube-system")
MADE = (
    Object("v1", "ConfigMap", "kubeadm-config", "kube-system"),
    Object("v1", "ConfigMap", "kubelet-config", "kube-system"),
    Object("v1", "ConfigMap", "cluster-info", "kube-public"),
    COREDNS,
    Object("apps/v1", "DaemonSet", "kube-proxy", "kube-system"),
)
CONFIGURATION, ADDONS = MADE[:3], MADE[3:]
CONTROL_PLANE = "control-plane"  # as in the column of roles

_PATHS = {"nodes": "/api/v1/nodes"}
_NODES = f"""\
[ -e {local_apiserver.MANIFEST} ] || {{ echo at none; exit 0; }}
{local_apiserver.SHELL}
api nodes '/api/v1/nodes?includeObject=None&pretty=false' -H '{local_apiserver.TABLE}'
"""
# A Deployment's wanted and ready pods; a DaemonSet has other names for them.
_OBJECTS = (
    "{range .items[*]}object [{.metadata.namespace}] {.kind} {.metadata.name} "
    "[{.spec.replicas}] [{.status.readyReplicas}] "
    '[{.status.desiredNumberScheduled}] [{.status.numberReady}]{"\\n"}{end}'
)
_NO_SUCH_KIND = ("no matches for kind", "ensure CRDs are installed first")


class Nodes(Struct, frozen=True):
    """The nodes according to one master's apiserver. answers: whether it answers; else `why` not.

    nodes: whether each is Ready. masters: those that kubeadm has marked as control plane.
    """

    answers: bool
    why: str = ""
    nodes: Mapping[str, bool] = {}
    masters: frozenset[str] = frozenset()


class Count(NamedTuple):
    """The wanted and the ready pods of an object; 0 for an object without pods."""

    wanted: int
    ready: int


def probe() -> CommandProbe:
    """A request for the nodes to this master's own apiserver."""
    return CommandProbe("nodes", _NODES, slow=True)


def probes(address: str, objects: Iterable[Object] = MADE) -> tuple[Probe, ...]:
    """Requests for the nodes and these objects, all at once; kubectl finds their namespaces."""
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
        return (probe(),)
    script = PRELUDE + script_with(
        Path(__file__).with_name("nodes_objects.sh"),
        kubeconfig=ADMIN,
        address=address,
        objects=given,
        template=_OBJECTS,
    )
    return probe(), CommandProbe("objects", script, timeout=40, slow=True)


@parsed
def read(readings: HostView) -> Nodes:
    """The nodes according to the apiserver. Raises Unreadable."""
    responses = local_apiserver.answers(readings.output("nodes").lines, _PATHS)
    if responses is None:
        return Nodes(False, local_apiserver.NONE)
    try:
        rows = responses["nodes"].rows
    except Unreadable as error:
        return Nodes(False, str(error))
    try:
        return Nodes(
            True,
            "",
            {row["Name"]: row["Status"].split(",")[0] == "Ready" for row in rows},
            frozenset(r["Name"] for r in rows if CONTROL_PLANE in r["Roles"].split(",")),
        )
    except (KeyError, AttributeError) as error:
        raise Unreadable(f"the nodes' table has an unknown format: {error!r}") from None


@parsed
def counted(readings: HostView, objects: Iterable[Object]) -> dict[Object, Count | None]:
    """The pods of each of these objects; None where it does not exist. Raises Unreadable."""
    *lines, end = readings.output("objects").lines or [""]
    word, _, status = end.partition(" ")
    if word not in ("end", "absent"):
        raise Unreadable("the answer is truncated")
    found: dict[tuple[str, str, str], Count] = {}
    for line in filter(None, lines):
        words = split_words(line)
        if words[0] != "object":
            # A kind that is not defined yet has no objects; warnings are ignored.
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
    """Without a namespace in the manifest, it is `default`, or the kind has none; for a kind
    without namespaces, the manifest's namespace is ignored."""
    for space in (wanted.namespace or "default", ""):
        if count := found.get((space, wanted.kind, wanted.name)):
            return count
    return None
