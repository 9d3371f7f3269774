"""pytest's own plugins and options beside Hale's, from any folder."""

from pathlib import Path

import pytest

from tests.engine.pytest_cli import (
    DATA,
    EVIDENCE,
    ROOT,
    SYSCTL,
    Done,
    typed,
)


def rows(done: Done) -> set[tuple[str, str, str]]:
    return {(r.test, str(r.verdict), r.actual) for r in done.results.results}


@pytest.mark.parametrize("words", [["-n2"], ["-n0"]])
def test_xdist_finds_the_same(tmp_path: Path, judged: Done, words: list[str]) -> None:
    done = typed(tmp_path, *EVIDENCE, SYSCTL, "checks/test_control_plane_size.py", *words)
    assert done.code == 1
    assert rows(done) == rows(judged)
    assert done.results.run.state == "finished"
    assert done.results.hosts == judged.results.hosts


@pytest.mark.parametrize(
    ("plugin", "missing"),
    [("html", "report.html"), ("junitxml", "junit.xml"), ("xdist", "")],
)
def test_without_a_plugin(tmp_path: Path, judged: Done, plugin: str, missing: str) -> None:
    words = (SYSCTL, "checks/test_control_plane_size.py", "-p", f"no:{plugin}")
    done = typed(tmp_path, *EVIDENCE, *words)
    assert done.code == 1
    assert "INTERNALERROR" not in done.output
    assert rows(done) == rows(judged)
    assert done.folder
    complete = {"evidence.json", "results.json", "report.html", "junit.xml", "SHA256SUMS"}
    assert {p.name for p in done.folder.iterdir()} == complete - {missing}


def test_own_places_for_the_reports(tmp_path: Path) -> None:
    page, xml = tmp_path / "own.html", tmp_path / "own.xml"
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, f"--html={page}", f"--junitxml={xml}")
    assert "k8s-master-01" in page.read_text()
    assert "k8s-master-01" in xml.read_text()
    assert done.folder
    kept = {p.name for p in done.folder.iterdir()}
    assert kept == {"evidence.json", "results.json", "SHA256SUMS"}


def test_options_in_two_words_from_anywhere(tmp_path: Path) -> None:
    """pytest takes what exists for a path of tests, and its folder for the project."""
    page = tmp_path / "own.html"
    page.touch()
    words = [
        *("--evidence", str(DATA / "evidence.json"), "--inventory", str(DATA / "inventory.ini")),
        *("--html", str(page), "--reports", str(tmp_path / "r"), "-k", "SYS-IP-FORWARD"),
    ]
    (tmp_path / "r").mkdir()
    done = typed(tmp_path / "r", plain=words)
    assert len(done.verdicts) == 10
    assert "k8s-master-01" in page.read_text()


def test_options_in_the_environment(tmp_path: Path) -> None:
    always = f"--inventory '{DATA / 'inventory.ini'}' -k SYS-IP-FORWARD"
    done = typed(tmp_path, EVIDENCE[0], more={"PYTEST_ADDOPTS": always})
    assert len(done.verdicts) == 10


@pytest.mark.parametrize("where", ["facts", "/"])
def test_from_another_folder(tmp_path: Path, where: str) -> None:
    named = [str(ROOT / "checks")] if where == "/" else []
    done = typed(tmp_path, *EVIDENCE, "-k", "SYS-IP-FORWARD", *named, cwd=ROOT / where)
    assert len(done.verdicts) == 10
    assert f"{SYSCTL}::test_runtime[k8s-node-01-SYS-IP-FORWARD]" in {
        r.test for r in done.results.results
    }


def test_outside_of_the_tree_the_error_names_the_folder_to_run_it_in(tmp_path: Path) -> None:
    done = typed(tmp_path, plain=["--hosts=all"], cwd=tmp_path)
    assert done.code == 4
    assert f"Go to {ROOT}, or type: pytest {ROOT}/checks --hosts=all" in done.output


def test_another_suite_of_testinfra_runs_as_without_hale(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(host): assert host.run('true').rc == 0\n")
    done = typed(tmp_path, plain=["-q", "--hosts=local://"], cwd=tmp_path)
    assert done.code == 0, done.output
    assert "1 passed" in done.output


def test_another_project_for_the_tree_is_refused(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, "--rootdir=/")
    assert done.code == 4
    assert f"run it in {ROOT}" in done.output
