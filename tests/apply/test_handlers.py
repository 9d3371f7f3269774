"""One handler a kind of change: none is missing, and none shares a script by mistake."""

import subprocess
from typing import Any, get_args

import pytest

from hale.apply import backup
from hale.apply.handlers import HANDLERS, handler_of, inverse_changes
from hale.apply.prepared import NOT_APPLIED, PRECONDITION_FAILED, UNCHANGED, PreparedStep
from hale.model import change
from hale.model.change import Action, FileEdit, Impact, KernelValueChange, UnitAction, UnitChange
from hale.plan.plan import Step
from hale.shell import variables

KINDS: tuple[type[Any], ...] = get_args(Action)


def test_each_kind_of_change_has_a_handler() -> None:
    assert set(HANDLERS) == set(KINDS)
    assert {type(handler) for handler in HANDLERS.values()} == {
        type(HANDLERS[kind]) for kind in KINDS
    }


def test_each_kind_has_its_place() -> None:
    for kind in KINDS:
        assert isinstance(kind.stage, change.ApplyStage)
        assert isinstance(kind.undo_stage, change.UndoStage)
        assert kind.describe is not change.Change.describe
    starts = UnitChange("x", UnitAction.RESTART, "", "", "why")
    stops = UnitChange("x", UnitAction.STOP, "", "", "why")
    others = [kind.stage for kind in KINDS]
    assert starts.apply_order > max(others) >= min(others) == FileEdit.stage
    assert FileEdit.stage < stops.apply_order < change.SymlinkChange.stage


def prepared(what: Action, *notes: str) -> PreparedStep:
    return PreparedStep(Step(("SYS-X",), what), "/var/lib/hale/runs/r/1", "", notes)


def test_what_the_kernel_overrode_is_written_after_the_old_value() -> None:
    step = prepared(KernelValueChange("/proc/a", "0", "1", "why"), "was /proc/b 7 8", "folder /x")
    (back,) = inverse_changes(step, [])
    assert isinstance(back, KernelValueChange)
    assert (back.precondition, back.value) == ("1", "0")
    assert back.write_after == (("/proc/b", "7 8"),)


def test_what_is_irreversible_has_no_inverse() -> None:
    stop = UnitChange("x", UnitAction.STOP, "active", "", "why", (Impact.IRREVERSIBLE,))
    assert inverse_changes(prepared(stop), []) == ()


@pytest.mark.parametrize(
    ("before", "after", "checking", "status"),
    [
        ("1", "2", "", 0),
        ("0", "2", "", PRECONDITION_FAILED),
        ("1", "2", "1", NOT_APPLIED),
        ("0", "1", "", 0),
    ],
)
def test_a_script_says_by_its_exit_status_how_it_ended(
    tmp_path: Any, before: str, after: str, checking: str, status: int
) -> None:
    value = tmp_path / "value"
    value.write_text("1\n")
    (tmp_path / "values").touch()
    what = KernelValueChange(str(value), before, after, "why")
    script = variables(step_dir=str(tmp_path), checking=checking)
    script = backup.STEP_PRELUDE + script + handler_of(what).apply_script(prepared(what))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    assert value.read_text() == f"{after if status == 0 else 1}\n"


def test_a_backup_of_what_is_as_wanted_does_nothing(tmp_path: Any) -> None:
    value = tmp_path / "value"
    value.write_text("1\n")
    what = KernelValueChange(str(value), "0", "1", "why")
    script = variables(step_dir=str(tmp_path / "step"))
    script = backup.STEP_PRELUDE + script + handler_of(what).backup_script(prepared(what))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
    assert done.returncode == UNCHANGED, done.stderr
    assert not (tmp_path / "step").exists()
