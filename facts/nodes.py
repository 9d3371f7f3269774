"""The cluster as a master's own apiserver tells it: nodes, and what kubeadm has put into it.

No subject of its own: the install's phases ask, on the masters, with admin.conf of kubeadm,
which kubectl alone reads. A master whose apiserver does not answer says so; that is no error.

Sources: kubectl's reference, "JSONPath support"; kubeadm, "Implementation details".
"""

import shlex
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hale.cluster import ADMIN
from hale.fact import Command, Readings, Unreadable

SUBJECT = "nodes"

# What kubeadm init makes, in its order; the last two are its addons.
MADE = (
    "kube-system/configmap/kubeadm-config",
    "kube-system/configmap/kubelet-config",
    "kube-public/configmap/cluster-info",
    "kube-system/deployment/coredns",
    "kube-system/daemonset/kube-proxy",
)
ADDONS = MADE[3:]
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

_NODES = (
    "{range .items[*]}node {.metadata.name} "
    '{.status.conditions[?(@.type=="Ready")].status} {.metadata.labels}{"\\n"}{end}'
)

_SCRIPT = f"""\
[ -e {ADMIN} ] || {{ echo absent; exit 0; }}
[ -r {ADMIN} ] || {{ echo "{ADMIN} is not readable by this user" >&2; exit 3; }}
command -v kubectl >/dev/null || {{ echo absent; exit 0; }}
address=$1
k() {{ kubectl --kubeconfig {ADMIN} --server "https://$address:6443" --request-timeout 8s "$@"; }}
nodes=$(k get nodes -o jsonpath={shlex.quote(_NODES)} 2>&1) || {{
  echo "silent $(echo "$nodes" | tail -n 1)"; exit 0
}}
echo answers
printf '%s\\n' "$nodes"
"""
# Of a Deployment: wanted and ready; of a DaemonSet: the same by other names.
_OBJECTS = (
    "{range .items[*]}object {.kind}/{.metadata.name} [{.spec.replicas}] [{.status.readyReplicas}]"
    ' [{.status.desiredNumberScheduled}] [{.status.numberReady}]{"\\n"}{end}'
)


class Nodes(Struct, frozen=True):
    """What one master's apiserver says. answers: it does; else `why`.

    nodes: whether each is Ready. masters: those that kubeadm has marked as control plane.
    objects: of those asked for, how many of each are wanted and how many are ready.
    """

    answers: bool
    why: str = ""
    nodes: Mapping[str, bool] = {}
    masters: frozenset[str] = frozenset()
    objects: Mapping[str, tuple[int, int]] = {}


def probe(address: str, objects: Iterable[str] = MADE) -> Command:
    """Asks this master's own apiserver; objects as NAMESPACE/KIND/NAME, `-` for no namespace."""
    spaces: dict[str, list[str]] = {}
    for name in objects:
        space, _, rest = name.partition("/")
        spaces.setdefault(space, []).append(rest)
    asked = []
    for space, names in spaces.items():
        # One name alone would be answered by the object, and not by a list of one.
        words = shlex.join(names * 2 if len(names) == 1 else names)
        where = "" if space == "-" else f"-n {shlex.quote(space)}"
        asked.append(
            f"k get {where} {words} --ignore-not-found -o jsonpath={shlex.quote(_OBJECTS)} "
            f"2>/dev/null | sed 's|^object |&{space}/|' | sort -u"
        )
    script = "\n".join([f"set -- {shlex.quote(address)}", _SCRIPT, *asked])
    return Command("nodes", script, timeout=40, slow=True)


def read(readings: Readings) -> Nodes:
    """What the apiserver says. Raises Unreadable."""
    lines = readings.output("nodes").lines
    if not lines:
        raise Unreadable("the answer breaks off")
    word, _, why = lines[0].partition(" ")
    if word != "answers":
        return Nodes(False, why or "there is no admin.conf here")
    nodes: dict[str, bool] = {}
    masters: set[str] = set()
    objects: dict[str, tuple[int, int]] = {}
    for line in lines[1:]:
        kind, _, rest = line.partition(" ")
        if kind == "node":
            name, ready, labels = [*rest.split(" ", 2), "", ""][:3]
            nodes[name] = ready == "True"
            if f'"{CONTROL_PLANE}"' in labels:
                masters.add(name)
        elif kind == "object":
            name, *numbers = rest.split()
            replicas, ready_ones, scheduled, ready_there = (
                int(n.strip("[]") or 0) for n in numbers
            )
            space, kind, called = name.split("/", 2)
            objects[f"{space}/{kind.lower()}/{called}"] = (
                replicas or scheduled,
                ready_ones or ready_there,
            )
    return Nodes(True, "", nodes, frozenset(masters), objects)
