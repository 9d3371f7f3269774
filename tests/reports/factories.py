"""Runs of `pytest` in processes of their own, and pages made of any results."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from hale.audit import results_file
from hale.model.results import Result, Results
from hale.pytest_plugin.reports import SiteChecks
from hale.report import html

ROOT = Path(__file__).parent.parent.parent
DATA = Path(__file__).parent / "data"
GIVEN = (f"--evidence={DATA / 'evidence.json'}", f"--inventory={DATA / 'inventory.ini'}")


@dataclass(frozen=True)
class Audited:
    """A run that has ended: its exit status, what it printed, and its folder."""

    status: int
    printed: str
    folder: Path

    @property
    def results(self) -> Results:
        """results.json, which must be whole."""
        return results_file.load_results(self.folder / "results.json")

    def text(self, name: str) -> str:
        """A file of the run's folder."""
        return (self.folder / name).read_text()


def command(reports: Path, *arguments: str) -> list[str]:
    """The command line; pytest looks for its configuration in the tree's top."""
    own = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--reports={reports}"]
    return [*own, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Nothing of the terminal, of pytest or of xdist that surrounds these tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "CI"))
    }
    return kept | {"COLUMNS": "100"} | more


def audit(reports: Path, *arguments: str, given: Sequence[str] = GIVEN, **more: str) -> Audited:
    """Judge the recorded evidence, to the end."""
    ran = subprocess.run(
        command(reports, *given, *arguments),
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    folders = list(reports.glob("*-audit"))
    assert len(folders) == 1, ran.stdout + ran.stderr
    return Audited(ran.returncode, ran.stdout + ran.stderr, folders[0])


# A plugin that makes one test hang, and says when it does.
HANGS = """
import os, time
from pathlib import Path

def pytest_runtest_call(item):
    if os.environ["HANG_AT"] in item.nodeid:
        Path(os.environ["HANG_SAY"]).touch()
        time.sleep(60)
"""


def cut_short(reports: Path, end: signal.Signals, *arguments: str, at: str) -> Audited:
    """The same, ended by a signal while the test that `at` names is running."""
    (reports / "hangs.py").write_text(HANGS)
    marker = reports / "hanging"
    more = {"PYTHONPATH": str(reports), "HANG_AT": at, "HANG_SAY": str(marker)}
    return ended(reports, end, *GIVEN, "-p", "hangs", *arguments, when=marker.exists, **more)


def ended(
    reports: Path, end: signal.Signals, *arguments: str, when: Callable[[], bool], **more: str
) -> Audited:
    """A run that is ended by a signal as soon as `when` is true."""
    process = subprocess.Popen(
        command(reports, *arguments),
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        late = time.monotonic() + 50
        while not when():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < late, "it never came so far"
            time.sleep(0.02)
        if end is signal.SIGKILL:
            process.kill()
            process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, end)  # workers: by themselves they end only after a while
        else:
            os.killpg(process.pid, end)  # as a terminal does: to all of the foreground
        printed, _ = process.communicate(timeout=50)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    (folder,) = reports.glob("*-audit")
    return Audited(process.returncode, printed, folder)


def page(found: Results, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """report.html of these results, and of the tests in `folder`, which pytest runs."""
    monkeypatch.chdir(folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    given = ["-p", "no:cacheprovider", "-p", "no:terminal", *arguments, str(folder)]
    checks = SiteChecks()
    pytest.main(given, plugins=[checks])
    return html.render(msgspec.structs.replace(found, site_checks=checks.checks))


def names(rows: Sequence[Result]) -> list[tuple[str, str, str]]:
    """What the rows are called."""
    return [(row.host, row.requirement, row.aspect) for row in rows]
