"""The rows that a drill decides: the aspects `drill` of the standard, judged by the same checks.

A subject that has such an aspect says in `DRILLS` which parts measure it, and in `drill()` what
the measurements come to; its check is `test_drill` in checks/, as in an audit.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hale import provenance, results, selection, subjects
from hale.audit import Audit
from hale.drill.measured import Measured
from hale.fact import NotApplicable, Unreadable
from hale.requirement import Case
from hale.results import Result, Row
from hale.verdicts import Verdict


def rows(audit: Audit, drills: Sequence[Measured]) -> tuple[list[Result], list[Row]]:
    """The rows that these drills decide, and those of the profile that they do not."""
    hosts = list(audit.inventory.hosts)
    done = {d.part for d in drills}
    judged, others = [], []
    for case in selection.cases(audit.inventory, audit.standard, audit.profile, hosts):
        subject: Any = subjects.load(case.requirement.subject)
        if case.aspect == "drill" and done & set(getattr(subject, "DRILLS", ())):
            judged.append(_judged(case, drills))
        else:
            others.append(Row(case.host_name, case.requirement.id, case.aspect))
    return judged, others


def _judged(case: Case[Any], drills: Sequence[Measured]) -> Result:
    subject: Any = subjects.load(case.requirement.subject)
    try:
        fact = subject.drill(drills, case)
    except NotApplicable as error:
        return results.row(case, Verdict.NOT_APPLICABLE, str(error))
    except Unreadable as error:
        return results.row(case, Verdict.UNKNOWN, str(error))
    given = {case.requirement.subject: fact, "parameters": case.parameters}
    check = _check(case.requirement.subject)
    try:
        check(**{name: given[name] for name in inspect.signature(check).parameters})
    except AssertionError:
        return results.judged(case, Verdict.FAIL, fact, "", (), 0.0)
    return results.judged(case, Verdict.PASS, fact, "", (), 0.0)


@cache
def _check(subject: str) -> Callable[..., None]:
    """`test_drill` of checks/test_<subject>.py. Its asserts are Python's own here."""
    path = provenance.ROOT / "checks" / f"test_{subject}.py"
    spec = importlib.util.spec_from_file_location(f"hale_drill_test_{subject}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Callable[..., None] = module.test_drill
    return found
