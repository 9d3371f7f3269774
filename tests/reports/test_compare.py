"""`invoke report diff`: what was fixed, what broke, and what can no longer be told."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hale.audit import results_file
from hale.model.comparison import ChangeKind, ChangeReason, Comparison
from hale.model.results import Result, Results, RowKey
from hale.model.verdict import Verdict
from hale.report import compare
from tests.reports import factories

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
WAIVED, LEFT = Verdict.WAIVED, Verdict.NOT_APPLICABLE
HOST = "k8s-master-01"


def row(found: Results, verdict: Verdict, actual: str = "x", **more: str) -> Result:
    of_host = next(r for r in found.results if r.host == HOST)
    changed: Result = msgspec.structs.replace(of_host, verdict=verdict, actual=actual, **more)
    return changed


def compared(found: Results, before: list[Result], after: list[Result]) -> Comparison:
    later = msgspec.structs.replace(found, results=after)
    return compare.compare(compare.rows_of(before), later)


#: verdicts before and after: what became of the row, and whether that counts as broken.
TABLE = {
    (PASS, FAIL): (ChangeKind.BROKEN, True),
    (WAIVED, FAIL): (ChangeKind.BROKEN, True),
    (LEFT, FAIL): (ChangeKind.BROKEN, True),
    (UNKNOWN, FAIL): (ChangeKind.CHANGED, False),
    (PASS, UNKNOWN): (ChangeKind.NOT_JUDGED, True),
    (WAIVED, UNKNOWN): (ChangeKind.NOT_JUDGED, True),
    (LEFT, UNKNOWN): (ChangeKind.NOT_JUDGED, True),
    (FAIL, UNKNOWN): (ChangeKind.NOT_JUDGED, False),
    (FAIL, PASS): (ChangeKind.FIXED, False),
    (UNKNOWN, PASS): (ChangeKind.FIXED, False),
    (WAIVED, PASS): (ChangeKind.FIXED, False),
    (LEFT, PASS): (ChangeKind.CHANGED, False),
    (PASS, WAIVED): (ChangeKind.WAIVED, False),
    (FAIL, WAIVED): (ChangeKind.WAIVED, False),
    (UNKNOWN, WAIVED): (ChangeKind.WAIVED, False),
    (LEFT, WAIVED): (ChangeKind.WAIVED, False),
    (PASS, LEFT): (ChangeKind.CHANGED, False),
    (FAIL, LEFT): (ChangeKind.CHANGED, False),
    (UNKNOWN, LEFT): (ChangeKind.CHANGED, False),
    (WAIVED, LEFT): (ChangeKind.CHANGED, False),
}


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {(a, b) for a in Verdict for b in Verdict if a is not b}


@pytest.mark.parametrize(("verdicts", "wanted"), TABLE.items())
def test_verdicts(
    recorded: Results, verdicts: tuple[Verdict, Verdict], wanted: tuple[ChangeKind, bool]
) -> None:
    before, after = (row(recorded, verdict) for verdict in verdicts)
    found = compared(recorded, [before], [after])
    assert [c.kind for c in found.changes] == [wanted[0]]
    assert found.broke is wanted[1]
    assert found.same == 0


@pytest.mark.parametrize("verdict", Verdict)
def test_another_value_with_the_same_verdict(recorded: Results, verdict: Verdict) -> None:
    before, after = row(recorded, verdict, "60000"), row(recorded, verdict, "1024")
    found = compared(recorded, [before], [after])
    # Of two rows that could not be read nothing is known.
    assert [c.kind for c in found.changes] == ([] if verdict is UNKNOWN else [ChangeKind.CHANGED])
    assert not found.broke
    assert not compared(recorded, [before], [before]).changes


def test_what_changes_by_itself_is_no_change(recorded: Results) -> None:
    before = row(recorded, FAIL, "no answer after 2913 ms")
    after = row(recorded, FAIL, "no answer after 3001 ms")
    assert not compared(recorded, [before], [after]).changes
    before = row(recorded, PASS, "leads, 1 s ago", value="one leads")
    after = row(recorded, PASS, "leads, 3 s ago", value="one leads")
    assert not compared(recorded, [before], [after]).changes
    after.value = "none leads"
    assert [c.kind for c in compared(recorded, [before], [after]).changes] == [ChangeKind.CHANGED]
    after.value = ""  # of an earlier Hale
    assert not compared(recorded, [before], [after]).changes


def test_another_expectation_is_named(recorded: Results) -> None:
    before, after = row(recorded, PASS, expected="1"), row(recorded, PASS, expected="2")
    (change,) = compared(recorded, [before], [after]).changes
    assert (change.kind, change.reason) == (ChangeKind.CHANGED, ChangeReason.EXPECTATION)


def test_rows_of_one_run_only(recorded: Results) -> None:
    one = row(recorded, FAIL)
    (new,) = compared(recorded, [], [one]).changes
    assert (new.kind, new.broke) == (ChangeKind.NEW, False)
    (gone,) = compared(recorded, [one], []).changes
    assert gone.kind is ChangeKind.GONE
    assert gone.reason is ChangeReason.REMOVED
    recorded.deselected = [RowKey(one.host, one.requirement, one.aspect)]
    (gone,) = compared(recorded, [one], []).changes
    assert gone.reason is ChangeReason.DESELECTED


@pytest.mark.parametrize("rows", [[], [UNKNOWN]], ids=["gone", "unknown"])
def test_a_host_that_was_not_reached(recorded: Results, rows: list[Verdict]) -> None:
    next(h for h in recorded.hosts if h.name == HOST).down = "no route to host"
    found = compared(recorded, [row(recorded, PASS)], [row(recorded, v) for v in rows])
    (change,) = found.changes
    assert change.kind is ChangeKind.NOT_JUDGED
    assert change.reason is ChangeReason.NOT_REACHED
    assert found.broke


def test_hosts_are_folded_and_control_characters_shown(recorded: Results) -> None:
    before = [row(recorded, PASS, host=f"k8s-node-0{n}") for n in (1, 2, 3)]
    after = [row(recorded, FAIL, "\x1b[31m\u202e", host=f"k8s-node-0{n}") for n in (1, 2, 3)]
    text = compare.text(compared(recorded, before, after))
    assert "on k8s-node-[01-03]\n    before  PASS  x\n    after   FAIL  \\x1b[31m\\u202e\n" in text
    assert text.startswith("broken: 3\n")
    assert text.endswith(
        "3 broken, 0 not judged, 0 fixed, 0 waived, 0 changed, 0 new, 0 gone; 0 the same\n"
    )


def test_what_weakens_a_comparison_is_named(recorded: Results) -> None:
    later: Results = msgspec.convert(msgspec.to_builtins(recorded), Results)
    assert len(compare.describe(recorded, later).splitlines()) == 2
    later.run.standard_sha256 = "other"
    later.run.incomplete = ["1 host left out"]
    later.hosts[0].machine_id = "other"
    text = compare.describe(recorded, later)
    assert "the files of the baseline differ" in text
    assert f"another machine answered as {later.hosts[0].name}" in text
    assert ", INCOMPLETE\n" in text


# --- the command ---


def diff(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "report", "diff", *arguments],
        cwd=factories.ROOT,
        env=factories.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_status_and_places(recorded: Results, tmp_path: Path) -> None:
    for name in "a-audit", "b-audit":
        (tmp_path / name).mkdir()
        results_file.save_results(recorded, tmp_path / name / "results.json")
        passed = next(r for r in recorded.results if r.verdict is PASS)
        passed.verdict, passed.actual = FAIL, "it broke"
    reports = f"--reports={tmp_path}"
    done = diff("a-audit", "b-audit", reports)
    assert done.returncode == 1, done.stderr
    assert "broken: 1\n" in done.stdout
    assert "FAIL  it broke\n" in done.stdout
    # The other way round it is fixed; a file will do, and options may stand anywhere.
    done = diff("--reports", str(tmp_path), str(tmp_path / "b-audit/results.json"), "a-audit")
    assert (done.returncode, done.stderr) == (0, "")
    assert "fixed: 1\n" in done.stdout
    out = tmp_path / "out"
    done = diff("a-audit", "a-audit", reports, f"--out={out}")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{len(recorded.results)} the same\n" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "name two runs"),
        (("a",), "name two runs"),
        (("a", "nope"), "no run nope"),
        (("a", "damaged"), "not a Hale results file"),
        (("a", "empty"), "cannot read the results"),
        (("a", "a", "--format=csv"), "a comparison has no --format"),
    ],
)
def test_what_cannot_be_compared(
    recorded: Results, tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    for name in "a", "damaged", "empty":
        (tmp_path / name).mkdir()
    results_file.save_results(recorded, tmp_path / "a" / "results.json")
    (tmp_path / "damaged" / "results.json").write_text("{")
    done = diff(*arguments, f"--reports={tmp_path}")
    assert done.returncode == 2, done.stdout
    assert error in done.stderr
    assert "Traceback" not in done.stderr
