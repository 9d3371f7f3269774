"""The driver of a node that runs pods is not changed under them.

Source: kubernetes.io, "Configuring a cgroup driver", "Migrating to the systemd driver".
"""

from facts.cgroup_driver import CONTAINERD, KUBELET, Parameters, Persisted
from hale.change import ByHand, Change
from hale.requirement import Case


def persisted(fact: Persisted, case: Case[Parameters]) -> tuple[Change, ...]:
    """Never by itself: on a node that has joined, it is changed while the node is drained."""
    name = case.host_name
    return (
        ByHand(
            f"{fact.actual}. With systemd as init, `systemd` is the one for both. It is changed on "
            f"a drained node only: `kubectl drain {name} --ignore-daemonsets "
            "--delete-emptydir-data`, stop kubelet and then containerd, `SystemdCgroup = true` in "
            f"{CONTAINERD}, `cgroupDriver: systemd` in {KUBELET} and in the ConfigMap "
            "kube-system/kubelet-config, start containerd and then kubelet, `kubectl uncordon "
            f"{name}`."
        ),
    )
