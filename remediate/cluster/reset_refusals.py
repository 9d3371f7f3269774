"""What `invoke reset` refuses: hosts of another cluster; and, unless the operator allows it, what
the cluster that stays cannot give up.

Source: etcd's FAQ, "What is failure tolerance?"
"""

from collections.abc import Sequence

from facts import etcd
from facts.cluster import kubernetes, nodes
from facts.cluster.kubernetes import Node
from facts.etcd import MemberStatus
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations
from hale.inventory.ini import Host
from hale.model.evidence import Unreadable


def foreign(site: ClusterContext, observations: Observations, hosts: Sequence[Host]) -> str:
    """Why one of these hosts belongs to another cluster than the inventory's; empty if none does.

    Its CA must be that of the first control-plane node that stays, or else of the first host that
    has one; the cluster's name in its admin.conf must be the inventory's. Raises Unreadable.
    """
    found = {h.name: _node(observations, h) for h in (*site.masters, *hosts)}
    name = site.cluster_name
    for host in hosts:
        if found[host.name].cluster not in ("", name):
            return (
                f"{host.name} belongs to another cluster: its admin.conf names "
                f"{found[host.name].cluster!r}, and the inventory's cluster is {name!r}. {_STEP}"
            )
    others = [h for h in site.masters if h not in hosts]
    by = next((h for h in (*others, *hosts) if found[h.name].ca), None)
    for host in hosts:
        if by and found[host.name].ca not in ("", found[by.name].ca):
            digests = " and ".join(f"{found[h.name].ca[:16]}…" for h in (host, by))
            return (
                f"{host.name} and {by.name} belong to two clusters: the SHA-256 of their "
                f"{kubernetes.CA} are {digests}. {_STEP}"
            )
    return ""


_STEP = (
    "Take the host that is not of this cluster out of the inventory; if nothing on it is needed, "
    "run `kubeadm reset` there."
)


def quorum_loss(site: ClusterContext, observations: Observations, hosts: Sequence[Host]) -> str:
    """What is lost if these hosts are reset and the others stay; empty for nothing.

    An apiserver of the others must answer, and etcd there; the remaining etcd members must be
    healthy, and a majority of all present ones.
    """
    going = {h.name for h in hosts}
    staying = [h for h in site.masters if h.name not in going]
    if not staying:
        return ""
    if why := _silence(site, observations, hosts, staying):
        return why
    if not site.etcd_is_stacked or not any(h.is_master for h in hosts):
        return ""
    voices = {h.name: member_status(observations, h) for h in site.masters}
    members = max((len(v.members) for v in voices.values() if v), default=0)
    well = [h.name for h in staying if (v := voices[h.name]) and v.healthy and v.leader]
    if not members:
        return ""
    if len(well) <= members // 2:
        return (
            f"etcd has {members} members, and {members // 2 + 1} of them are its majority; without "
            f"{', '.join(sorted(going))} there would be {len(well)} healthy ones "
            f"({', '.join(well) or 'none'}). The cluster could tolerate no further loss, or would "
            "stop and lose the latest writes."
        )
    return ""


def _silence(
    site: ClusterContext, observations: Observations, hosts: Sequence[Host], staying: Sequence[Host]
) -> str:
    """Why the control plane that stays cannot give these hosts up, because it does not answer.

    Nothing is lost where none of it was ever in a cluster, and these hosts hold no data of etcd.
    """
    present = [h for h in hosts if h in site.hosts]
    if not present:
        return ""  # the host is gone
    data = [h.name for h in present if kubernetes.ETCD_DATA in _node(observations, h).files]
    living = [h for h in staying if not _node(observations, h).untouched]
    if not (living or data):
        return ""
    names = ", ".join(h.name for h in staying)
    going = ", ".join(h.name for h in hosts)
    if not any(nodes.read(observations.of(h.name, nodes.SUBJECT)).answers for h in staying):
        return (
            f"no apiserver answers on {names}, so {going} cannot be drained and removed from the "
            f"cluster{f'; {data[0]} may have the last copy of etcd' if data else ''}. Start one."
        )
    if not site.etcd_is_stacked or not any(h.is_master for h in present):
        return ""
    if not any(member_status(observations, h) for h in staying):
        return (
            f"no etcd answers on {names}, so the member of {going} cannot be removed, and may be "
            "the last healthy one. Start one."
        )
    return ""


def _node(observations: Observations, host: Host) -> Node:
    return kubernetes.read(observations.of(host.name, kubernetes.SUBJECT))


def member_status(observations: Observations, host: Host) -> MemberStatus | None:
    """What the host's own etcd answers; None where it does not."""
    try:
        status = etcd.parse_status(observations.of(host.name, "etcd"))
    except Unreadable:
        return None
    return status if isinstance(status, MemberStatus) else None
