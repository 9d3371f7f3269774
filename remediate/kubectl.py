"""kubectl comes with the cluster's installation; why it does not reach it, other rows say.

Sources: kubernetes.io, "Install and Set Up kubectl", "Version Skew Policy".
"""

from facts.kubectl import KUBECONFIG, Parameters, Runtime
from hale.change import ByHand, Change
from hale.requirement import Case


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """Where to look for why it does not reach the cluster."""
    return (
        ByHand(
            f"{fact.actual}. `kubectl --kubeconfig {KUBECONFIG} version` on {case.host_name}; if "
            "it is the way there, HA-APISERVER-VIP says more; if it is let in no more, CERT-"
            "KUBECONFIG does. Its package is the cluster's version, as the kubelet's. Where there "
            "is no cluster yet, its installation brings both."
        ),
    )
