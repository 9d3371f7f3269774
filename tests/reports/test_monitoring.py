"""A run in one line for a monitoring system, and its exit status."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.audit import results_file
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import monitoring
from hale.report.monitoring import MonitoringState
from tests.reports import factories
from tests.reports.test_html import hostile

P, F, U, W, N = "PASS", "FAIL", "UNKNOWN", "WAIVED", "N-A"


def results_of(recorded: Results, rows: Sequence[tuple[str, str]], **run: Any) -> Results:
    """A finished run of all hosts with rows of these verdicts and severities."""
    model = recorded.results[0]
    found = [
        msgspec.structs.replace(model, verdict=Verdict(v), severity=s, requirement=f"R-{n}")
        for n, (v, s) in enumerate(rows)
    ]
    failed = any(v in (F, U) for v, _ in rows)
    of = msgspec.structs.replace(recorded.run, **({"exit_status": int(failed)} | run))
    hosts = [h for h in recorded.hosts if not h.down]
    return msgspec.structs.replace(recorded, results=found, hosts=hosts, run=of)


@pytest.mark.parametrize(
    ("rows", "run", "state"),
    [
        ([(P, "critical"), (N, "critical"), (W, "critical")], {}, "OK"),
        ([(P, "critical"), (F, "minor")], {}, "WARNING"),
        ([(F, "major"), (F, "critical")], {}, "CRITICAL"),
        ([(U, "minor"), (F, "major")], {}, "UNKNOWN"),
        ([(U, "critical"), (F, "critical")], {}, "CRITICAL"),
        ([], {}, "UNKNOWN"),
        ([(P, "critical")], {"state": "interrupted"}, "UNKNOWN"),
        ([(P, "critical")], {"incomplete": ["hosts left out: a"]}, "UNKNOWN"),
        ([(P, "critical")], {"exit_status": 1, "other_tests_failed": 1}, "WARNING"),
    ],
)
def test_state(
    recorded: Results, rows: Sequence[tuple[str, str]], run: dict[str, Any], state: str
) -> None:
    found = results_of(recorded, rows, **run)
    assert monitoring.state_of(found) is MonitoringState[state]
    assert monitoring.line(found).startswith(f"HALE {state} - ")


def test_a_host_that_was_not_reached_is_never_ok(recorded: Results) -> None:
    found = results_of(recorded, [(P, "critical")])
    assert monitoring.state_of(found) is MonitoringState.OK
    found.hosts[0].down = "no route"
    assert monitoring.state_of(found) is MonitoringState.UNKNOWN
    assert f"hosts not reached: {found.hosts[0].name}" in monitoring.line(found)


def test_the_line_has_the_counts_and_the_causes(recorded: Results) -> None:
    text, _, data = monitoring.line(recorded).partition(" | ")
    for verdict in Verdict:
        count = sum(r.verdict is verdict for r in recorded.results)
        assert f"{verdict.name.lower()}={count}" in data.split()
        assert (f"{count} {verdict}" in text) == bool(count)
    assert "more causes" in text


def test_hostile_text_is_one_line_with_one_bar(recorded: Results) -> None:
    found = hostile(recorded)
    found.results[0].host = "a|b\nc" * 1000
    line = monitoring.line(found)
    assert line.isprintable()
    assert line.count("|") == 1
    assert len(line) < 1200


def check(*words: str) -> tuple[int, str]:
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "check", *words],
        cwd=factories.ROOT, env=factories.environment(), capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout


@pytest.mark.parametrize(
    ("rows", "code"),
    [([(P, "minor")], 0), ([(F, "minor")], 1), ([(F, "critical")], 2), ([(U, "minor")], 3)],
)
def test_the_exit_status_of_a_saved_run(
    recorded: Results, tmp_path: Path, rows: Sequence[tuple[str, str]], code: int
) -> None:
    for name, verdict in ("2026-01-01T000000Z-audit", U), ("2026-01-02T000000Z-audit", ""):
        (tmp_path / name).mkdir()
        found = results_of(recorded, [(verdict, "minor")] if verdict else rows)
        results_file.save_results(found, tmp_path / name / "results.json")
    words = ("--run=newest", f"--reports={tmp_path}", "--max-age=1000000")
    status, printed = check(*words)
    assert status == code
    assert printed == f"{monitoring.line(results_of(recorded, rows))}\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--run=nope",), "no run nope in"),
        (("--run=newest",), "hours old, and 24 are the most"),
        (("--inventory=/nope",), "cannot read the inventory"),
        (("--profile=nope",), "no profile 'nope'"),
    ],
)
def test_what_cannot_be_judged_is_unknown(
    recorded: Results, tmp_path: Path, words: Sequence[str], reason: str
) -> None:
    (tmp_path / "2026-01-01T000000Z-audit").mkdir()
    path = tmp_path / "2026-01-01T000000Z-audit" / "results.json"
    results_file.save_results(results_of(recorded, [(P, "minor")]), path)
    status, printed = check(*words, f"--reports={tmp_path}")
    assert status == 3
    assert re.fullmatch(f"HALE UNKNOWN - .*{re.escape(reason)}.*\n", printed)


def test_a_host_that_does_not_answer_is_unknown(tmp_path: Path) -> None:
    """Also where nothing else failed: nothing is known of it."""
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(
        "[masters]\none ansible_host=127.0.0.1 ansible_port=1\n[all:vars]\nvip=127.0.0.9\n"
        "vip_port=6443\nvip_names=vip.example\n"
    )
    status, printed = check(f"--inventory={inventory}", f"--reports={tmp_path / 'r'}")
    assert status in (2, 3)  # one control-plane node is critical by itself
    assert "hosts not reached: one" in printed
    assert printed.count("\n") == 1
    (folder,) = (tmp_path / "r").iterdir()
    assert (folder / "report.html").exists()
