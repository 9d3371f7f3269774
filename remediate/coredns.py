"""CoreDNS is a Deployment of the cluster: it is scaled and spread there, not on a host.

Sources: kubernetes.io, "Debugging DNS Resolution"; kubectl-rollout(1).
"""

from facts.coredns import CorednsParameters, CorednsRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: CorednsRuntime, case: Case[CorednsParameters]) -> tuple[Remedy, ...]:
    """Where replicas are, and how they are spread anew."""
    return (
        ManualStep(
            f"{fact.actual}. `kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide`, and "
            "their logs. Too few: `kubectl -n kube-system scale deployment coredns --replicas "
            f"{case.parameters.replicas}`. All on one node: `kubectl -n kube-system rollout "
            "restart deployment coredns`, once more than one node is there. A node that gets no "
            "answer has no rules (CMP-KUBE-PROXY) or no way to the pod network; a wrong answer is "
            "somebody else's, or the ConfigMap kube-system/coredns. Where there is no cluster yet, "
            "its installation makes them."
        ),
    )
