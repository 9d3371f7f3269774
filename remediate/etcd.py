"""etcd's members come with the cluster's installation; one that is ill is for a person.

Sources: etcd's operations guide, "Runtime reconfiguration", "Disaster recovery" and
"Maintenance" (alarms, snapshots); kubeadm, "Creating Highly Available Clusters with kubeadm".
"""

from facts.etcd import EtcdParameters, EtcdRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case

ETCDCTL = (
    "`kubectl -n kube-system exec etcd-<master> -- etcdctl --cacert /etc/kubernetes/pki/etcd/"
    "ca.crt --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/"
    "healthcheck-client.key`"
)


def runtime(fact: EtcdRuntime, case: Case[EtcdParameters]) -> tuple[Remedy, ...]:
    """The installation where there is no etcd at all, else how it is looked at and mended."""
    said = "; ".join(fact.faults) or fact.actual
    if not fact.voices:
        return (
            ManualStep(
                f"{said}. Where there is no cluster yet, its installation makes etcd's members. "
                "Where there was one, touch nothing before its data is safe: copy /var/lib/etcd "
                "of every master, and see `crictl ps -a --name etcd` and `crictl logs <container>`."
            ),
        )
    return (
        ManualStep(
            f"{said}. A master that has never joined gets its member by the cluster's "
            "installation. For one that is ill, keep a copy first, with `snapshot save <file>` of "
            f"{ETCDCTL}, and look with its `endpoint status --cluster`, `member list` and `alarm "
            "list`. A member is taken out (`member remove <id>`) and joined anew only while all "
            "others are healthy, one at a time."
        ),
    )
