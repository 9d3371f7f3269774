"""Ids, markers, `-k` and `--hosts`: which cases `pytest --hosts=…` selects."""

import re
from pathlib import Path

import pytest

from tests.engine.pytest_cli import (
    DATA,
    EVIDENCE,
    SYSCTL,
    typed,
)


def collected(tmp_path: Path, *words: str) -> list[str]:
    done = typed(tmp_path / "r", "--collect-only", "-q", *words)
    assert done.code in (0, 5), done.output
    assert done.folder is None  # nothing was judged, so there is nothing to keep
    return [line for line in done.output.splitlines() if "::" in line]


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
    assert old.output.count(renamed) == 1
    assert renamed not in new.output
    assert [line for line in old.output.splitlines() if "::" in line] == [
        line for line in new.output.splitlines() if "::" in line
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
