"""The driver of a node that runs pods is not changed under them.

Source: kubernetes.io, "Configuring a cgroup driver", "Migrating to the systemd driver".
"""

from facts.cgroup_driver import CONTAINERD, KUBELET, CgroupDriverParameters, CgroupDriverPersisted
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def persisted(
    fact: CgroupDriverPersisted, case: Case[CgroupDriverParameters]
) -> tuple[Remedy, ...]:
    """Never by itself: on a node that has joined, it is changed while the node is drained."""
    name = case.host_name
    return (
        ManualStep(
            f"{fact.actual}. With systemd as init, `systemd` is the one for both. It is changed on "
            f"a drained node only: `kubectl drain {name} --ignore-daemonsets "
            "--delete-emptydir-data`, stop kubelet and then containerd, `SystemdCgroup = true` in "
            f"{CONTAINERD}, `cgroupDriver: systemd` in {KUBELET} and in the ConfigMap "
            "kube-system/kubelet-config, start containerd and then kubelet, `kubectl uncordon "
            f"{name}`."
        ),
    )
