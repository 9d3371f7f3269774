"""Which master is right is for a person to say; kubeadm then writes the others.

Source: kubernetes.io, "Reconfiguring a kubeadm cluster".
"""

from facts.static_pods import FOLDER, StaticPodsParameters, StaticPodsRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: StaticPodsRuntime, case: Case[StaticPodsParameters]) -> tuple[Remedy, ...]:
    """Which lines to bring together, and where such a change belongs."""
    return (
        ManualStep(
            f"{fact.actual}. Decide which is right, write it into ClusterConfiguration (`kubectl "
            "-n kube-system edit configmap kubeadm-config`), and on each other master, one at a "
            f"time, make {FOLDER} anew (`kubeadm init phase control-plane all --config <file>`): "
            "the kubelet restarts what changed. Wait until that apiserver is ready again."
        ),
    )
