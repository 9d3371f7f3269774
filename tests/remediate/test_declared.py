"""What a remedy declares of itself, for docs/requirements, is what its cases produce."""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from facts.parsers import time_configuration
from hale.apply import undo_scope
from hale.apply.handlers import inverse_changes
from hale.apply.journal import RunHeader, RunHistory, StepDone, StepStarted
from hale.apply.prepared import RUNS, PreparedStep
from hale.model.change import (
    Action,
    FileEdit,
    Impact,
    ManualStep,
    ModuleChange,
    Remedy,
    SymlinkChange,
    UnitChange,
)
from hale.model.evidence import ConfigLine
from hale.model.remedy_scope import RemedyScope
from hale.paths import ROOT
from hale.plan import scope
from hale.plan.plan import Step
from hale.standard import remedy_page
from tests.facts import test_cases as facts_cases
from tests.facts.test_cases import Given
from tests.remediate import test_cases as cases
from tests.remediate.test_cases import Wanted

SUBJECTS = {path.parent.name for path in facts_cases.CASES}
PLANNED = sorted(s for s in SUBJECTS if (ROOT / "remediate" / f"{s}.py").exists())
MANUAL = sorted(
    path.stem for path in (ROOT / "remediate").glob("*.md") if "{% macro fix_" in path.read_text()
)


@cache
def produced(subject: str) -> tuple[frozenset[type[Any]], frozenset[Impact]]:
    """The kinds of change and their impacts, over all failing cases of the subject."""
    kinds: set[type[Any]] = set()
    impacts: set[Impact] = set()
    for path in (*cases.OWN, *cases.FAILING):
        if path.parent.name != subject:
            continue
        wanted = msgspec.toml.decode(path.read_bytes(), type=Wanted)
        for change in cases.remedy(wanted, subject):
            if not isinstance(change, ManualStep):
                kinds.add(type(change))
                impacts |= set(change.effects)
    return frozenset(kinds), frozenset(impacts)


@pytest.mark.parametrize("subject", PLANNED)
def test_a_module_declares_what_its_cases_produce(subject: str) -> None:
    module = importlib.import_module(f"remediate.{subject}")
    kinds, impacts = produced(subject)
    assert set(module.KINDS) == kinds
    assert set(module.IMPACTS) == impacts


def test_a_subject_has_changes_or_a_page_of_manual_steps() -> None:
    """Two sources of one aspect's remedy would contradict each other."""
    assert len(PLANNED) >= 10
    assert len(MANUAL) >= 21
    assert not set(PLANNED) & set(MANUAL)


def failing_case(subject: str) -> tuple[Any, Any]:
    path = next(p for p in cases.FAILING if p.parent.name == subject)
    given = msgspec.toml.decode(path.read_bytes(), type=Given)
    requirement = facts_cases.requirement_named(given.requirement)
    return facts_cases.case_of(given, requirement), facts_cases.read(given, requirement)


@pytest.mark.parametrize("subject", MANUAL)
def test_a_page_covers_every_aspect_that_can_fail(subject: str) -> None:
    case, _ = failing_case(subject)
    aspects = [a for a in case.requirement.aspects if a != "drill"]
    assert list(remedy_page.manual_aspects(case)) == aspects


class Hostile(msgspec.Struct, frozen=True):
    """A fact whose text has line breaks and the page's own syntax in it."""

    url: str = "https://10.0.0.1:6443"
    actual: str = "HTTP 500\n\n{{ host }}\r\n \u2028\n{% macro fix_runtime() %}"
    sources: tuple[ConfigLine, ...] = ()


def test_a_hosts_text_begins_no_step() -> None:
    case, _ = failing_case("apiserver")
    steps = remedy_page.manual_steps(case, Hostile())
    assert steps is not None
    assert len(steps) == 1
    assert steps[0].instructions.startswith(
        "HTTP 500 {{ host }} {% macro fix_runtime() %}. On k8s-master-"
    )


def test_a_page_cannot_use_a_value_that_the_fact_does_not_have() -> None:
    case, _ = failing_case("etcd")
    with pytest.raises(Exception, match="has no attribute"):
        remedy_page.manual_steps(case, Hostile())


def named(part: RemedyScope) -> set[str]:
    """What a scope names: patterns, and the actions of units."""
    return {*part.files, *part.links, *part.units, *(["a module"] if part.modules else [])}


def used(part: RemedyScope, change: Remedy) -> set[str]:
    """What of a scope allows the change."""
    match change:
        case FileEdit():
            return {p for p in part.files if scope.regex(p).fullmatch(change.path)}
        case SymlinkChange():
            return {p for p in part.links if scope.regex(p).fullmatch(change.path)}
        case UnitChange():
            return {change.action}
        case ModuleChange():
            return {"a module"}
    return set()


def check_undone(change: Action, requirement: str, allowed: scope.Scope) -> None:
    """A journal of the change, and one of its undo, are those of a fix and of an undo."""
    notes = tuple(f"was {p.replace('*', 'eth0')} 0" for p in getattr(change, "cascades_to", ()))
    undo = undone("fix", RUN, change, requirement, notes, allowed)
    for each in undo:
        undone("undo", f"{RUN}-undo", each, requirement, (), allowed)


RUN = "2026-01-01T000000Z-fix"


def undone(
    kind: str,
    run: str,
    change: Action,
    requirement: str,
    notes: tuple[str, ...],
    allowed: scope.Scope,
) -> list[Action]:
    """What undoes it, as that kind of run journals it; undo_scope accepts that."""
    names = dict.fromkeys(("operator", "source_host", "inventory", "plan_sha256", "at"), "")
    header = RunHeader(schema="", run=run, kind=kind, of=RUN, **names)
    begun = StepStarted("h", 1, Step((requirement,), change, "old"), "new", notes, "")
    prepared = PreparedStep(begun.step, f"{RUNS}/{run}/1", "new", notes)
    undo = inverse_changes(prepared, ["/etc/systemd/system/a.wants/b\t/lib/b"])
    history = RunHistory(
        Path(), header, begun={("h", 1): begun}, done={("h", 1): StepDone("h", 1, undo, "")}
    )
    undo_scope.check_undo(history, ["h"], lambda *_: allowed)
    return [each for each in undo if not isinstance(each, ManualStep)]


# Masks of units beside those of the cases: the same module names them all.
ALIKE = {
    "time_sync": {f"/etc/systemd/system/{unit}" for unit in time_configuration.UNITS},
    "swap": {"/etc/systemd/system/zram-config.service"},
}


@pytest.mark.parametrize("subject", PLANNED)
def test_a_module_declares_what_its_cases_touch(subject: str) -> None:
    """And nothing that no case needs: a plan from a file may touch what is declared."""
    module = importlib.import_module(f"remediate.{subject}")
    declared: set[str] = set()
    needed: set[str] = set()
    for path in (*cases.OWN, *cases.FAILING):
        if path.parent.name != subject:
            continue
        wanted = msgspec.toml.decode(path.read_bytes(), type=Wanted)
        requirement = facts_cases.requirement_named(wanted.requirement)
        parameters = facts_cases.case_of(wanted, requirement).parameters
        allowed = scope.Scope()
        scope.add(allowed, requirement, parameters)
        declared |= named(module.scope(parameters))
        linked = {f.target for f in wanted.files.values()} - {None}
        for change in cases.remedy(wanted, subject):
            if isinstance(change, ManualStep):
                continue
            assert not scope.not_planned(Step((requirement.id,), change), allowed), change
            if isinstance(change, FileEdit) and not allowed.has_file(change.path):
                name = change.path.rpartition("/")[2]
                assert any(str(target).endswith(name) for target in linked), change.path
            needed |= used(module.scope(parameters), change)
            check_undone(change, requirement.id, allowed)
    assert needed <= declared
    assert declared - needed <= ALIKE.get(subject, set())
