"""What a fault of a cluster is: steps on its hosts, and exactly which rows they turn.

A living cluster mends itself and moves things about, so a fault may take several hosts to bring
about, and some rows may turn with it or not, by who happens to lead: those are named too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from hale.model.results import RowKey
from lab.faults.fault import ExpectedResult, fail, row
from lab.faults.network import PODS
from lab.topology import HOSTS

FIRST, SECOND, THIRD = MASTERS = tuple(h.name for h in HOSTS if h.role == "masters")
NODE, OTHER_NODE = WORKERS = tuple(h.name for h in HOSTS if h.role == "workers")
EVERY = MASTERS + WORKERS
ADDRESS = {h.name: h.address for h in HOSTS}
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
ECHO_IMAGE = (
    f"{KUBECTL} -n lab get deployment echo -o jsonpath={{.spec.template.spec.containers[0].image}}"
)
MANIFESTS = "/etc/kubernetes/manifests"
# Leaders lose their lease when their own apiserver, or etcd, takes no writes; so does a kubelet,
# and its node is not ready. Without a quorum no apiserver can list anything.
LEADERS = (
    "HA-CONTROLLER-MANAGER runtime @cluster",
    "HA-SCHEDULER runtime @cluster",
    "CMP-NODES runtime @cluster",
    PODS,
    "CMP-INGRESS runtime @cluster",
    "CMP-DASHBOARD runtime @cluster",
)

Steps = tuple[tuple[str, str], ...]  # host, script


class Both(TypedDict):
    """How a fault comes about, and how it goes."""

    inject: Steps
    undo: Steps


@dataclass(frozen=True)
class ClusterFault:
    """One fault. host: whose rows `turns` names without an @. may: rows that may turn as well.
    soak: never drawn for a run that takes a sample.

    undo is done also where inject failed half-way; it must bear that.
    """

    name: str
    host: str
    inject: Steps
    undo: Steps
    turns: Mapping[str, ExpectedResult] = field(default_factory=dict)
    may: Iterable[str] = ()
    soak: bool = False

    @property
    def how(self) -> str:
        """What the fault was shown on."""
        return "real cluster, in a soak" if self.soak else "real cluster"

    @property
    def rows(self) -> dict[RowKey, ExpectedResult]:
        """`turns` with the rows' full names."""
        return {row(key, self.host): turn for key, turn in self.turns.items()}

    @property
    def may_turn(self) -> set[RowKey]:
        """`may` with the rows' full names."""
        return {row(key, self.host) for key in self.may}


def on(host: str, inject: str, undo: str) -> Both:
    """The steps of a fault that one host has."""
    return {"inject": ((host, inject),), "undo": ((host, undo),)}


def with_objects(namespace: str, text: str, cleanup: str) -> Both:
    """Objects in a namespace of their own, which goes again with all that is in it.

    text: their YAML, in which ECHO is the image of the lab's echo. cleanup: what else kubectl
    deletes.
    """
    inject = (
        f"{KUBECTL} create namespace {namespace} && echo=$({ECHO_IMAGE}) &&\n"
        f'sed "s|ECHO|$echo|" <<"END" | {KUBECTL} apply -f -\n{text}\nEND'
    )
    undo = (
        f"{KUBECTL} delete namespace {namespace} --ignore-not-found &&"
        f" {KUBECTL} delete {cleanup} --ignore-not-found"
    )
    return on(FIRST, inject, undo)


def without_manifest(host: str, component: str) -> Both:
    """The kubelet stops a static pod whose manifest is away, and starts it when it is back."""
    path = f"{MANIFESTS}/{component}.yaml"
    return on(
        host,
        f"mv {path} /root/ && {gone(component)}",
        f"[ ! -e /root/{component}.yaml ] || mv /root/{component}.yaml {path}",
    )


def gone(program: str) -> str:
    """Wait until no such process is left; a Pod has half a minute to end."""
    look = f"pgrep -x {program[:15]} >/dev/null || exit 0"
    return f"for n in $(seq 400); do {look}; sleep 0.5; done; exit 1"


def hanging(host: str, program: str) -> Both:
    """A process that is there and does nothing."""
    name = program[:15]
    return on(host, f"pkill -STOP -x {name}", f"pkill -CONT -x {name}")


def each(hosts: Iterable[str], key: str, turn: ExpectedResult) -> dict[str, ExpectedResult]:
    """The same row of several hosts."""
    return {f"{key} @{host}": turn for host in hosts}


def down_for_everybody(host: str) -> dict[str, ExpectedResult]:
    """Every master's load balancer finds this one down."""
    return each(MASTERS, "HA-LB-BACKENDS runtime", fail(f"{host} is down for it"))


DRIFT = "CP-MANIFEST-DRIFT runtime @cluster"


def missing(host: str, component: str) -> dict[str, ExpectedResult]:
    """The other masters have a manifest that this one has not."""
    return {DRIFT: fail(f"{host}: there is no {MANIFESTS}/{component}.yaml")}
