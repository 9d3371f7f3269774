"""`pytest --hosts=…` behaves as people who know pytest expect: the real command, no host needed."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hale.model.verdict import Verdict
from hale.report import formats
from tests.engine.pytest_cli import (
    DATA,
    EVIDENCE,
    ROOT,
    SYSCTL,
    Done,
    command,
    copy_of_the_tree,
    environment,
    typed,
)

HOSTS = ["k8s-master-01", "k8s-master-02", "k8s-master-03", "k8s-node-01", "k8s-node-02"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All of the recorded subjects, judged once for several tests."""
    return typed(
        tmp_path_factory.mktemp("judged"), *EVIDENCE, SYSCTL, "checks/test_control_plane_size.py"
    )


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the tree, and the environment to run it with."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder, copy_of_the_tree(folder)


# --- without --hosts nothing is contacted ---


@pytest.mark.parametrize("where", [".", "facts"])
def test_without_hosts_it_says_what_to_type(tmp_path: Path, where: str) -> None:
    done = typed(tmp_path / "r", cwd=ROOT / where)
    assert done.code == 4
    for part in ("--hosts=all", "'masters,!k8s-master-01'", "masters (3)", "workers (2)"):
        assert part in done.said
    assert done.folder is None


@pytest.mark.parametrize("words", [[SYSCTL, "--collect-only"], ["-n2", "-k", "swap"]])
def test_without_hosts_whatever_else_is_typed(tmp_path: Path, words: list[str]) -> None:
    done = typed(tmp_path / "r", *words)
    assert done.code == 4
    assert "no host is contacted without --hosts" in done.said
    assert done.folder is None


@pytest.mark.parametrize("word", ["--help", "--markers", "--fixtures", "--version"])
def test_words_that_ask_for_help(tmp_path: Path, word: str) -> None:
    done = typed(tmp_path / "r", word)
    assert done.code == 0
    assert {
        "--help": "--connect-timeout",
        "--markers": "chapter9",
        "--fixtures": "requirement",
        "--version": "pytest",
    }[word] in done.said
    assert done.folder is None


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "--hosts= selects no host"),
        ("k8s-nodes-01", "no host or group 'k8s-nodes-01' in {}. Did you mean k8s-node-01?"),
        ("masters,!masters", "--hosts=masters,!masters selects no host"),
        ("nope://x", "Unknown connection type 'nope'"),
        ("k8s-node-01,ssh://k8s-node-01", "names k8s-node-01 twice"),
    ],
)
def test_hosts_that_name_nothing(tmp_path: Path, expression: str, error: str) -> None:
    inventory = DATA / "inventory.ini"
    done = typed(tmp_path / "r", f"--hosts={expression}", f"--inventory={inventory}")
    assert done.code == 4
    assert error.format(inventory) in done.said
    assert "Traceback" not in done.said
    assert done.folder is None


# --- ids, markers, expressions ---


def collected(tmp_path: Path, *words: str) -> list[str]:
    done = typed(tmp_path / "r", "--collect-only", "-q", *words)
    assert done.code in (0, 5), done.said
    assert done.folder is None  # nothing was judged, so there is nothing to keep
    return [line for line in done.said.splitlines() if "::" in line]


def test_ids_are_unique_and_stable(tmp_path: Path) -> None:
    words = ("--hosts=all", f"--inventory={DATA / 'inventory.ini'}", "--profile=extended")
    ids = collected(tmp_path, *words)
    assert len(ids) == len(set(ids)) > 100
    assert "checks/test_swap.py::test_persisted[k8s-node-01-SWAP-OFF]" in ids
    assert "checks/test_control_plane_size.py::test_inventory[cluster-NODES-ODD-MASTERS]" in ids
    shape = r"checks/test_(\w+)\.py::test_(inventory|runtime|persisted|drill)\[([\w-]+)\]"
    for name in ids:
        assert re.fullmatch(shape, name), name


def test_the_extended_profile_is_the_baseline_and_more(tmp_path: Path) -> None:
    words = ("--hosts=all", f"--inventory={DATA / 'inventory.ini'}")
    baseline = collected(tmp_path, *words)
    extended = collected(tmp_path, *words, "--profile=extended")
    assert set(baseline) < set(extended)


def test_a_profile_may_have_the_name_of_earlier_releases(tmp_path: Path) -> None:
    words = ("--hosts=all", f"--inventory={DATA / 'inventory.ini'}", "--collect-only", "-q")
    new = typed(tmp_path / "r", *words, "--profile=baseline")
    old = typed(tmp_path / "r", *words, "--profile=document", "-n2")
    renamed = "--profile=document is now called --profile=baseline"
    assert old.said.count(renamed) == 1
    assert renamed not in new.said
    assert [line for line in old.said.splitlines() if "::" in line] == [
        line for line in new.said.splitlines() if "::" in line
    ]


@pytest.mark.parametrize(
    ("words", "count", "part"),
    [
        (["-m", "chapter9 and sysctl and persisted"], 15, "test_persisted"),
        (["-m", "masters and inventory"], 1, "NODES-ODD-MASTERS"),
        (["-m", "extended"], 0, ""),
        (["-k", "SYS-IP-FORWARD and k8s-node-01"], 2, "k8s-node-01-SYS-IP-FORWARD"),
        (["-k", "SYS-IP-FORWARD and not node", "-m", "critical"], 6, "k8s-master"),
        ([f"{SYSCTL}::test_persisted[k8s-node-01-SYS-IP-FORWARD]"], 1, "k8s-node-01"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_choosing_tests(tmp_path: Path, words: list[str], count: int, part: str) -> None:
    ids = collected(tmp_path, *EVIDENCE, *words)
    assert len(ids) == count
    assert all(part in name for name in ids)


def test_choosing_hosts(tmp_path: Path) -> None:
    """All kinds of words are in test_selection.py; here is that pytest hands them on."""
    words = (*EVIDENCE, "-k", "SYS-IP-FORWARD and runtime")
    ids = collected(tmp_path, "--hosts=all,!k8s-node-*,!k8s-master-02", *words)
    names = [re.sub(r".*\[(.*)-SYS-IP-FORWARD]", r"\1", name) for name in ids]
    assert names == ["k8s-master-01", "k8s-master-03"]


# --- verdicts and exit codes ---


def test_the_recorded_hosts(judged: Done) -> None:
    assert judged.code == 1
    forward = {h: judged.of(h) for h in HOSTS}
    told = {
        h: [v[f"SYS-IP-FORWARD {a}"] for a in ("runtime", "persisted")] for h, v in forward.items()
    }
    assert told == {
        "k8s-master-01": ["PASS", "PASS"],
        "k8s-master-02": ["FAIL", "FAIL"],
        "k8s-master-03": ["FAIL", "FAIL"],
        "k8s-node-01": ["PASS", "FAIL"],
        "k8s-node-02": ["UNKNOWN", "UNKNOWN"],
    }
    assert judged.of("cluster") == {"NODES-ODD-MASTERS inventory": "PASS"}
    found = judged.results
    assert (found.run.state, found.run.exit_status) == ("finished", 1)
    assert any("deselected" in reason for reason in found.run.incomplete)
    assert "INCOMPLETE" in judged.said
    down = [r for r in found.results if r.host == "k8s-node-02"]
    assert {r.actual for r in down} == {
        "k8s-node-02: proxy dialer did not pass back a connection. Try `ssh -v` by hand."
    }


def test_pytests_own_count_agrees(judged: Done) -> None:
    counts = Counter(judged.verdicts.values())
    assert (
        f"{counts['FAIL']} failed, {counts['PASS']} passed, {counts['UNKNOWN']} errors"
        in judged.said
    )
    assert judged.folder
    suite = ElementTree.parse(judged.folder / "junit.xml").getroot()[0]
    assert [int(suite.get(key) or 0) for key in ("tests", "failures", "errors", "skipped")] == [
        len(judged.verdicts),
        counts["FAIL"],
        counts["UNKNOWN"],
        counts["N-A"],
    ]


def test_all_green_is_0(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, SYSCTL, "-k", "SYS-IP-FORWARD and k8s-master-01")
    assert done.code == 0, done.said
    assert set(done.verdicts.values()) == {"PASS"}
    assert "INCOMPLETE" in done.said


def test_nothing_selected_is_5(tmp_path: Path) -> None:
    assert typed(tmp_path, *EVIDENCE, "-k", "nothing-has-this-name").code == 5


def test_a_role_that_excludes_a_host_is_not_applicable(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, "--hosts=k8s-node-01", "-m", "masters and not cluster")
    rows = [r for r in done.results.results if r.host == "k8s-node-01"]
    if not rows:
        pytest.skip("the standard has no requirement of masters alone")
    assert {(str(r.verdict), r.actual) for r in rows} == {("N-A", "concerns masters only")}


def test_cluster_rows_need_all_their_hosts(tmp_path: Path) -> None:
    """Judged on a part of the hosts, `one leader` or `all agree` would pass too easily."""
    done = typed(
        tmp_path, *EVIDENCE, "--hosts=k8s-master-01", "--profile=extended", "-k", "cluster"
    )
    assert set(done.verdicts) == {
        row for row in done.verdicts if row.requirement == "NODES-ODD-MASTERS"
    }
    assert "hosts of the inventory left out: k8s-master-02" in done.said
    left_out = {(r.host, r.requirement) for r in done.results.deselected}
    assert ("cluster", "CLOCK-SKEW") in left_out


@pytest.mark.parametrize(("word", "red"), [("-x", 1), ("--maxfail=3", 3)])
def test_stopping_early(tmp_path: Path, word: str, red: int) -> None:
    done = typed(tmp_path, *EVIDENCE, SYSCTL, word)
    assert done.code == 1
    found = done.results
    assert found.run.state == "interrupted"
    not_judged = [r for r in found.results if r.actual.startswith("not judged")]
    judged = [r for r in found.results if r not in not_judged]
    assert sum(r.verdict.failed for r in judged) == red
    assert not_judged
    assert {str(r.verdict) for r in not_judged} == {"UNKNOWN"}
    assert any("selected but not judged" in reason for reason in found.run.incomplete)


def test_last_failed(tmp_path: Path) -> None:
    words = (*EVIDENCE, SYSCTL, "-k", "SYS-IP-FORWARD")
    cache = ("-o", f"cache_dir={tmp_path / 'cache'}")
    plain = ["-q", *cache, *words]
    first = typed(tmp_path / "a", plain=[*plain, f"--reports={tmp_path / 'a'}"])
    red = {row for row, verdict in first.verdicts.items() if verdict in ("FAIL", "UNKNOWN")}
    second = typed(tmp_path / "b", plain=[*plain, "--lf", f"--reports={tmp_path / 'b'}"])
    assert set(second.verdicts) == red
    assert len(red) == 7


# --- plugins beside us ---


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
    assert "INTERNALERROR" not in done.said
    assert rows(done) == rows(judged)
    assert done.folder
    whole = {"evidence.json", "results.json", "report.html", "junit.xml", "SHA256SUMS"}
    assert {p.name for p in done.folder.iterdir()} == whole - {missing}


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


def test_outside_of_the_tree_it_says_where_to_go(tmp_path: Path) -> None:
    done = typed(tmp_path, plain=["--hosts=all"], cwd=tmp_path)
    assert done.code == 4
    assert f"Go to {ROOT}, or type: pytest {ROOT}/checks --hosts=all" in done.said


def test_another_suite_of_testinfra_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(host): assert host.run('true').rc == 0\n")
    done = typed(tmp_path, plain=["-q", "--hosts=local://"], cwd=tmp_path)
    assert done.code == 0, done.said
    assert "1 passed" in done.said


def test_another_project_for_the_tree_is_refused(tmp_path: Path) -> None:
    done = typed(tmp_path, *EVIDENCE, "--rootdir=/")
    assert done.code == 4
    assert f"run it in {ROOT}" in done.said


# --- what is wrong with what we were given ---


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("inventory.ini", "\n[masters\n", r"inventory\.ini:\d+: '\[masters' is not a section"),
        ("inventory.ini", "\nhale_nope__x=1\n", r"inventory\.ini:\d+: hale_nope__x overrides"),
        (
            "inventory.ini",
            "\nhale_sys_ip_forward__value=x\n",
            r"inventory\.ini:\d+: SYS-IP-FORWARD",
        ),
        ("standard/09-kernel.toml", "\nx = \n", r"09-kernel\.toml:\d+: no valid TOML"),
        ("standard/09-kernel.toml", "\n[A-B]\n", r"09-kernel\.toml:\d+: A-B: missing the field"),
        ("pytest.ini", "\naddopts = \n", r"pytest\.ini:\d+: duplicate name 'addopts'"),
    ],
)
def test_malformed_inputs(
    tree: tuple[Path, dict[str, str]],
    tmp_path: Path,
    name: str,
    change: str,
    error: str,
) -> None:
    folder, more = tree
    with (folder / name).open("a") as file:
        file.write(change)
    words = ["-n2"] if name == "inventory.ini" else []
    done = typed(tmp_path / "r", "--hosts=all", *words, cwd=folder, more=more)
    assert done.code == 4
    assert re.search(error, done.said)
    assert "Traceback" not in done.said
    assert "INTERNALERROR" not in done.said
    assert done.folder is None


def test_evidence_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    raw = (DATA / "evidence.json").read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    done = typed(tmp_path / "r", f"--evidence={path}", EVIDENCE[1])
    assert done.code == 4
    assert "not a Hale evidence file" in done.said


def test_evidence_of_hosts_that_it_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    saved = json.loads((DATA / "evidence.json").read_text())
    del saved["hosts"]["k8s-node-02"]
    path.write_text(json.dumps(saved))
    words = (f"--evidence={path}", EVIDENCE[1], "-k", "SYS-IP-FORWARD")
    done = typed(tmp_path / "r", *words, "--hosts=all")
    assert done.code == 4
    assert f"{path} has no evidence of k8s-node-02" in done.said
    done = typed(tmp_path / "r", *words)
    assert "hosts of the inventory left out: k8s-node-02" in done.said
    assert not done.of("k8s-node-02")


def test_evidence_of_another_inventory_says_so(tmp_path: Path, judged: Done) -> None:
    other = tmp_path / "inventory.ini"
    other.write_text((DATA / "inventory.ini").read_text() + "# changed since\n")
    done = typed(tmp_path / "r", EVIDENCE[0], f"--inventory={other}", "-k", "SYS-IP-FORWARD")
    assert "gathered with another inventory, or another state of it: inventory.ini" in done.said
    assert "another inventory" in done.results.run.evidence_from
    assert "another inventory" not in judged.said


def test_what_was_not_gathered_is_unknown(tmp_path: Path) -> None:
    """The recorded evidence is of five subjects; the others are not found to be absent."""
    done = typed(tmp_path, *EVIDENCE, "--hosts=k8s-master-01", "-m", "swap or selinux or limits")
    assert set(done.verdicts.values()) == {"UNKNOWN"}
    assert all("not in the evidence" in r.actual for r in done.results.results)


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("--connect-timeout=nan", "invalid seconds value: 'nan'"),
        ("--connect-timeout=-1", "invalid seconds value: '-1'"),
        ("--gather-timeout=soon", "invalid seconds value: 'soon'"),
        ("--profile=own", "invalid choice: 'own'"),
        ("--reports=/proc/none", "--reports: /proc/none: No such file or directory"),
        ("checks/test_nope.py", "file or directory not found: checks/test_nope.py"),
        (f"{SYSCTL}::test_nope", "not found: "),
    ],
)
def test_options_that_are_wrong(tmp_path: Path, word: str, error: str) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, word)
    assert done.code == 4
    assert error in done.said
    assert "Traceback" not in done.said
    assert done.folder is None  # an empty report would look like a good one


def test_without_testinfra_there_is_no_hosts_to_read(tmp_path: Path) -> None:
    done = typed(tmp_path / "r", "-p", "no:pytest11.testinfra")
    assert done.code == 4
    assert "no host is contacted without --hosts" in done.said
    assert "Traceback" not in done.said


# --- checks and facts that are wrong: never PASS ---

BY_REQUIREMENT = """
import pytest

def test_runtime(sysctl, case) -> None:
    name = f"{case.host_name} {case.requirement.id}"
    if name == "k8s-master-01 SYS-IP-FORWARD":
        assert sysctl.value == 1
    elif name == "k8s-master-02 SYS-IP-FORWARD":
        assert sysctl.value == 1
    elif name == "k8s-master-03 SYS-IP-FORWARD":
        raise RuntimeError("oops")
    elif name == "k8s-node-01 SYS-IP-FORWARD":
        sysctl.nope
    elif name == "k8s-master-01 SYS-BRIDGE-IPTABLES":
        raise SystemExit(0)
    elif name == "k8s-master-02 SYS-BRIDGE-IPTABLES":
        pytest.skip("not today")
    elif name == "k8s-master-03 SYS-BRIDGE-IPTABLES":
        pytest.importorskip("nope")
    elif name == "k8s-node-01 SYS-BRIDGE-IPTABLES":
        pytest.fail("by hand")

def test_persisted(case) -> None:
    pass
"""


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
    told = tmp_path / "told"
    (folder / "checks" / "conftest.py").write_text(SITES_OWN.format(file=str(told)))
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    assert done.verdicts == plain.verdicts
    assert sorted(told.read_text().split()) == sorted(r.test for r in done.results.results)


def test_checks_that_are_wrong(tree: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, more = tree
    (folder / SYSCTL).write_text(BY_REQUIREMENT)
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    told = {(r.host, r.requirement, r.aspect): (r.verdict, r.actual) for r in done.results.results}
    first, second = "SYS-IP-FORWARD", "SYS-BRIDGE-IPTABLES"
    for host, requirement, verdict, reason in (
        ("k8s-master-01", first, "PASS", "net.ipv4.ip_forward is 1"),
        ("k8s-master-02", first, "FAIL", "net.ipv4.ip_forward is 0"),
        ("k8s-master-03", first, "UNKNOWN", "RuntimeError: oops"),
        ("k8s-node-01", first, "UNKNOWN", "no attribute 'nope'"),
        ("k8s-node-02", first, "UNKNOWN", "proxy dialer did not pass back a connection"),
        ("k8s-master-01", second, "UNKNOWN", "SystemExit"),
        ("k8s-master-02", second, "UNKNOWN", "the check was switched off: "),
        ("k8s-master-03", second, "UNKNOWN", "the check was switched off: "),
        ("k8s-node-01", second, "UNKNOWN", "by hand"),
    ):
        said = told[host, requirement, "runtime"]
        assert (said[0], reason in said[1]) == (verdict, True), (host, requirement, said)
    for (_, _, aspect), (verdict, actual) in told.items():
        if aspect == "persisted":
            assert verdict == "UNKNOWN"
            assert "passed without looking at its fact" in actual
    assert done.code == 1


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


@pytest.mark.parametrize(
    ("before", "arguments", "reason"),
    [
        ("@pytest.mark.skip('later')", "sysctl", "the check was switched off: "),
        ("", "sysctl, nope", "FixtureLookupError: ('nope'"),
        (
            "@pytest.fixture\ndef broken(): yield; raise OSError('teardown')",
            "sysctl, broken",
            "OSError: teardown",
        ),
    ],
    ids=["skip", "no-fixture", "teardown"],
)
def test_checks_that_are_wrong_around_their_body(
    tree: tuple[Path, dict[str, str]], tmp_path: Path, before: str, arguments: str, reason: str
) -> None:
    folder, more = tree
    text = f"import pytest\n{before}\ndef test_runtime({arguments}): pass\n"
    (folder / SYSCTL).write_text(f"{text}\ndef test_persisted(): pass\n")
    one = f"{SYSCTL}::test_runtime[k8s-master-01-SYS-IP-FORWARD]"
    done = typed(tmp_path / "r", *EVIDENCE, one, cwd=folder, more=more)
    (row,) = done.results.results
    assert str(row.verdict) == "UNKNOWN", done.said
    assert reason in row.actual
    assert done.code == 1


def test_an_assertion_inside_a_fact_is_no_failure(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    with (folder / "facts/sysctl.py").open("a") as file:
        file.write("\n\ndef read_runtime(readings, case):\n    assert False, 'a mistake of ours'\n")
    done = typed(tmp_path / "r", *EVIDENCE, f"{SYSCTL}::test_runtime", cwd=folder, more=more)
    assert set(done.verdicts.values()) == {"UNKNOWN"}
    assert done.code == 1


def test_a_check_that_cannot_be_imported_stops_the_run(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    (folder / SYSCTL).write_text(
        "import nope\n\ndef test_runtime(): ...\ndef test_persisted(): ...\n"
    )
    done = typed(tmp_path / "r", *EVIDENCE, cwd=folder, more=more)
    assert done.code == 2
    assert "No module named 'nope'" in done.said or "1 error during collection" in done.said


def test_an_aspect_that_nothing_judges_is_an_error(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    text = (folder / SYSCTL).read_text().replace("def test_persisted(", "def check_persisted(")
    (folder / SYSCTL).write_text(text)
    done = typed(tmp_path / "r", *EVIDENCE, cwd=folder, more=more)
    assert done.code == 4
    assert "SYS-IP-FORWARD: nothing judges its persisted: write test_persisted in" in done.said


def test_a_worker_that_dies(tree: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, more = tree
    text = """
import os

def test_runtime(sysctl, case):
    if case.host_name == "k8s-master-03":
        os._exit(9)

def test_persisted(sysctl): ...
"""
    (folder / SYSCTL).write_text(text)
    words = ("-n2", f"{SYSCTL}::test_runtime", "-k", "SYS-IP-FORWARD")
    done = typed(tmp_path / "r", *EVIDENCE, *words, cwd=folder, more=more)
    assert done.code == 1
    verdicts = {row.host: v for row, v in done.verdicts.items()}
    assert verdicts["k8s-master-03"] == "UNKNOWN"
    assert "not judged" in done.said
    assert done.results.run.state == "interrupted"


# --- live checks that a site adds ---

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
    assert done.code == 0, done.said
    assert "1 passed" in done.said


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
    told = {case.get("name", ""): case for case in suite.iter("testcase")}
    found = {
        name: [child.tag for child in case if child.tag != "properties"]
        for name, case in told.items()
        if case.get("classname") == "checks.test_site"
    }
    assert found == {
        "test_good": [],
        "test_bad": ["failure"],
        "test_left_out": ["skipped"],
        "test_without_its_fixture": ["error"],
        "test_noted": [],
    }
    (noted,) = told["test_noted"].iter("property")
    assert noted.attrib == {"name": "ticket", "value": "CHG-1"}
    assert len(told) == len(found) + 5
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
    assert "2 other tests failed" in done.said
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
    assert "! 2 other tests failed" in done.said
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
    assert "5 skipped" in done.said
    assert "--evidence contacts none" in done.said


# --- this machine ---


def test_this_machine(tmp_path: Path) -> None:
    words = ("--hosts=local://", f"--inventory={DATA / 'inventory.ini'}")
    done = typed(tmp_path, *words, "-k", "address or hostname or sysctl or swap or masters")
    assert "INTERNALERROR" not in done.said
    told = done.of("local")
    assert told["NODES-ADDRESS runtime"] == told["NAME-HOSTNAME runtime"] == "N-A"
    assert {row.host for row in done.verdicts} == {"local"}
    assert f"hosts of the inventory left out: {', '.join(HOSTS)}" in done.said
    (host,) = done.results.hosts
    assert (host.transport, host.down, host.kernel) == ("local", "", os.uname().release)


# --- --pdb ---


def debugged(folder: Path, commands: str, *words: str, more: dict[str, str] | None = None) -> Done:
    """An audit with --pdb, and what is typed there."""
    done = subprocess.run(
        command(folder, *EVIDENCE, "--pdb", *words),
        cwd=ROOT,
        env=environment(more),
        input=commands,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, folder)


def test_pdb_stops_in_the_check_that_fails(tmp_path: Path) -> None:
    """The verdict, its reason and its log are those without it."""
    words = ("-k", "SYS-IP-FORWARD and runtime and k8s-master-02")
    done = debugged(tmp_path / "pdb", "p ('value', parameters.value)\nc\n", *words)
    assert "(Pdb) ('value', 1)" in done.said, done.said
    assert "checks/test_sysctl.py" in done.said.partition("(Pdb)")[0]
    plain = typed(tmp_path / "plain", *EVIDENCE, *words)
    assert "(Pdb)" not in plain.said
    assert done.code == plain.code == 1
    (one,), (other,) = done.results.results, plain.results.results
    assert (one.verdict, one.actual, one.log) == (other.verdict, other.actual, other.log)
    assert one.verdict is Verdict.FAIL


def test_pdb_stops_where_a_fact_cannot_be_read(tmp_path: Path) -> None:
    words = ("-k", "SYS-IP-FORWARD and runtime and k8s-node-02")
    done = debugged(tmp_path / "pdb", "p ('verdict', verdict)\nc\n", *words)
    assert "(Pdb)" in done.said, done.said
    (one,) = done.results.results
    (other,) = typed(tmp_path / "plain", *EVIDENCE, *words).results.results
    assert (one.verdict, one.actual, one.log) == (other.verdict, other.actual, other.log)
    assert one.verdict is Verdict.UNKNOWN


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
