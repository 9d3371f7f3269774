"""The judge: one case against the evidence of its host. Every verdict of Hale is made here.

pytest's items, `invoke fix`, the preflight of an install, the gates of a change, drills and the
tests all call `judge` (or `judge_fact`, where the fact does not come from evidence).

The checks in checks/ are plain functions with plain asserts. They are compiled here with asserts
on, whatever the interpreter's flags say: under `python -O` (PYTHONOPTIMIZE) an assert is no code
at all, and every check would pass (Python's reference, "The assert statement").
"""

import inspect
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from msgspec import Struct

from hale.audit.cases import skip_reason
from hale.audit.versions import require_held
from hale.model import results
from hale.model.errors import UserError
from hale.model.evidence import ClusterView, Fact, HostView, NotApplicable, Unreadable
from hale.model.lifetime import Versions
from hale.model.reading_time import Stopwatch, TimeExceeded, limited
from hale.model.requirement import Aspect, Case
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.standard import subjects
from hale.standard.loader import Standard

CHECKS = ROOT / "checks"

#: What a subject's function reads: one host, all hosts of the cluster, or nothing (the inventory).
View = HostView | ClusterView
#: Where no version is known.
NO_VERSIONS: Versions = MappingProxyType({})
#: A function of checks/. It gets what its parameters name: the fact by the subject's name, or
#: `parameters`, `requirement`, `case` or `inventory`.
Check = Callable[..., None]
# pytest's marks that would keep a check from being judged.
_SWITCHES = frozenset({"skip", "skipif", "xfail"})


class BrokenCheck(UserError):
    """A file of checks/ that cannot be compiled or imported."""


class JudgedCase(Struct, frozen=True):
    """A case with its verdict.

    fact: the fact that was judged; None if it could not be read. error: the exception that made the
    verdict UNKNOWN or N-A, if any.
    """

    case: Case[Any]
    result: Result
    fact: Fact | None = None
    error: BaseException | None = None


def judge(case: Case[Any], view: View, versions: Versions = NO_VERSIONS) -> JudgedCase:
    """Judge a case by its evidence. Never raises: any error makes the verdict UNKNOWN.

    versions: those in use, which decide whether the requirement holds.
    """
    views = [view] if isinstance(view, HostView) else list(view.values())
    return judge_fact(case, lambda: parse_fact(case, view, versions), views)


def judge_fact(
    case: Case[Any], read: Callable[[], Fact], views: Sequence[HostView] = ()
) -> JudgedCase:
    """Judge a case by the fact that `read` returns; `views` are recorded as its evidence.

    NotApplicable of `read` is N-A, any other exception of it UNKNOWN. An AssertionError of the
    check is FAIL, any other exception UNKNOWN. So is a case of a host whose answer takes too long
    to read (hale/model/reading_time.py). Never raises but KeyboardInterrupt.
    """
    if len(views) == 1:
        stopwatch = views[0].reading_time
    else:
        stopwatch = views[0].shared_reading_time if views else Stopwatch()
    try:
        with limited(stopwatch):
            return _judge_fact(case, read, views)
    except TimeExceeded as error:
        seconds = stopwatch.seconds
        why = stopwatch.reason
        result = results.result_of(case, Verdict.UNKNOWN, None, why, (), seconds)
        return JudgedCase(case, result, None, error)


def _judge_fact(case: Case[Any], read: Callable[[], Fact], views: Sequence[HostView]) -> JudgedCase:
    started = time.perf_counter()
    fact: Fact | None = None
    error: BaseException | None = None
    reason = ""
    try:
        check = _check(case)
        fact = read()
        if fact is None:  # a reader that returns nothing has read nothing, whatever its type says
            raise Unreadable(f"{case.requirement.subject}: no fact was read")
    except NotApplicable as why:
        verdict, reason, error = Verdict.NOT_APPLICABLE, str(why), why
    except Exception as why:
        verdict, reason, error = Verdict.UNKNOWN, _reason(why), why
    else:
        verdict, reason, error = _verdict(case, check, fact)
    seconds = time.perf_counter() - started
    shown = None if verdict is Verdict.UNKNOWN else fact
    result = results.result_of(case, verdict, shown, reason, views, seconds)
    return JudgedCase(case, result, fact, error)


def parse_fact(case: Case[Any], view: View, versions: Versions = NO_VERSIONS) -> Fact:
    """The fact that the subject reads from the evidence.

    versions: those in use.

    Raises NotApplicable, Unreadable, or any exception of an error in the subject's code.
    """
    reason = skip_reason(case)
    if reason:
        raise NotApplicable(reason)
    require_held(case.requirement, versions)
    if case.host is None and case.aspect is not Aspect.INVENTORY and not view:
        group = case.requirement.reads
        raise Unreadable(f"no host is in the group {group}, so there is nothing to read it from")
    read = subjects.reader(case.requirement.subject, case.aspect)
    assert read is not None  # or the standard would not have been loaded
    fact: Fact = read(view, case)
    return fact


def require_checks(standard: Standard) -> None:
    """Raises UserError for an aspect that no check would judge, BrokenCheck for a broken file."""
    for requirement in standard.requirements:
        for aspect in requirement.aspects:
            if f"test_{aspect}" not in _checks(requirement.subject):
                path = CHECKS / f"test_{requirement.subject}.py"
                raise UserError(
                    f"{requirement.id}: nothing judges its {aspect}: "
                    f"write test_{aspect} in {path}.",
                    requirement.where,
                )


#: The other parameters that a check may have besides the fact.
_GIVEN: Mapping[str, Callable[[Case[Any]], Any]] = {
    "parameters": lambda case: case.parameters,
    "requirement": lambda case: case.requirement,
    "case": lambda case: case,
    "inventory": lambda case: case.inventory,
}


def _check(case: Case[Any]) -> Callable[[Fact], None]:
    """The check of the case, with all arguments but the fact.

    Raises Unreadable for a check that could not fail, BrokenCheck, KeyError, TypeError.
    """
    subject, name = case.requirement.subject, f"test_{case.aspect}"
    check = _checks(subject)[name]
    names = tuple(inspect.signature(check).parameters)
    if subject not in names:
        raise Unreadable(f"{name}: the check passed without looking at its fact")
    marks = [mark.name for mark in getattr(check, "pytestmark", ()) if mark.name in _SWITCHES]
    if marks:
        raise Unreadable(f"{name}: the check was switched off: {', '.join(marks)}")
    if unknown := [n for n in names if n != subject and n not in _GIVEN]:
        raise TypeError(
            f"{name} asks for {', '.join(unknown)}; a check gets {', '.join((subject, *_GIVEN))}"
        )
    given = {n: _GIVEN[n](case) for n in names if n != subject}
    return lambda fact: check(**{subject: fact}, **given)


def _verdict(
    case: Case[Any], check: Callable[[Fact], None], fact: Fact
) -> tuple[Verdict, str, BaseException | None]:
    try:
        check(fact)
    except AssertionError as error:
        return Verdict.FAIL, "", error
    except (KeyboardInterrupt, TimeExceeded):
        raise
    except BaseException as error:  # SystemExit, and the exceptions of pytest.skip() and fail()
        import pytest

        if isinstance(error, pytest.skip.Exception):
            why = f"test_{case.aspect}: the check was switched off: {error}"
            return Verdict.UNKNOWN, why, error
        return Verdict.UNKNOWN, _reason(error), error
    return Verdict.PASS, "", None


def _reason(error: BaseException) -> str:
    """An exception for the report: the message of an Unreadable, the place of any other."""
    if isinstance(error, Unreadable):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (at {Path(place.filename).name}:{place.lineno})"


@cache
def _checks(subject: str) -> Mapping[str, Check]:
    """The functions of checks/test_<subject>.py by name; empty where there is no such file.

    Raises BrokenCheck.
    """
    path = CHECKS / f"test_{subject}.py"
    if not path.is_file():
        return {}
    module = ModuleType(f"checks.{path.stem}")
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec", optimize=0), vars(module))
    except Exception as error:
        raise BrokenCheck(f"{path}: {type(error).__name__}: {error}.") from error
    return {
        name: found
        for name, found in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(found)
    }
