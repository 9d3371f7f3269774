"""The audits before one: which count, what is read of them, and how the page shows them."""

import os
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from hale.audit import history, results_file
from hale.audit.recorder import Recorder
from hale.files import regular
from hale.model.results import EarlierRun, Result, Results
from hale.model.verdict import Verdict
from hale.report import html, trend
from tests.reports.pages import Markup


def finished(recorded: Results, folder: Path, rows: list[Result], **run: object) -> Results:
    """An audit that ends now, into that folder, with these rows."""
    folder.mkdir(parents=True)
    started = f"2026-11-{folder.name[8:10]}T10:00:00.000Z"
    fields = {"evidence_from": "", "incomplete": [], "started": started} | run
    recorder = Recorder(folder / "results.json", msgspec.structs.replace(recorded.run, **fields))
    for row in rows:
        recorder.record(row, save=False)
    recorder.end(1, list(recorder.results.run.incomplete))
    return recorder.results


def day(number: int) -> str:
    return f"2026-11-{number:02}T100000Z-audit"


@pytest.fixture
def rows(recorded: Results) -> list[Result]:
    return [r for r in recorded.results if r.subject in ("sysctl", "swap")]


def counts(rows: list[Result]) -> dict[str, int]:
    return dict(Counter(row.verdict.value for row in rows))


def test_the_audits_before_are_counted(
    recorded: Results, rows: list[Result], tmp_path: Path
) -> None:
    first = finished(recorded, tmp_path / day(1), rows)
    assert first.history == []
    assert first.run.counts == counts(rows)
    assert first.run.counts["FAIL"]
    finished(recorded, tmp_path / day(2), rows[5:])
    third = finished(recorded, tmp_path / day(3), rows[:1])
    assert third.history == [
        EarlierRun(day(2), "2026-11-02T10:00:00.000Z", counts(rows[5:])),
        EarlierRun(day(1), "2026-11-01T10:00:00.000Z", counts(rows)),
    ]
    saved = results_file.load_results(tmp_path / day(3) / "results.json")
    assert (saved.history, saved.run.counts) == (third.history, third.run.counts)


OTHERS: dict[str, dict[str, object]] = {
    "another inventory": {"inventory": "/etc/hale/other.ini"},
    "another profile": {"profile": "extended"},
    "other hosts": {"hosts_expression": "masters"},
    "less of them": {"incomplete": ["hosts of the inventory left out: k8s-node-01"]},
    "saved evidence": {"evidence_from": "evidence.json"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_selection_is_no_trend(
    recorded: Results, rows: list[Result], tmp_path: Path, what: str
) -> None:
    finished(recorded, tmp_path / day(1), rows, **OTHERS[what])
    assert finished(recorded, tmp_path / day(2), rows).history == []
    assert len(finished(recorded, tmp_path / day(3), rows).history) == 1


def test_saved_evidence_has_no_trend(recorded: Results, rows: list[Result], tmp_path: Path) -> None:
    for number in (1, 2):
        found = finished(recorded, tmp_path / day(number), rows, evidence_from="evidence.json")
    assert found.history == []


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def interrupted(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"state": "finished"', b'"state": "interrupted"'))


def earlier_schema(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"hale.results/2", b"hale.results/1"))


def deep(path: Path) -> None:
    path.write_bytes(b'{\n"x": ' + b"[" * 5000 + b',\n"hosts": ')


def without_hosts(path: Path) -> None:
    path.write_bytes(b" " * history.HEAD + path.read_bytes())


UNFIT = [as_fifo, interrupted, earlier_schema, deep, without_hosts, Path.unlink]


@pytest.mark.parametrize("spoil", UNFIT)
def test_only_finished_audits_are_shown(
    recorded: Results, rows: list[Result], tmp_path: Path, spoil: object
) -> None:
    assert callable(spoil)
    finished(recorded, tmp_path / day(1), rows)
    path = tmp_path / day(1) / "results.json"
    kept = path.read_bytes()
    spoil(path)
    assert finished(recorded, tmp_path / day(2), rows).history == []
    path.unlink(missing_ok=True)
    path.write_bytes(kept)
    assert len(finished(recorded, tmp_path / day(3), rows).history) == 2


def test_little_is_read(
    recorded: Results, rows: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads of fifty files at most, and nothing once there are nine audits."""
    finished(recorded, tmp_path / day(1), rows)
    opened: list[Path] = []
    open_file = regular.open_file

    def counted(path: Path, **more: bool) -> object:
        opened.append(path)
        return open_file(path, **more)

    monkeypatch.setattr(regular, "open_file", counted)
    alone = tmp_path / "alone" / day(1)
    finished(recorded, alone, rows)
    assert opened == []
    for number in range(99):
        other = tmp_path / f"2026-11-02T{number:06}Z-audit"
        shutil.copytree(tmp_path / day(1), other)
    found = finished(recorded, tmp_path / day(3), rows)
    assert len(found.history) == len(opened) == history.MOST_RUNS
    opened.clear()
    assert finished(recorded, tmp_path / day(4), rows, profile="other").history == []
    assert len(opened) == history.MOST_FILES


def test_the_page_shows_them(recorded: Results) -> None:
    assert 'id="trend"' not in html.render(recorded)
    recorded.run.counts = {"FAIL": 10, "PASS": 5}
    odd = {"FAIL": -3, "UNKNOWN": 15, "WAIVED": 5, "<b>": 7}
    recorded.history = [EarlierRun("<i>x</i>-audit", "2026-11-02T10:00:00.000Z", odd)]
    this, before = trend.trend(recorded)
    assert this.counts[Verdict.FAIL] == 10
    assert [(p.verdict, p.x, p.width) for p in this.bar] == [(Verdict.FAIL, 0, 50)]
    assert [(p.verdict, p.x, p.width) for p in before.bar] == [
        (Verdict.UNKNOWN, 0, 75),
        (Verdict.WAIVED, 75, 25),
    ]
    page = html.render(recorded)
    text = "".join(Markup(page[page.index('id="trend"') :]).text.split())
    assert "Thelast2audits" in text
    assert "2026-11-0210:00:00UTC015500<i>x</i>-audit" in text
    assert "<i>x" not in page


def test_nothing_failed_is_no_bar(recorded: Results) -> None:
    recorded.run.counts = {"PASS": 5}
    recorded.history = [EarlierRun("a-audit", "", {"PASS": 4})]
    assert [row.bar for row in trend.trend(recorded)] == [[], []]
