"""Inventories, evidence and options with a mistake end `pytest --hosts=…` in a line."""

import json
import re
from pathlib import Path

import pytest

from tests.engine.pytest_cli import (
    DATA,
    EVIDENCE,
    SYSCTL,
    Done,
    typed,
)


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
    assert re.search(error, done.output)
    assert "Traceback" not in done.output
    assert "INTERNALERROR" not in done.output
    assert done.folder is None


def test_evidence_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    raw = (DATA / "evidence.json").read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    done = typed(tmp_path / "r", f"--evidence={path}", EVIDENCE[1])
    assert done.code == 4
    assert "not a Hale evidence file" in done.output


def test_evidence_of_hosts_that_it_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    saved = json.loads((DATA / "evidence.json").read_text())
    del saved["hosts"]["k8s-node-02"]
    path.write_text(json.dumps(saved))
    words = (f"--evidence={path}", EVIDENCE[1], "-k", "SYS-IP-FORWARD")
    done = typed(tmp_path / "r", *words, "--hosts=all")
    assert done.code == 4
    assert f"{path} has no evidence of k8s-node-02" in done.output
    done = typed(tmp_path / "r", *words)
    assert "hosts of the inventory left out: k8s-node-02" in done.output
    assert not done.of("k8s-node-02")


def test_evidence_of_another_inventory_says_so(tmp_path: Path, judged: Done) -> None:
    other = tmp_path / "inventory.ini"
    other.write_text((DATA / "inventory.ini").read_text() + "# changed since\n")
    done = typed(tmp_path / "r", EVIDENCE[0], f"--inventory={other}", "-k", "SYS-IP-FORWARD")
    assert "gathered with another inventory, or another state of it: inventory.ini" in done.output
    assert "another inventory" in done.results.run.evidence_from
    assert "another inventory" not in judged.output


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
    assert error in done.output
    assert "Traceback" not in done.output
    assert done.folder is None  # an empty report would look like a good one


def test_without_testinfra_there_is_no_hosts_to_read(tmp_path: Path) -> None:
    done = typed(tmp_path / "r", "-p", "no:pytest11.testinfra")
    assert done.code == 4
    assert "no host is contacted without --hosts" in done.output
    assert "Traceback" not in done.output
