"""A kubelet that is ill is looked at by a person: what is started without knowing why dies again.

Sources: kubernetes.io, "Troubleshooting kubeadm"; systemctl(1).
"""

from facts.kubelet import KubeletParameters, KubeletPersisted, KubeletRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: KubeletRuntime, case: Case[KubeletParameters]) -> tuple[Remedy, ...]:
    """Where to look for why it is not healthy."""
    unit = case.parameters.unit
    return (
        ManualStep(
            f"{fact.actual}. `systemctl status {unit}` and `journalctl -u {unit} -n 100` say why; "
            "often swap (SWAP-OFF), a driver of control groups that is not the runtime's "
            f"(NODE-CGROUP-DRIVER), or containerd that is down. `systemctl start {unit}` follows. "
            "A host that has not joined is joined by the cluster's installation."
        ),
    )


def persisted(fact: KubeletPersisted, case: Case[KubeletParameters]) -> tuple[Remedy, ...]:
    """Enable it."""
    unit = fact.runtime or fact.unit
    return (
        ManualStep(
            f"{fact.actual}. `systemctl unmask {unit}` where it is masked, and `systemctl enable "
            f"{unit}`. Where it was never installed, the cluster's installation does that."
        ),
    )
