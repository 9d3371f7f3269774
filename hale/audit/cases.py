"""The cases of an audit: which aspect of which requirement is judged on which host."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from hale.inventory.ini import Host, Inventory
from hale.model.requirement import Aspect, Case, Requirement, Role
from hale.standard.loader import Standard, parameters_of


def build_cases(
    inventory: Inventory,
    standard: Standard,
    profile: str,
    hosts: Sequence[Host],
    *,
    masters_suffice: bool = False,
) -> list[Case[Any]]:
    """Every case that can be judged on these hosts, in the baseline's order.

    A requirement of the cluster needs all hosts that it is read from. masters_suffice: all masters
    are enough for one that is read from all hosts (Case.masters_only).
    """
    names = {h.name for h in hosts if h.in_inventory}
    masters = {h.name for h in inventory.masters}
    from_masters = masters_suffice and bool(masters) and masters <= names
    cases: list[Case[Any]] = []
    for requirement in standard.of_profile(profile):
        targets: list[Host | None] = list(hosts)
        masters_only = False
        if requirement.role is Role.CLUSTER:
            complete = bool(names) and source_hosts(requirement, inventory) <= names
            masters_only = not complete and from_masters and requirement.reads is Role.ALL
            targets = [None] if complete or masters_only else []
        for host in targets:
            parameters, overrides = parameters_of(requirement, inventory, host)
            cases.extend(
                Case(requirement, aspect, host, parameters, overrides, inventory, masters_only)
                for aspect in requirement.aspects
            )
    return cases


def source_hosts(requirement: Requirement, inventory: Inventory) -> set[str]:
    """The names of the hosts that a requirement of the cluster is read from."""
    if set(requirement.aspects) <= {"inventory"}:
        return set()
    return set(inventory.groups.get(requirement.reads, ()))


def skip_reason(case: Case[Any]) -> str | None:
    """Why the requirement does not apply to this host; None if it does."""
    if case.aspect is Aspect.DRILL:
        return "measured only by a drill, not by an audit"
    role = case.requirement.role
    if case.host is None or role in (Role.ALL, Role.CLUSTER) or role in case.host.groups:
        return None
    return f"concerns {role} only"


def coverage_gaps(
    inventory: Inventory,
    audited: Iterable[str],
    all_cases: Iterable[Case[Any]],
    selected: Iterable[Case[Any]],
    unjudged: int,
) -> list[str]:
    """Why a run covers less than the inventory and the profile; empty where it covers all.

    audited: names of the audited hosts. unjudged: the number of selected cases without a verdict.
    """
    reasons = []
    covered = {c.nodeid for c in selected}
    names = set(audited)
    left_out = [h.name for h in inventory.hosts if h.name not in names]
    if left_out:
        reasons.append(f"hosts of the inventory left out: {', '.join(left_out)}")
    missing = [c for c in all_cases if c.nodeid not in covered]
    on_audited = [c for c in missing if c.host is None or c.host.name in names]
    if on_audited:
        reasons.append(f"{len(on_audited)} of the selected hosts' cases deselected")
    if unjudged:
        reasons.append(f"{unjudged} cases selected but not judged")
    return reasons


def overrides_sha256(cases: Iterable[Case[Any]]) -> str:
    """A digest over every override that applies to these cases."""
    lines = sorted(
        f"{case.host_name} {case.requirement.id} {o.parameter} {o.value!r}"
        for case in cases
        for o in case.overrides
    )
    return hashlib.sha256("\n".join(dict.fromkeys(lines)).encode()).hexdigest()
