"""The judge: a verdict hangs on the check's assert, and on nothing of the interpreter's."""

from pathlib import Path
from typing import Any

import pytest

from hale.audit import judge
from hale.audit.cases import build_cases
from hale.inventory import ini
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.standard import loader
from tests.engine.pytest_cli import EVIDENCE, typed


def test_verdicts_are_the_same_without_pythons_asserts(tmp_path: Path) -> None:
    """`python -O` strips asserts, and pytest's own rewriting of them can be switched off."""
    plain = typed(tmp_path / "plain", *EVIDENCE)
    stripped = typed(
        tmp_path / "stripped", *EVIDENCE, "--assert=plain", more={"PYTHONOPTIMIZE": "1"}
    )
    assert "FAIL" in plain.verdicts.values()
    assert stripped.verdicts == plain.verdicts
    assert stripped.code == plain.code == 1


def test_a_check_that_passes_without_a_fact_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def passes(swap: Any) -> None:
        pass

    monkeypatch.setattr(judge, "_checks", lambda subject: {"test_runtime": passes})
    known = ini.load_inventory(ROOT / "inventory.ini")
    standard = loader.load_standard(ROOT / "standard")
    case = next(
        c
        for c in build_cases(known, standard, "baseline", known.hosts)
        if c.requirement.subject == "swap" and c.aspect == "runtime"
    )
    nothing: Any = None
    result = judge.judge_fact(case, lambda: nothing).result
    assert (result.verdict, result.actual) == (Verdict.UNKNOWN, "swap: no fact was read")
