"""change.html of a drill, from journals as it writes them."""

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from hale.apply.cluster_lock import HostLocks
from hale.apply.lock import Owner
from hale.audit import results_file
from hale.cli import change_page as on_request
from hale.drill import change_page, drill_page, interrupted, journal, revert
from hale.drill import runner as drill_runner
from hale.drill.journal import (
    DrillEnd,
    DrillHeader,
    DrillJournal,
    DrillState,
    Entry,
    FaultInjected,
    FaultReverted,
)
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.runner import DrillRunner
from hale.files import manifest
from hale.inventory import ini
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverRecord
from hale.paths import ROOT
from hale.report.change import page
from hale.report.change.comparison import Movement
from hale.report.change.model import ChangeReport, ChangeState, Outcome, Reversal
from hale.ssh import SessionPool
from tests.reports.factories import DATA


def at(second: int) -> str:
    return f"2026-11-29T22:00:{second:02}.000Z"


VIP = FaultInjected(FaultKind.VIP, "m1", False, at(5))
BACK = FaultReverted(FaultKind.VIP, "m1", at(25))
ETCD = FaultInjected(FaultKind.ETCD, "m2", False, at(30))


def drill(folder: Path, *entries: Entry, inventory: str = "/i.ini") -> Path:
    folder.mkdir(parents=True)
    owner = Owner("op", "bastion", folder.name, at(0))
    header = DrillHeader(journal.SCHEMA, owner, inventory, (FaultKind.VIP,), False)
    book = DrillJournal(folder, header)
    for entry in entries:
        book.write(entry)
    book.close()
    return folder


def outcomes(report: ChangeReport) -> dict[str, list[Outcome]]:
    return {h.host: [a.outcome for a in h.actions] for h in report.hosts}


def sentence(html: str) -> str:
    (found,) = re.findall('<p class="verdict">(.*?)</p>', html)
    return str(found)


def audits(folder: Path, measured: Verdict) -> None:
    """Audits before and after with the same results, and one row that the drill measured."""
    found = results_file.load_results(DATA / "results.json")
    rows = [r for r in found.results if r.verdict is Verdict.PASS][:5]
    row = msgspec.structs.replace(rows[0], aspect="drill", verdict=measured, actual="9 s")
    for name, results in (("before", rows), ("after", rows), (".", [row])):
        (folder / name).mkdir(exist_ok=True)
        saved = msgspec.structs.replace(found, results=results)
        results_file.save_results(saved, folder / name / "results.json")


@pytest.mark.parametrize(
    ("measured", "result", "banner"),
    [
        (Verdict.PASS, "none failed or unknown", "good"),
        (Verdict.FAIL, "1 failed or unknown", "bad"),
    ],
)
def test_a_drill_that_ended(tmp_path: Path, measured: Verdict, result: str, banner: str) -> None:
    folder = drill(tmp_path / "1-drill", VIP, BACK, DrillEnd(DrillState.FINISHED, at(40)))
    audits(folder, measured)
    report = change_page.build(folder)
    html = page.render(report)
    assert (
        sentence(html) == f"1 fault injected and reverted on 1 host; 6 results audited, {result}."
    )
    assert f'class="banner {banner}"' in html
    assert outcomes(report) == {"m1": [Outcome.DONE]}
    assert report.hosts[0].actions[0].seconds == 20.0
    assert report.comparison is not None
    assert report.comparison.counts == {Movement.UNCHANGED: 5, Movement.NEW: 1}
    assert report.reversal is Reversal.NOT_NEEDED


WAIVED_BY = WaiverRecord(
    "waivers.toml:3", "storage", "B. Ito", "it is old", "a monitor", "CHG-9", "*", "", "2099-01-01"
)


def test_a_waived_row_of_the_gate_is_named(tmp_path: Path) -> None:
    """It failed before the drill and after it, and was accepted: it is no failure, nor a PASS."""
    folder = drill(tmp_path / "1-drill", VIP, BACK, DrillEnd(DrillState.FINISHED, at(40)))
    audits(folder, Verdict.PASS)
    for name in ("before", "after"):
        path = folder / name / "results.json"
        found = results_file.load_results(path)
        row = found.results[1]
        row.verdict, row.waiver, row.actual = Verdict.WAIVED, WAIVED_BY, "two masters only"
        results_file.save_results(found, path)
    report = change_page.build(folder)
    html = page.render(report)
    assert sentence(html) == (
        "1 fault injected and reverted on 1 host; 6 results audited, none failed or unknown, "
        "1 waived."
    )
    assert report.comparison is not None
    assert report.comparison.counts[Movement.WAIVED] == 1
    (line,) = re.findall(r"<tr><td><b>[^\n]*\n<td><span class=\"move waived\">waived</span>", html)
    assert row.requirement in line
    assert "two masters only" in html
    assert 'title="runtime: waived">w→w<' in html


def test_a_drill_that_was_killed(tmp_path: Path) -> None:
    folder = drill(tmp_path / "1-drill", VIP, BACK, ETCD)
    report = change_page.build(folder)
    assert report.state is ChangeState.CRASHED
    assert outcomes(report) == {"m1": [Outcome.DONE], "m2": [Outcome.NOT_REVERTED]}
    html = page.render(report)
    assert "1 of 2 faults injected and reverted on 2 hosts, 1 not reverted." in html
    assert "<b>NOT REVERTED</b>" in html
    assert "<pre>invoke drill --revert --inventory /i.ini</pre>" in html
    assert on_request.render(folder.name, tmp_path).decode().startswith("<!doctype html>")


def test_a_fault_that_was_injected_twice(tmp_path: Path) -> None:
    report = change_page.build(drill(tmp_path / "1-drill", VIP, BACK, VIP))
    assert outcomes(report) == {"m1": [Outcome.DONE, Outcome.NOT_REVERTED]}


def test_a_revert_completes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = tmp_path / "inventory.ini"
    inventory.write_text((ROOT / "inventory.ini").read_text())
    folder = drill(tmp_path / "reports" / "1-drill", VIP, inventory=str(inventory))

    def revert_all(
        history: object, sessions: object, power: object, write: object, log: object
    ) -> list[str]:
        assert callable(write)
        write(BACK)
        return []

    monkeypatch.setattr(revert, "revert_all", revert_all)
    monkeypatch.setattr(interrupted, "locks_held", lambda *_, **__: contextlib.nullcontext())
    options = DrillOptions("", tmp_path / "reports", inventory)
    known = ini.load_inventory(inventory)
    assert interrupted.recover_interrupted(options, known, SessionPool({}), LiveView())
    assert manifest.differences(folder, manifest.read(folder)) == []
    html = (folder / page.NAME).read_text()
    assert sentence(html) == "Interrupted: 1 fault injected and reverted on 1 host."
    assert "Nothing is left to undo." in html


class _Bug(Exception):
    """What no part of a drill expects."""


@pytest.mark.parametrize("fails", [False, True])
def test_a_drill_has_its_page_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The runner's order, with parts that contact no host: what a power cut leaves as it runs."""
    observed: list[str] = []
    found = results_file.load_results(DATA / "results.json")
    known = ini.load_inventory(ROOT / "inventory.ini")
    runner = DrillRunner(
        DrillOptions("", tmp_path, known.path, yes=True), known, SessionPool({}), (), LiveView()
    )

    def drills(
        self: DrillRunner, book: DrillJournal, folder: Path, planned: object, locks: object
    ) -> None:
        observed.append((folder / page.NAME).read_text())
        book.write(VIP)
        book.write(BACK)
        if fails:
            raise _Bug

    audited = SimpleNamespace(results=found, audit=SimpleNamespace(standard=None))
    no_locks = HostLocks(SessionPool({}), Owner("op", "here", "1-drill", "t"), [])
    for name, value in (
        ("audit_cluster", audited),
        ("is_inconclusive", False),
        ("require_healthy", None),
        ("drill_guards", frozenset()),
        ("find_roles", None),
        ("locks_held", contextlib.nullcontext(no_locks)),
        ("wait_until_healthy", ([], None)),
    ):
        monkeypatch.setattr(drill_runner, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(drill_page, "build_results", lambda *_, **__: found)
    monkeypatch.setattr(DrillRunner, "_drills", drills)
    monkeypatch.setattr(DrillRunner, "_show", lambda *_: None)
    monkeypatch.setattr(drill_page, "save", lambda *_, **__: None)
    with pytest.raises(_Bug) if fails else contextlib.nullcontext():
        runner.run()
    assert ["<b>IN PROGRESS</b>" in html for html in observed] == [True]
    (path,) = tmp_path.glob("*-drill")
    if fails:
        assert not (path / manifest.NAME).exists()
    else:
        assert manifest.differences(path, manifest.read(path)) == []
    html = (path / page.NAME).read_text()
    start = "Interrupted without an end: " if fails else ""
    assert sentence(html) == f"{start}1 fault injected and reverted on 1 host."


def test_an_empty_journal(tmp_path: Path) -> None:
    folder = drill(tmp_path / "1-drill")
    (folder / journal.NAME).write_text("")
    with pytest.raises(UserError, match="no fault was injected"):
        change_page.build(folder)
