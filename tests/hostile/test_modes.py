"""Reports are the operator's alone, whatever the umask of the shell that Hale is typed into."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.audit.recorder import create_run_dir
from hale.files import atomic
from tests.reports import factories


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_runs_folder(tmp_path: Path, umask: int) -> None:
    assert mode(create_run_dir(tmp_path, "audit")) == 0o700


def test_a_file(tmp_path: Path, umask: int) -> None:
    atomic.write(tmp_path / "f", b"")
    assert mode(tmp_path / "f") == 0o600
    atomic.write(tmp_path / "f", b"", mode=0o644)
    assert mode(tmp_path / "f") == 0o644


def test_all_files_of_an_audit(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = factories.audit(tmp_path)
    finally:
        os.umask(before)
    assert mode(found.folder) == 0o700
    files = {p.name: mode(p) for p in found.folder.rglob("*") if p.is_file()}
    assert {"evidence.json", "results.json", "report.html", "junit.xml"} <= set(files)
    assert set(files.values()) == {0o600}
