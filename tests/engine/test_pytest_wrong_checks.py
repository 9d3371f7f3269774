"""Checks and facts with a mistake never PASS."""

from pathlib import Path

import pytest

from tests.engine.pytest_cli import (
    EVIDENCE,
    SYSCTL,
    typed,
)

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


def test_checks_that_are_wrong(tree: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, more = tree
    (folder / SYSCTL).write_text(BY_REQUIREMENT)
    done = typed(tmp_path / "r", *EVIDENCE, SYSCTL, cwd=folder, more=more)
    judged = {
        (r.host, r.requirement, r.aspect): (r.verdict, r.actual) for r in done.results.results
    }
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
        row = judged[host, requirement, "runtime"]
        assert (row[0], reason in row[1]) == (verdict, True), (host, requirement, row)
    for (_, _, aspect), (verdict, actual) in judged.items():
        if aspect == "persisted":
            assert verdict == "UNKNOWN"
            assert "passed without looking at its fact" in actual
    assert done.code == 1


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
    assert str(row.verdict) == "UNKNOWN", done.output
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
    assert "No module named 'nope'" in done.output or "1 error during collection" in done.output


def test_an_aspect_that_nothing_judges_is_an_error(
    tree: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, more = tree
    text = (folder / SYSCTL).read_text().replace("def test_persisted(", "def check_persisted(")
    (folder / SYSCTL).write_text(text)
    done = typed(tmp_path / "r", *EVIDENCE, cwd=folder, more=more)
    assert done.code == 4
    assert "SYS-IP-FORWARD: nothing judges its persisted: write test_persisted in" in done.output


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
    assert "not judged" in done.output
    assert done.results.run.state == "interrupted"
