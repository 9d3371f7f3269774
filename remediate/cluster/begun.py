"""What Hale has begun on a host: it resets nothing else.

Files of kubeadm's that look like an interrupted init or join may as well be those of a node whose
Node object was deleted, of another cluster, or of a join by hand. So before kubeadm runs, the host
gets a note of the operation and of the cluster's CA (facts/cluster/kubernetes.py); without it, or
with another CA on the host, a person must act.
"""

from collections.abc import Iterable, Mapping, Sequence

from facts.cluster import kubernetes, nodes
from facts.cluster.kubernetes import Foreign, Node
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, RunScript
from hale.inventory.ini import Host
from hale.model.evidence import FileProbe, Probe
from remediate.cluster import cluster_ca, kubeadm

_SHOWN = 3  # files in one message
_WHY: Mapping[Foreign, str] = {
    Foreign.NOT_BEGUN: "{note}, Hale's note that it has begun a {command} there, does not exist",
    Foreign.OTHER_CLUSTER: "{note} is of a join to another cluster: its CA's SHA-256 is {noted}",
    Foreign.OTHER_CA: "its {ca} is not the CA that Hale noted for its {command}: the SHA-256 are "
    "{here} and {noted}",
}


def init_refusal(host: Host, node: Node) -> str:
    """Why a host on which an init seems to be interrupted is not reset; empty if it may be."""
    return _refusal(host, node, node.foreign_init(), init=True)


def join_refusal(host: Host, node: Node, ca: str) -> str:
    """Why a host on which a join seems to be interrupted is not reset; empty if it may be.

    ca: the SHA-256 of the cluster's CA certificate.
    """
    return _refusal(host, node, node.foreign_join(ca), init=False)


def gate_probes(site: ClusterContext, host: Host) -> dict[str, tuple[Probe, ...]]:
    """What `join_refusals` reads."""
    node = kubernetes.probe(stacked=site.etcd_is_stacked)
    if not host.is_master:
        return {kubernetes.SUBJECT: (node,)}
    return {kubernetes.SUBJECT: (node, FileProbe(kubernetes.CA)), nodes.SUBJECT: (nodes.probe(),)}


def join_refusals(
    site: ClusterContext,
    observations: Observations,
    hosts: Iterable[Host],
    masters: Sequence[Host] = (),
) -> tuple[str, ...]:
    """Why hosts that are not nodes of the cluster are not reset for a join; empty where they need
    not be, or may be, or no apiserver answers.

    masters: the control-plane nodes that were observed, if not all.
    """
    for by in masters or site.masters:
        node_list = nodes.read(observations.of(by.name, nodes.SUBJECT))
        if node_list.answers:
            break
    else:
        return ()
    ca = cluster_ca.digest(observations, by)
    found = []
    for host in hosts:
        node = kubernetes.read(observations.of(host.name, kubernetes.SUBJECT))
        known = node_list.masters if host.is_master else node_list.nodes
        if node.untouched or (host.name in known and (host.is_master or node.finalised)):
            continue
        found.append(join_refusal(host, node, ca))
    return tuple(filter(None, found))


# Of a host that has joined: the run was killed before it noted that.
END_NOT_NOTED = "the end of kubeadm join is not noted"


def forget_join(host: Host) -> RunScript:
    """The note that a join has begun goes."""
    return RunScript(host.name, "the end of kubeadm join is noted", kubeadm.END_JOIN)


def _refusal(host: Host, node: Node, foreign: Foreign | None, *, init: bool) -> str:
    if foreign is None:
        return ""
    note = node.init if init else node.join
    why = _WHY[foreign].format(
        command="kubeadm init" if init else "kubeadm join",
        note=kubernetes.INIT_BEGAN if init else kubernetes.JOIN_BEGAN,
        ca=kubernetes.CA,
        noted=_short(note.ca) if note else "",
        here=_short(node.ca) or "that of none",
    )
    files = sorted(node.files)
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    step = (
        "List a master of its cluster first in [masters]"
        if init
        else "If it is a node of this cluster, repair it, or take it out of the inventory"
    )
    return (
        f"{host.name}: kubeadm's files are there ({', '.join(files[:_SHOWN])}{more}), but it is no "
        f"{'complete control plane' if init else 'node of this cluster'}, and {why}. So it is not "
        f"reset. {step}; if nothing on it is needed, run `kubeadm reset` there. Then run the "
        "command again."
    )


def _short(digest: str) -> str:
    return f"{digest[:16]}…" if len(digest) > 16 else digest
