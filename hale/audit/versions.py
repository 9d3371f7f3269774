"""Which requirements and values of the baseline hold for the versions in use."""

from typing import Any

from msgspec.structs import replace

from hale.model.evidence import NotApplicable
from hale.model.lifetime import KUBERNETES, Lifetime, Versions, spelled
from hale.model.requirement import Case, Requirement
from hale.standard.loader import parameters_of


def at_versions(case: Case[Any], versions: Versions) -> Case[Any]:
    """The case with the values that hold for these versions, where they are not overridden."""
    if not case.requirement.values:
        return case
    parameters, overrides = parameters_of(case.requirement, case.inventory, case.host, versions)
    return replace(case, parameters=parameters, overrides=overrides)


def require_held(requirement: Requirement, versions: Versions) -> None:
    """Raises NotApplicable where the requirement does not hold for these versions.

    Without a version of Kubernetes, what begins with a version is no part of the baseline yet, and
    what only ends still is.
    """
    for lifetime in requirement.lifetimes:
        version = versions.get(lifetime.product)
        if version is not None and not lifetime.holds_at(version):
            raise NotApplicable(
                f"{_range(lifetime)}, and {spelled(version)} is in use ({lifetime.source})"
            )
        if version is None and lifetime.product == KUBERNETES and lifetime.since is not None:
            raise NotApplicable(
                f"{_range(lifetime)} ({lifetime.source}), and the version is unknown: no kubelet "
                "runs, and the inventory sets no kubernetes_version"
            )


def product_name(product: str) -> str:
    """The product as people write it."""
    return "Kubernetes" if product == KUBERNETES else product


def _range(lifetime: Lifetime) -> str:
    name = product_name(lifetime.product)
    ends = [f"from {name} {spelled(lifetime.since)} on"] if lifetime.since else []
    ends += [f"before {name} {spelled(lifetime.until)}"] if lifetime.until else []
    return f"required only {' and '.join(ends)}"
