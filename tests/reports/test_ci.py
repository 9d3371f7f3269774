"""GitHub Actions and GitLab CI: annotations, and no command of theirs from a host's text."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report import causes, ci, markdown
from hale.report.ci import CiSystem, Log
from tests.reports import factories
from tests.reports.test_html import hostile

GITHUB = {"GITHUB_ACTIONS": "true"}
GITLAB = {"GITLAB_CI": "true"}
COMMAND = re.compile(r"\s*::([\w-]+)(?: title=[^:]*)?::(.*)")


@pytest.mark.parametrize(
    ("environment", "system"),
    [
        ({}, CiSystem.NONE),
        ({"CI": "true"}, CiSystem.NONE),
        (GITHUB, CiSystem.GITHUB),
        (GITLAB, CiSystem.GITLAB),
        ({"GITHUB_ACTIONS": "false"}, CiSystem.NONE),
    ],
)
def test_the_system_is_known_by_its_variable(environment: dict[str, str], system: CiSystem) -> None:
    assert ci.detect(environment) is system


def test_every_cause_is_an_annotation(recorded: Results) -> None:
    recorded.results = [r for r in recorded.results if r.chapter == 9]
    for host in recorded.hosts:
        host.down = ""
    found = causes.causes(recorded)
    recorded.results = [r for r in recorded.results if r.verdict is not Verdict.UNKNOWN]
    found = causes.causes(recorded)
    assert 0 < len(found) <= ci.MAX_ANNOTATIONS
    lines = Log(CiSystem.GITHUB).annotations(recorded).splitlines()
    assert len(lines) == len(found)
    for line, cause in zip(lines, found, strict=True):
        assert line.startswith("::error title=")
        assert cause.row.requirement in line
        assert cause.actual.replace("%", "%25") in line
    assert Log(CiSystem.NONE).annotations(recorded) == ""
    assert Log(CiSystem.GITLAB).annotations(recorded) == ""


def test_more_than_github_shows_are_counted(recorded: Results) -> None:
    row = next(r for r in recorded.results if r.verdict is Verdict.FAIL)
    recorded.results = [msgspec.structs.replace(row, requirement=f"R-{n}") for n in range(30)]
    for host in recorded.hosts:
        host.down = ""
    lines = Log(CiSystem.GITHUB).annotations(recorded).splitlines()
    assert len(lines) == ci.MAX_ANNOTATIONS
    assert "21 more" in lines[-1]


def test_a_minor_failure_warns(recorded: Results) -> None:
    row = next(r for r in recorded.results if r.verdict is Verdict.FAIL)
    recorded.hosts = []
    for severity, level in ("minor", "warning"), ("major", "error"), ("critical", "error"):
        recorded.results = [msgspec.structs.replace(row, severity=severity)]
        (line,) = Log(CiSystem.GITHUB).annotations(recorded).splitlines()
        assert line.startswith(f"::{level} ")


def test_hostile_text_stays_inside_its_annotation(recorded: Results) -> None:
    found = hostile(recorded)
    for text in ("a%0A::add-mask::x", "b\n::set-env name=PATH::/tmp", "c\r::debug::"):
        row = msgspec.structs.replace(found.results[0], actual=text, host=text, requirement=text)
        found.results.append(row)
    lines = Log(CiSystem.GITHUB).annotations(found).splitlines()
    assert len(lines) == len(causes.causes(found)) + 2  # a gap, a host not reached
    for line in lines:
        assert line.isprintable()
        assert re.match("::(error|warning) title=[^:,]*::", line)
        assert not re.search("%(?!25|3A|2C)", line)


EVIL = """
import pytest

def pytest_runtest_logreport(report):
    if report.when == "call" and not hasattr(EVIL, "printed"):
        EVIL.printed = True
        print("\\n  ::add-mask::root\\n::warning::from a host")

class EVIL: pass
"""


def test_what_a_host_prints_is_no_command(tmp_path: Path) -> None:
    """Between the first and the last text of a host the runner is told to obey nothing else."""
    (tmp_path / "evil.py").write_text(EVIL)
    summary = tmp_path / "summary"
    summary.touch()
    more = {"PYTHONPATH": str(tmp_path)} | summary_of(summary)
    ran = factories.audit(tmp_path, "-m", "chapter9", "-s", "-p", "evil", **more)
    lines = ran.printed.splitlines()
    (start,) = (n for n, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[start].removeprefix("::stop-commands::")
    assert len(token) == 32
    (end,) = (n for n, line in enumerate(lines) if line == f"::{token}::")
    obeyed = [line for line in (*lines[:start], *lines[end + 1 :]) if COMMAND.match(line)]
    ignored = [line for line in lines[start + 1 : end] if COMMAND.match(line)]
    assert {"  ::add-mask::root", "::warning::from a host"} <= set(ignored)
    assert summary.read_text() == f"\n{markdown.render(ran.results)}"
    assert obeyed
    assert all(line.startswith("::error title=") for line in obeyed)


def test_gitlab_can_fold_the_report(tmp_path: Path) -> None:
    ran = factories.audit(tmp_path, "-m", "chapter9", **GITLAB)
    start = re.search(r"\x1b\[0Ksection_start:(\d+):hale[\r\n]\x1b\[0KHale\n", ran.printed)
    end = re.search(r"\x1b\[0Ksection_end:(\d+):hale[\r\n]\x1b\[0K\n", ran.printed)
    assert start
    assert end
    assert start.end() < ran.printed.index("§  requirement") < end.start()


def test_elsewhere_nothing_is_added(complete: factories.Audited) -> None:
    assert "::" not in re.sub(r"\w::\w", "", complete.printed)
    assert "section_start" not in complete.printed


# --- the summary of GitHub's job ---


def summary_of(path: Path) -> dict[str, str]:
    return GITHUB | {ci.SUMMARY_FILE: str(path)}


def test_the_summary_is_appended(recorded: Results, tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("of the step before")
    ci.append_summary(recorded, summary_of(path))
    assert path.read_text() == f"of the step before\n{markdown.render(recorded)}"
    for elsewhere in ({}, GITLAB, {"CI": "true"}):
        ci.append_summary(recorded, elsewhere | {ci.SUMMARY_FILE: str(path)})
    assert path.read_text() == f"of the step before\n{markdown.render(recorded)}"


def test_a_summary_is_cut_to_the_size_that_github_takes(
    recorded: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary"
    path.touch()
    once = markdown.render(recorded)
    monkeypatch.setattr(markdown, "render", lambda found: once)
    for most in range(600, 1600, 10):
        path.write_text("")
        monkeypatch.setattr(ci, "MAX_SUMMARY", most)
        ci.append_summary(recorded, summary_of(path))
        assert path.stat().st_size <= most
    kept, _, cut = path.read_text().partition("\n\nMore does not fit here")
    assert f"\n{markdown.render(recorded)}".startswith(kept)
    assert kept.endswith("|\n")
    assert cut


def unset(path: Path) -> dict[str, str]:
    return GITHUB


def absent(path: Path) -> dict[str, str]:
    return summary_of(path / "none")


def folder(path: Path) -> dict[str, str]:
    return summary_of(path)


def full(path: Path) -> dict[str, str]:
    return summary_of(Path("/dev/full"))


def fifo(path: Path) -> dict[str, str]:
    os.mkfifo(path / "fifo")
    return summary_of(path / "fifo")


def no_path(path: Path) -> dict[str, str]:
    return GITHUB | {ci.SUMMARY_FILE: "a\0b"}


@pytest.mark.parametrize("made", [unset, absent, folder, full, fifo, no_path])
def test_a_summary_that_cannot_be_written_fails_nothing(
    recorded: Results, tmp_path: Path, made: Callable[[Path], dict[str, str]]
) -> None:
    ci.append_summary(recorded, made(tmp_path))
    assert not [p for p in tmp_path.iterdir() if p.is_file()]
