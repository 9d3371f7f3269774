"""What ends, or begins to be required, within two minor versions of the one in use."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from hale.audit.audit import Audit
from hale.audit.cases import build_cases, skip_reason
from hale.audit.judge import JudgedCase, judge
from hale.audit.versions import at_versions
from hale.gather.request import VERSIONS
from hale.model.lifetime import KUBERNETES, Lifetime, StatedValue, Version, spelled
from hale.model.notice import Notice, NoticeState
from hale.model.requirement import Case, Profile
from hale.model.verdict import Verdict

AHEAD = 2  # minor versions


def notices(audit: Audit, selected: Iterable[Case[Any]]) -> list[Notice]:
    """The notices of a run with these cases, each once, with the hosts that it concerns.

    What the host runs is noticed in every profile: the versions of it are read in every run.
    """
    found: dict[str, tuple[Notice, dict[str, None]]] = {}
    selected = list(selected)
    for case in (*selected, *_of_versions(audit, selected)):
        requirement = case.requirement
        if not (requirement.lifetimes or requirement.values) or skip_reason(case):
            continue
        for notice in _of_case(audit, case):
            found.setdefault(repr(notice), (notice, {}))[1][case.host_name] = None
    return [replace(notice, hosts=list(hosts)) for notice, hosts in found.values()]


def _of_versions(audit: Audit, selected: Iterable[Case[Any]]) -> list[Case[Any]]:
    """The cases of the subject that is read in every run, where they are not selected."""
    known = {case.nodeid for case in selected}
    hosts = [one.host for one in audit.selected_hosts if one.host.name in audit.hosts]
    return [
        case
        for case in build_cases(audit.inventory, audit.standard, Profile.EXTENDED, hosts)
        if case.requirement.subject == VERSIONS
        and case.nodeid not in known
        and KUBERNETES in audit.versions(case)
    ]


def _of_case(audit: Audit, case: Case[Any]) -> Iterator[Notice]:
    used = audit.versions(case).get(KUBERNETES)
    if used is None:
        yield Notice(NoticeState.UNKNOWN_VERSION, "", "", [], KUBERNETES)
        return
    judged = audit.judge(case)
    ending = list(_ending_values(judged.case, used))
    yield from ending
    if not ending and judged.result.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE):
        yield from _failing_later(audit, judged, used)


def _ending_values(case: Case[Any], used: Version) -> Iterator[Notice]:
    """Values in use that a version soon warns of, has off, or is without."""
    for one in case.requirement.values:
        lifetime = one.lifetime
        if (
            one.parameter in case.requirement.shared  # the other requirement has the notice
            or lifetime.product != KUBERNETES
            or getattr(case.parameters, one.parameter) != one.value
        ):
            continue
        steps = (
            (NoticeState.DEPRECATED, lifetime.deprecated),
            (NoticeState.DISABLED, lifetime.disabled),
            (NoticeState.ENDS, lifetime.until),
        )
        near = [(state, at) for state, at in steps if at and at <= _later(used, AHEAD)]
        if near:
            state, at = near[-1]
            yield _notice(case, state, f"{one.parameter} = {one.value}", used, at, lifetime)


def _failing_later(audit: Audit, judged: JudgedCase, used: Version) -> Iterator[Notice]:
    """The row, judged as a later version will have it, at the first one that fails it."""
    case = judged.case
    for minors in range(1, AHEAD + 1):
        at = _later(used, minors)
        changes = _changes_at(case, at)
        if not changes:
            continue
        versions = {**audit.versions(case), KUBERNETES: at}
        later = judge(at_versions(case, versions), audit.view(case), versions).result
        if later.verdict is Verdict.FAIL:
            yield _notice(case, NoticeState.FAILS, later.actual, used, at, changes[0])
            return


def _changes_at(case: Case[Any], at: Version) -> list[Lifetime]:
    """What begins or ends with that version: what the notice is about first."""
    own = [one for one in case.requirement.lifetimes if at == one.since]
    values = sorted(case.requirement.values, key=lambda one: one.lifetime.until != at)
    return own + [one.lifetime for one in values if _begins_or_ends(one, at)]


def _begins_or_ends(value: StatedValue, at: Version) -> bool:
    lifetime = value.lifetime
    return lifetime.product == KUBERNETES and at in (lifetime.since, lifetime.until)


def _later(version: Version, minors: int) -> Version:
    return (version[0], version[1] + minors)


def _notice(
    case: Case[Any], state: NoticeState, what: str, used: Version, at: Version, lifetime: Lifetime
) -> Notice:
    return Notice(
        state,
        case.requirement.id,
        what,
        [],
        lifetime.product,
        spelled(used),
        spelled(at),
        spelled(lifetime.deprecated or ()),
        spelled(lifetime.disabled or ()),
        spelled(lifetime.until or ()),
        lifetime.source,
        lifetime.instead,
    )
