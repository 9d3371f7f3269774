"""`invoke judge`: saved evidence is judged as pytest does, and a fleet is bounded."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import fleet
from bench.scale import measure
from hale.audit import evidence_file, results_file
from hale.model.results import Result, Results
from hale.report import causes
from tests.reports import factories
from tests.reports.pages import Page


def judge(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "judge", *words],
        cwd=factories.ROOT, env=factories.environment(), capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def without_times(rows: list[Result]) -> list[Result]:
    return [msgspec.structs.replace(row, duration=0.0, log="") for row in rows]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the recorded evidence, judged by `invoke judge`."""
    reports = tmp_path_factory.mktemp("judged")
    inventory = factories.DATA / "inventory.ini"
    words = (str(factories.DATA), f"--inventory={inventory}", f"--reports={reports}")
    status, printed, errors = judge(*words)
    assert status == 1, errors
    (folder,) = reports.iterdir()
    assert f"report: {folder}/report.html" in printed
    return folder


def test_it_judges_as_pytest_does(complete: factories.Audited, judged: Path) -> None:
    mine, theirs = results_file.load_results(judged / "results.json"), complete.results
    assert without_times(mine.results) == without_times(theirs.results)
    assert mine.hosts == theirs.hosts
    assert mine.guidance == theirs.guidance
    assert mine.run.state == "finished"
    assert (mine.run.exit_status, mine.run.profile) == (1, "baseline")
    assert mine.run.evidence_from.startswith(str(factories.DATA / "evidence.json"))
    assert sorted(p.name for p in judged.iterdir()) == [
        "SHA256SUMS", "junit.xml", "report.html", "results.json",
    ]  # fmt: skip
    assert "SAVED EVIDENCE" in (judged / "report.html").read_text()


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("nope", "no run nope in"),
        ("/dev/null", "no run /dev/null"),
        ("{}", "cannot read the evidence"),
    ],
)
def test_what_cannot_be_judged(tmp_path: Path, run: str, reason: str) -> None:
    status, printed, errors = judge(run.format(tmp_path), f"--reports={tmp_path / 'r'}")
    assert (status, printed) == (1, "")
    assert errors.startswith("judge: ")
    assert reason in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "r").exists()


def test_hosts_share_their_patterns(tmp_path: Path) -> None:
    evidence, _ = fleet.write(tmp_path, 8)
    hosts = evidence_file.load_evidence(evidence).hosts
    up = [h for h in hosts.values() if not h.unreachable]
    assert len({id(h.patterns) for h in up}) == len({h.patterns for h in up}) < len(up)


# --- a fleet ---


@pytest.fixture(scope="module")
def of_fleet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, str]:
    folder = tmp_path_factory.mktemp("fleet")
    measure(60, folder)
    (made,) = (folder / "reports").iterdir()
    return results_file.load_results(made / "results.json"), (made / "report.html").read_text()


def test_a_page_of_a_fleet_counts_every_result(of_fleet: tuple[Results, str]) -> None:
    found, page = of_fleet
    shown = Page(page)
    assert len(shown.data["rows"]) == len(found.results) > 60 * 30
    failed = sum(row.verdict.failed for row in found.results)
    lost = sum(one.results for one in causes.unreached(found))
    assert lost + sum(len(c.hosts) for c in causes.causes(found)) == failed


def test_a_host_of_a_fleet_costs_little(of_fleet: tuple[Results, str]) -> None:
    """What hosts share is stored once: a host's own part of page and results is small."""
    found, page = of_fleet
    raw = results_file.encode_results(found)
    hosts = len(found.hosts)
    assert len(raw) / hosts < 24_000
    assert len(page.encode()) / hosts < 9_000
