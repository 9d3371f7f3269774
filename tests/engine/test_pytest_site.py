"""A site's own checks, tests and fixtures beside Hale's."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from hale.report import formats
from tests.engine.pytest_cli import (
    EVIDENCE,
    SYSCTL,
    typed,
)

LIVE = """
def test_live(host):
    assert host.run("echo $((40 + 2))").stdout == "42\\n"
    assert host.file("/etc/passwd").exists
"""


def test_a_sites_own_check_is_live(tree: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, more = tree
    (folder / "checks/test_site.py").write_text(LIVE)
    words = ("--hosts=local://", "checks/test_site.py")
    done = typed(tmp_path / "r", *words, cwd=folder, more=more)
    assert done.code == 0, done.output
    assert "1 passed" in done.output


MIXED = """
import pytest

def test_good(): pass

def test_bad():
    assert "\\x07bell" == ""

def test_left_out():
    pytest.skip("not here")

@pytest.fixture
def broken():
    raise OSError("no such thing")

def test_without_its_fixture(broken): pass

def test_noted(record_property):
    record_property("ticket", "CHG-1")
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
def test_a_sites_own_checks_stand_in_junit_xml_too(
    tree: tuple[Path, dict[str, str]], tmp_path: Path, workers: list[str]
) -> None:
    folder, more = tree
    (folder / "checks/test_site.py").write_text(MIXED)
    words = ("checks/test_site.py", f"{SYSCTL}::test_runtime", "-k", "site or SYS-IP-FORWARD")
    done = typed(tmp_path / "r", *EVIDENCE, *words, *workers, cwd=folder, more=more)
    assert done.code == 1
    assert done.folder
    suite = ElementTree.parse(done.folder / "junit.xml").getroot()[0]
    reported = {case.get("name", ""): case for case in suite.iter("testcase")}
    found = {
        name: [child.tag for child in case if child.tag != "properties"]
        for name, case in reported.items()
        if case.get("classname") == "checks.test_site"
    }
    assert found == {
        "test_good": [],
        "test_bad": ["failure"],
        "test_left_out": ["skipped"],
        "test_without_its_fixture": ["error"],
        "test_noted": [],
    }
    (noted,) = reported["test_noted"].iter("property")
    assert noted.attrib == {"name": "ticket", "value": "CHG-1"}
    assert len(reported) == len(found) + 5
    counts = [int(suite.get(key, "")) for key in ("tests", "failures", "errors", "skipped")]
    assert counts == [10, 3, 2, 1]  # of the five hosts two are red, one was not reached
    outcomes = {check.test.partition("::")[2]: check for check in done.results.site_checks}
    assert {name: check.outcome for name, check in outcomes.items()} == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_left_out": "skipped",
        "test_without_its_fixture": "error",
        "test_noted": "passed",
    }
    assert outcomes["test_left_out"].message == "Skipped: not here"
    assert "OSError: no such thing" in outcomes["test_without_its_fixture"].text
    assert outcomes["test_noted"].properties == {"ticket": "CHG-1"}
    assert done.results.run.other_tests_failed == 2
    assert "2 other tests failed" in done.output
    page = (done.folder / "report.html").read_text()
    for name in outcomes:
        assert f'"checks/test_site.py::{name}"' in page


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["plain", "xdist"])
@pytest.mark.parametrize("beside", ["checks", "tests_of_the_site"])
def test_nothing_is_compliant_where_a_sites_own_check_fails(
    tree: tuple[Path, dict[str, str]], tmp_path: Path, workers: list[str], beside: str
) -> None:
    """Every requirement passes; two tests of the site do not, and pytest's exit status is 1."""
    folder, more = tree
    (folder / beside).mkdir(exist_ok=True)
    (folder / beside / "test_site.py").write_text(MIXED)
    words = ("--hosts=k8s-node-01", f"{beside}/test_site.py", f"{SYSCTL}::test_runtime")
    rows = ("-k", "site or (k8s-node-01 and SYS-IP-FORWARD)")
    done = typed(tmp_path / "r", *EVIDENCE, *words, *rows, *workers, cwd=folder, more=more)
    assert done.code == 1
    assert {r.verdict.value for r in done.results.results} == {"PASS"}
    assert done.results.run.other_tests_failed == 2
    assert "! 2 other tests failed" in done.output
    assert done.folder
    page = (done.folder / "report.html").read_text()
    assert "compliant" not in page.partition("<body")[2].partition("<table")[0]
    assert "2 other tests failed" in page


def test_a_sites_own_check_is_not_judged_from_evidence(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """`--evidence` contacts nobody, and says so; the hosts' names may be somebody's by now."""
    folder, more = tree
    (folder / "checks/test_site.py").write_text(LIVE)
    words = ("checks/test_site.py", "-rs")
    done = typed(tmp_path / "r", *EVIDENCE, *words, cwd=folder, more=more)
    assert "5 skipped" in done.output
    assert "--evidence contacts none" in done.output


SITES_OWN = """
import pytest

@pytest.fixture(autouse=True)
def told(request, case):
    with open({file!r}, "a") as file:
        file.write(request.node.nodeid + "\\n")
"""


def test_fixtures_of_a_site_reach_every_check(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    plain = typed(tmp_path / "plain", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    reported = tmp_path / "told"
    (folder / "checks" / "conftest.py").write_text(SITES_OWN.format(file=str(reported)))
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    assert done.verdicts == plain.verdicts
    assert sorted(reported.read_text().split()) == sorted(r.test for r in done.results.results)


ELSEWHERE = """
def test_runtime(case, swap): raise SystemExit("never called")
"""


def test_a_test_of_the_sites_own_is_not_taken_for_a_check(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    (folder / "site").mkdir()
    (folder / "site" / "test_swap.py").write_text(ELSEWHERE)
    done = typed(tmp_path / "r", *EVIDENCE, "site/test_swap.py", cwd=folder, more=more)
    assert done.code == 1
    assert not done.verdicts


MARKED = """\
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail(reason="we know"))
"""


def test_a_mark_of_the_sites_own_makes_no_failure_expected(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    (folder / "checks" / "conftest.py").write_text(MARKED)
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    assert {"FAIL", "UNKNOWN"} <= set(done.verdicts.values())
    assert done.code == done.results.run.exit_status == 1


LEAKS = """
def test_leak():
    assert "connected with password=S3cr3tS3cr3t9 to x" == ""
"""


def test_no_secret_of_a_sites_check_or_command_is_in_any_format(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    (folder / "checks/test_site.py").write_text(LEAKS)
    noted = ("--metadata", "url", "https://ops:S3cr3tS3cr3t9@x/")
    words = ("checks/test_site.py", f"{SYSCTL}::test_runtime", "-k", "site or SYS-IP-FORWARD")
    done = typed(tmp_path / "r", *EVIDENCE, *words, *noted, cwd=folder, more=more)
    assert done.code == 1
    (check,) = done.results.site_checks
    assert "connected with password=********" in check.message
    for name, render in formats.FORMATS.items():
        assert "S3cr3tS3cr3t9" not in render(done.results), name
