"""Which master is right is for a person to say; kubeadm then writes the others.

Source: kubernetes.io, "Reconfiguring a kubeadm cluster".
"""

from facts.manifests import FOLDER, Parameters, Runtime
from hale.change import ByHand, Change
from hale.requirement import Case


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """Which lines to bring together, and where such a change belongs."""
    return (
        ByHand(
            f"{fact.actual}. Decide which is right, write it into ClusterConfiguration (`kubectl "
            "-n kube-system edit configmap kubeadm-config`), and on each other master, one at a "
            f"time, make {FOLDER} anew (`kubeadm init phase control-plane all --config <file>`): "
            "the kubelet restarts what changed. Wait until that apiserver is ready again."
        ),
    )
