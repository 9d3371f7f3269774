"""What `pytest` says without hosts to audit, and what it refuses."""

from pathlib import Path

import pytest

from tests.engine.pytest_cli import (
    DATA,
    ROOT,
    SYSCTL,
    typed,
)


@pytest.mark.parametrize("where", [".", "facts"])
def test_without_hosts_it_says_what_to_type(tmp_path: Path, where: str) -> None:
    done = typed(tmp_path / "r", cwd=ROOT / where)
    assert done.code == 4
    for part in ("--hosts=all", "'masters,!k8s-master-01'", "masters (3)", "workers (2)"):
        assert part in done.output
    assert done.folder is None


@pytest.mark.parametrize("words", [[SYSCTL, "--collect-only"], ["-n2", "-k", "swap"]])
def test_without_hosts_whatever_else_is_typed(tmp_path: Path, words: list[str]) -> None:
    done = typed(tmp_path / "r", *words)
    assert done.code == 4
    assert "no host is contacted without --hosts" in done.output
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
    }[word] in done.output
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
    assert error.format(inventory) in done.output
    assert "Traceback" not in done.output
    assert done.folder is None
