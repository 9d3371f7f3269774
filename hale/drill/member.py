"""`invoke drill member`: a member of the federation is disconnected from the cluster with Karmada.

The fault is on the member's own hosts (fault.py): they drop whatever they would send to hosts and
pods of the other cluster. Their cluster works on, and so does the operator's login.

Two replicas of the drill's workload are placed on the member by a PropagationPolicy whose second
choice is the other members. Whether they move is the site's policy: Karmada evicts workloads from a
member that is not Ready where a ClusterTaintPolicy taints it with NoExecute, and from no other.

Source: karmada.io, "Cluster Failover", "ClusterTaintPolicy", "Propagate Deployment by
Karmada".
"""

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from hale.apply import karmada
from hale.drill import actions, health
from hale.drill.actions import ActionFailed
from hale.drill.fault import Fault
from hale.drill.sampler import BEGIN, FOLDER
from hale.drill.workload import IMAGE, pause_container
from hale.inventory.ini import Inventory
from hale.model.drill import FaultKind, Measurement
from hale.model.errors import UserError
from hale.shell import load_script
from hale.ssh import SessionPool

HERE = Path(__file__).parent
NAMESPACE = "hale-drill-member"  # in Karmada, which makes it on all members
NAME = "hale-drill"  # of the Deployment and its PropagationPolicy
REPLICAS = 2
PATIENCE = 180  # seconds for the workload to be ready on the member, or to be deleted
#: A binding's name is that of its object and its kind.
_BINDING = (
    f"/apis/work.karmada.io/v1alpha2/namespaces/{NAMESPACE}/resourcebindings/{NAME}-deployment"
)
_Lists = tuple[list[dict[str, Any]], list[dict[str, Any]]]
_MEMBERS = "/apis/cluster.karmada.io/v1alpha1/clusters"


class DrilledMember(msgspec.Struct, frozen=True):
    """The member that is disconnected.

    name, others: the names that Karmada has of it and of the other members. inventory: its own.
    evicts: whether a policy evicts workloads from it once it is not Ready.
    """

    name: str
    others: tuple[str, ...]
    inventory: Inventory
    evicts: bool

    @property
    def moves(self) -> bool:
        """Whether its workloads have to move to another member."""
        return self.evicts and bool(self.others)


def find_member(first: Inventory, second: Inventory, sessions: SessionPool) -> DrilledMember:
    """What Karmada knows of the cluster of the second inventory. Raises UserError."""
    try:
        uid = _on(
            sessions,
            second.masters[0].name,
            karmada.cluster_script()
            + "cluster get namespace kube-system -o 'jsonpath={.metadata.uid}'\n",
        )
        script = karmada.karmada_script() + load_script(HERE / "member_read.sh")
        clusters, policies = _on(sessions, first.masters[0].name, script).splitlines()
    except ActionFailed as error:
        raise UserError(f"no fault was injected: {error}.") from None
    except ValueError:
        raise UserError("no fault was injected: Karmada's answer is truncated.") from None
    return parse_member(clusters, policies, uid.strip(), second)


def parse_member(clusters: str, policies: str, uid: str, second: Inventory) -> DrilledMember:
    """The member of that uid. clusters, policies: JSON lists of objects. Raises UserError."""
    try:
        items, tainting = msgspec.convert((json.loads(clusters), json.loads(policies)), _Lists)
        names = {str(each["metadata"]["name"]): each["spec"].get("id") for each in items}
        own = [name for name, known in names.items() if known == uid]
        evicts = bool(own) and any(_evicts(each, own[0]) for each in tainting)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"Karmada's answer has an unknown format: {error!r}.") from None
    if not own:
        raise UserError(
            f"no fault was injected: the cluster of {second.path} is not a member; known are "
            f"{', '.join(names) or 'none'}."
        )
    others = tuple(sorted(name for name in names if name != own[0]))
    return DrilledMember(own[0], others, second, evicts)


def _evicts(policy: dict[str, Any], member: str) -> bool:
    """Whether a ClusterTaintPolicy taints this member with NoExecute where it is not Ready."""
    spec = policy["spec"]
    named = (spec.get("targetClusters") or {}).get("clusterNames")
    return (
        (not named or member in named)
        and any(each["effect"] == "NoExecute" for each in spec["taints"])
        and any(each["conditionType"] == "Ready" for each in spec.get("addOnConditions") or ())
    )


def problems(done: Sequence[Measurement]) -> list[str]:
    """What is wrong with the federation by these drills' measurements; empty if nothing is."""
    found = []
    for one in done:
        if one.kind is not FaultKind.MEMBER:
            continue
        if one.invalid_because:
            found.append(one.invalid_because)
        elif one.moves and one.replicas_recovered_at is None:
            found.append("the workload was not ready elsewhere while the member was disconnected")
        found += [f"{c.kind}: {c.last_detail}" for c in one.components if c.recovered_at is None]
    return found


def faults(first: Inventory, second: Inventory) -> tuple[Fault, ...]:
    """One on each host of the member. Raises UserError for a host without an address."""
    unreached = [_address(host.address or host.name) for host in first.hosts]
    if first.cluster.pod_cidr is not None:
        unreached.append(str(first.cluster.pod_cidr))
    return tuple(
        Fault(FaultKind.MEMBER, host.name, unreached=tuple(unreached)) for host in second.hosts
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UserError(
            f"no fault was injected: {text} is not an address, which the rules need."
        ) from None


def deploy_workload(sessions: SessionPool, master: str, member: DrilledMember) -> None:
    """Place the workload on the member, and wait until it is ready. Raises ActionFailed."""
    there = member.inventory.masters[0].name
    image = actions.run_script(sessions, there, IMAGE).strip()
    if not image:
        raise ActionFailed(f"{there}: containerd's configuration names no sandbox image")
    given = {
        "space": NAMESPACE,
        "name": NAME,
        "replicas": str(REPLICAS),
        "objects": manifest(image, member),
        "patience": str(PATIENCE),
    }
    script = karmada.karmada_script(**given) + load_script(HERE / "member_deploy.sh")
    _on(sessions, master, script, PATIENCE + 60)


def delete_workload(sessions: SessionPool, master: str) -> None:
    """Delete the workload, on every member too. Raises ActionFailed."""
    given = {"space": NAMESPACE, "patience": str(PATIENCE)}
    script = karmada.karmada_script(**given) + load_script(HERE / "member_delete.sh")
    _on(sessions, master, script, PATIENCE + 60)


def _on(sessions: SessionPool, host: str, script: str, timeout: float = 60.0) -> str:
    return actions.run_script(sessions, host, f"set -eu\n{script}", timeout)


def manifest(image: str, member: DrilledMember) -> str:
    """Namespace, Deployment and PropagationPolicy, as JSON for kubectl."""
    labels = {"app": NAMESPACE}
    metadata = {"name": NAME, "namespace": NAMESPACE}
    choices = [{"affinityName": "member", "clusterNames": [member.name]}]
    if member.others:
        choices.append({"affinityName": "others", "clusterNames": list(member.others)})
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "baseline"},
        },
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        ],
        "containers": [pause_container(image)],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    policy = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": metadata,
        "spec": {
            "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}],
            "placement": {
                "clusterAffinities": choices,
                "replicaScheduling": {
                    "replicaSchedulingType": "Divided",
                    "replicaDivisionPreference": "Weighted",
                },
            },
        },
    }
    return json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [namespace, policy, deployment]}
    )


def samplers(first: str, member: DrilledMember) -> Sequence[tuple[str, str, str]]:
    """Host, name and script of the loops: Karmada's view, and the workload's pods on the member.

    first: a control-plane node of the cluster with Karmada.
    """
    proxy = karmada.karmada_script(FOLDER) + load_script(HERE / "member_proxy.sh")
    view = health.poll_script("member", proxy, {"binding": _BINDING}, {"members": _MEMBERS})
    pods = {"copies": f"/api/v1/namespaces/{NAMESPACE}/pods"}
    there = member.inventory.masters[0].name
    return (
        (first, "member", BEGIN + view),
        (there, "copies", health.own_api_script({}, pods, name="copies")),
    )
