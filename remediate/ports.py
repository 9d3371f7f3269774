"""A port is freed, or a component started, by whoever knows which of both is wanted.

Sources: kubernetes.io, "Ports and Protocols"; ss(8).
"""

from facts.ports import PortsParameters, PortsRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: PortsRuntime, case: Case[PortsParameters]) -> tuple[Remedy, ...]:
    """Who is in the way, or which component is missing."""
    if fact.joined:
        return (
            ManualStep(
                f"{fact.actual}: 2379 and 2380 are etcd's, 6443 the apiserver's, 10250 the "
                "kubelet's, 10256 kube-proxy's, 10257 the controller-manager's, 10259 the "
                "scheduler's. `crictl ps -a` and `journalctl -u kubelet -n 100` say why it is down."
            ),
        )
    return (
        ManualStep(
            f"{fact.actual}. See who (`ss -ltnp`), and end that: what is left of a cluster before "
            "goes by `kubeadm reset`."
        ),
    )
