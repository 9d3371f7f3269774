"""The registry is no host of the inventory: what it lacks is put there by whoever keeps it.

Source: kubeadm, `kubeadm config images`.
"""

from facts.registry import RegistryParameters, RegistryRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: RegistryRuntime, case: Case[RegistryParameters]) -> tuple[Remedy, ...]:
    """Where to look, from the host to the registry."""
    return (
        ManualStep(
            f"{fact.actual}. From {case.host_name}: is the name found, does `curl -v` reach it, "
            "is its CA one that the host trusts? What it lacks is pushed there: `kubeadm config "
            "images list --kubernetes-version <version>` names all images that a cluster needs."
        ),
    )
