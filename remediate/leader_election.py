"""An instance that does not run, or a lease that nobody renews, is looked at by a person.

Sources: kubernetes.io, "Leases", "Troubleshooting Clusters".
"""

from facts.leader_election import LeaderElectionParameters, LeaderElectionRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(
    fact: LeaderElectionRuntime, case: Case[LeaderElectionParameters]
) -> tuple[Remedy, ...]:
    """Where to look for why an instance does not run, or nobody leads."""
    name = fact.component
    return (
        ManualStep(
            f"{fact.actual}. On the master that is named: `crictl ps -a --name {name}`, `crictl "
            f"logs <container>`, /etc/kubernetes/manifests/{name}.yaml, `journalctl -u kubelet -n "
            f"100`. Who leads: `kubectl -n kube-system get lease {name} -o yaml`; a lease that "
            "nobody renews, with all instances running, is an apiserver or etcd that does not take "
            "writes (HA-ETCD-MEMBERS), or clocks that are apart (CLOCK-SKEW). Where there is no "
            "cluster yet, its installation makes them."
        ),
    )
