"""What a report tells about a failed requirement: why it matters, and how to remediate it."""

from collections.abc import Iterable
from typing import Any

from hale.model.requirement import Case
from hale.model.results import Guidance, Result
from hale.standard import remedy_page

HOST = "HOST"  # stands for the name of any host in the manual steps


def guidance(cases: Iterable[Case[Any]], rows: Iterable[Result]) -> list[Guidance]:
    """One for each requirement that has a failed row, in the order of the cases."""
    failed = {row.requirement for row in rows if row.verdict.failed}
    one_of = {c.requirement.id: c for c in cases if c.requirement.id in failed} if failed else {}
    return [_guidance(case) for case in one_of.values()]


def _guidance(case: Case[Any]) -> Guidance:
    requirement = case.requirement
    return Guidance(
        requirement.id,
        requirement.why,
        remedy_page.instructions(case, HOST),
        list(remedy_page.fixed_aspects(requirement.subject, map(str, requirement.aspects))),
    )
