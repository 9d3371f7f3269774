"""How many masters a cluster has is planned by people, in the inventory.

Sources: etcd's FAQ, "Why an odd number of cluster members?"; kubeadm, "Creating Highly
Available Clusters with kubeadm" and `kubeadm reset`.
"""

from facts.control_plane_size import ControlPlaneSizeInventory, ControlPlaneSizeParameters
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def inventory(
    fact: ControlPlaneSizeInventory, case: Case[ControlPlaneSizeParameters]
) -> tuple[Remedy, ...]:
    """Which number to plan, and what that means for a cluster that runs."""
    accepted = " or ".join(map(str, case.parameters.accepted)) or "no number"
    lines = ", ".join(f"{s} ({s.text})" for s in fact.sources)
    named = f" ({lines})" if lines else ""
    return (
        ManualStep(
            f"{case.inventory.path}: hosts in its group [masters]: {fact.count}{named}; wanted: "
            f"{accepted}. Name hosts there, or take lines out. In a cluster that runs, first "
            "join a master that is added (`kubeadm join --control-plane`); one that goes is "
            "drained, and leaves etcd by `kubeadm reset` on itself, while all others are healthy."
        ),
    )
