"""The results of a drill: the aspect `drill` of requirements, judged by the checks of an audit.

A subject with that aspect has `DRILLS`, the kinds of fault that measure it, and `read_drill()`,
which turns the measurements into a fact; its check is `test_drill` in checks/.
"""

from collections.abc import Sequence
from typing import Any

from hale.audit.audit import Audit
from hale.audit.cases import build_cases
from hale.audit.judge import judge_fact
from hale.model.drill import Measurement
from hale.model.requirement import Aspect, Case
from hale.model.results import Result, RowKey
from hale.standard import subjects


def rows(audit: Audit, drills: Sequence[Measurement]) -> tuple[list[Result], list[RowKey]]:
    """The results of these drills, and the profile's other cases, which are not judged."""
    hosts = list(audit.inventory.hosts)
    done = {d.kind for d in drills}
    judged, others = [], []
    for case in build_cases(audit.inventory, audit.standard, audit.profile, hosts):
        subject: Any = subjects.load_subject(case.requirement.subject)
        if case.aspect is Aspect.DRILL and done & set(getattr(subject, "DRILLS", ())):
            judged.append(_judged(case, drills))
        else:
            others.append(RowKey(case.host_name, case.requirement.id, case.aspect))
    return judged, others


def _judged(case: Case[Any], drills: Sequence[Measurement]) -> Result:
    subject: Any = subjects.load_subject(case.requirement.subject)
    return judge_fact(case, lambda: subject.read_drill(drills, case)).result
