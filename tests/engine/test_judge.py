"""The judge: a verdict hangs on the check's assert, and on nothing of the interpreter's."""

from pathlib import Path

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
