"""Each host's place in its cluster, which decides on its gate and its batch."""

from collections.abc import Mapping
from typing import Any

from hale.apply.gates import NodeStatus
from hale.audit.audit import Audit
from hale.model.requirement import Aspect
from hale.model.verdict import Verdict
from hale.plan import planner


def cluster_membership(audited: Audit) -> Mapping[str, NodeStatus]:
    """Each host's place in its cluster, by the audit's facts.

    A host whose fact is unknown counts as joined.
    """
    joined: dict[str, str] = {}
    holds: dict[str, bool] = {}
    for case in audited.cases:
        subject = case.requirement.subject
        if case.aspect is not Aspect.RUNTIME or subject not in planner.MEMBERSHIP_SUBJECTS:
            continue
        judged = audited.judge(case)
        found: Any = judged.fact
        if found is None:
            if judged.result.verdict is not Verdict.NOT_APPLICABLE:  # a waiver makes it no known
                joined.setdefault(case.host_name, judged.result.actual)
            continue
        if subject == planner.ADDRESS:
            holds[case.host_name] = bool(found.vip_on)
        else:
            joined[case.host_name] = found.joined
    return {
        host.name: NodeStatus(
            host.is_master, joined.get(host.name, ""), holds.get(host.name, False)
        )
        for host in audited.inventory.hosts
    }
