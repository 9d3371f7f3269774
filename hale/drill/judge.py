"""The rows that a drill decides: the aspects `drill` of the standard, judged by the same checks.

A subject that has such an aspect says in `DRILLS` which parts measure it, and in `read_drill()`
what the measurements come to; its check is `test_drill` in checks/, as in an audit.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hale.audit.audit import Audit
from hale.drill.measurement import Measurement
from hale.inventory import selection
from hale.model import results
from hale.model.evidence import NotApplicable, Unreadable
from hale.model.requirement import Case
from hale.model.results import Result, RowKey
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.standard import subjects


def rows(audit: Audit, drills: Sequence[Measurement]) -> tuple[list[Result], list[RowKey]]:
    """The rows that these drills decide, and those of the profile that they do not."""
    hosts = list(audit.inventory.hosts)
    done = {d.kind for d in drills}
    judged, others = [], []
    for case in selection.build_cases(audit.inventory, audit.standard, audit.profile, hosts):
        subject: Any = subjects.load_subject(case.requirement.subject)
        if case.aspect == "drill" and done & set(getattr(subject, "DRILLS", ())):
            judged.append(_judged(case, drills))
        else:
            others.append(RowKey(case.host_name, case.requirement.id, case.aspect))
    return judged, others


def _judged(case: Case[Any], drills: Sequence[Measurement]) -> Result:
    subject: Any = subjects.load_subject(case.requirement.subject)
    try:
        fact = subject.read_drill(drills, case)
    except NotApplicable as error:
        return results.unjudged(case, Verdict.NOT_APPLICABLE, str(error))
    except Unreadable as error:
        return results.unjudged(case, Verdict.UNKNOWN, str(error))
    given = {case.requirement.subject: fact, "parameters": case.parameters}
    check = _check(case.requirement.subject)
    try:
        check(**{name: given[name] for name in inspect.signature(check).parameters})
    except AssertionError:
        return results.result_of(case, Verdict.FAIL, fact, "", (), 0.0)
    return results.result_of(case, Verdict.PASS, fact, "", (), 0.0)


@cache
def _check(subject: str) -> Callable[..., None]:
    """`test_drill` of checks/test_<subject>.py. Its asserts are Python's own here."""
    path = ROOT / "checks" / f"test_{subject}.py"
    spec = importlib.util.spec_from_file_location(f"hale_drill_test_{subject}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Callable[..., None] = module.test_drill
    return found
