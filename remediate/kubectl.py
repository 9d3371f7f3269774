"""kubectl comes with the cluster's installation; why it does not reach it, other rows say.

Sources: kubernetes.io, "Install and Set Up kubectl", "Version Skew Policy".
"""

from facts.kubectl import KUBECONFIG, KubectlParameters, KubectlRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: KubectlRuntime, case: Case[KubectlParameters]) -> tuple[Remedy, ...]:
    """Where to look for why it does not reach the cluster."""
    return (
        ManualStep(
            f"{fact.actual}. `kubectl --kubeconfig {KUBECONFIG} version` on {case.host_name}; if "
            "it is the way there, HA-APISERVER-VIP says more; if it is let in no more, CERT-"
            "KUBECONFIG does. Its package is the cluster's version, as the kubelet's. Where there "
            "is no cluster yet, its installation brings both."
        ),
    )
