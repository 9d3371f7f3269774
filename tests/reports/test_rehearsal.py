"""How long an undo took in rehearsal: from the journals of earlier runs, on the change page."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hale.apply import change_page, journal, rehearsal
from hale.apply.journal import HostFinished, HostState, RunState
from hale.model.results import Results
from hale.plan import change_page as plan_page
from hale.plan import plan
from hale.report.change import page
from hale.report.change.model import Rehearsal
from tests.reports import change_runs as runs

FIX, UNDO = "2026-11-29T221000Z-fix", "2026-11-29T221000Z-undo"
REHEARSED = Rehearsal(UNDO, runs.at(600), 42.0, 1)


def rehearsed(
    reports: Path,
    recorded: Results,
    *,
    state: RunState = RunState.FINISHED,
    host: HostState = HostState.DONE,
    of: str = FIX,
) -> None:
    """A fix of all steps on one host, and its undo of 42 seconds."""
    made = runs.a_plan(runs.ONE)
    before = runs.audits(recorded)[0]
    entries = [*runs.complete(runs.ONE, 601), runs.end(RunState.FINISHED, 620)]
    runs.a_run(reports, made, entries, before, None)
    entries = [*runs.complete(runs.ONE, 601)[:-1], HostFinished(runs.ONE, host, "", runs.at(640))]
    runs.a_run(reports, made, [*entries, runs.end(state, 642)], before, None, "undo", of)


def test_the_pages_of_the_same_changes_on_other_hosts(tmp_path: Path, recorded: Results) -> None:
    reports, site = tmp_path / "reports", tmp_path / "site"
    rehearsed(reports, recorded)
    made = runs.a_plan(runs.TWO, runs.THREE)
    found = rehearsal.find(reports, made)
    assert found == REHEARSED
    before = runs.audits(recorded)[0]
    site.mkdir()
    saved = site / "fix.json"
    text = plan_page.save_page(made, saved, before, (), found).read_text()
    line = f"Rehearsed: {UNDO} undid the same changes on 1 host in 42.0 s, at 2026-11-29 22:10:00"
    assert line in text
    assert "Rehearsed" not in plan_page.save_page(made, saved, before, ()).read_text()
    # A run of other hosts, later, in the same folder of reports.
    folder = runs.a_run(site, made, runs.complete(runs.TWO, 700), before, None)
    later = folder.rename(reports / "2026-11-30T221000Z-fix")
    assert line in page.render(change_page.build(later))
    assert "Rehearsed" not in page.render(change_page.build(reports / UNDO))


def other_steps(reports: Path) -> None:
    """Of one step less, on the one host that the undo completed."""
    path = reports / FIX / journal.NAME
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"number":4' not in line))


def not_applied(reports: Path) -> None:
    """Recovery found that a step had not been applied, so there was nothing to undo."""
    path = reports / FIX / journal.NAME
    lines = path.read_text().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if '"type":"done"' in line)
    start, _, rest = lines[last].partition('"undo":[')
    lines[last] = f'{start}"undo":[],"at"{rest.rpartition(chr(34) + "at" + chr(34))[2]}'
    path.write_text("".join(lines))


def no_journal(reports: Path) -> None:
    """As a damaged disk leaves it."""
    (reports / FIX / journal.NAME).write_text("\x00garbage\n")


def no_end(reports: Path) -> None:
    """As kill -9 leaves the undo."""
    path = reports / UNDO / journal.NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("spoil", [other_steps, not_applied, no_journal, no_end])
def test_what_is_no_rehearsal(
    tmp_path: Path, recorded: Results, spoil: Callable[[Path], None]
) -> None:
    rehearsed(tmp_path, recorded)
    made = runs.a_plan(runs.TWO)
    assert rehearsal.find(tmp_path, made)
    spoil(tmp_path)
    assert rehearsal.find(tmp_path, made) is None


@pytest.mark.parametrize(
    ("state", "host", "of"),
    [
        (RunState.FAILED, HostState.DONE, FIX),
        (RunState.FINISHED, HostState.STOPPED, FIX),
        (RunState.FINISHED, HostState.DONE, f"../{FIX}"),
        (RunState.FINISHED, HostState.DONE, UNDO),
    ],
    ids=["it failed", "its host was stopped", "of a folder elsewhere", "of itself"],
)
def test_undos_that_do_not_count(
    tmp_path: Path, recorded: Results, state: RunState, host: HostState, of: str
) -> None:
    rehearsed(tmp_path / "reports", recorded, state=state, host=host, of=of)
    (tmp_path / "reports" / FIX).rename(tmp_path / FIX) if of.startswith("..") else None
    assert rehearsal.find(tmp_path / "reports", runs.a_plan(runs.TWO)) is None


def test_a_run_is_not_its_own_rehearsal(tmp_path: Path, recorded: Results) -> None:
    rehearsed(tmp_path, recorded)
    made = plan.load_plan(tmp_path / FIX / "plan.json")
    assert rehearsal.find(tmp_path, made, FIX) is None
    assert rehearsal.find(tmp_path, runs.a_plan(runs.ONE, steps=())) is None
