"""A host whose disk is full while a run writes there: it says so, and each file is as before.

Hale's scripts run here as root, with a small tmpfs for the folder of the file or for Hale's own.
Once there is room, the same step is carried out. tests/apply/test_trouble.py has this on the lab.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hale.apply.prepared import PreconditionFailed, StepFailed
from hale.install.executor import InstallStepFailed
from tests.hostile.local_host import LocalHost, local_host
from tests.hostile.test_writes import WAYS
from tests.reports.test_full_disk import FULL, fill

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the scripts are root's")
OLD = "a\n" * 3000  # more than what is freed for the new file's inode


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as made:
        yield made


@contextmanager
def small(folder: Path) -> Iterator[Path]:
    """A tmpfs of 64 KiB over the folder; yields the file that fills it, if it is written."""
    folder.mkdir(exist_ok=True, mode=0o755)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", str(folder)], check=True
    )
    try:
        yield folder / "fill"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def why(host: LocalHost, way: str) -> str:
    """Why the write was refused; empty if it was made."""
    try:
        WAYS[way](host, "d/f")
    except (PreconditionFailed, StepFailed) as error:
        return str(error)
    except InstallStepFailed as error:
        return f"{error}\n{error.output}"
    return ""


# A link takes no block of a tmpfs, and Hale's folder has no original of what was not there.
CASES = [
    ("etc/d", "edit"),
    ("etc/d", "create"),
    ("etc/d", "restore"),
    ("etc/d", "install"),
    ("etc/d", "copy"),
    ("hale", "edit"),
    ("hale", "restore"),
    ("hale", "install"),
]


@pytest.mark.parametrize(("where", "way"), CASES)
def test_a_full_disk_changes_nothing(host: LocalHost, where: str, way: str) -> None:
    (host.etc / "d").mkdir()
    (host.top / "hale").mkdir(mode=0o700)
    before = None if way == "create" else OLD
    with small(host.top / where) as filler:
        path = host.etc / "d/f"
        if before is not None:
            path.write_text(before)
        if (where, way) == ("hale", "restore"):  # the original that it needs is there
            original = host.top / "hale/runs/before/1/original"
            original.parent.mkdir(parents=True)
            original.write_text("as before\n")
        fill(filler)
        reason = why(host, way)
        assert FULL in reason, reason
        assert (path.read_text() if path.exists() else None) == before
        filler.unlink()
        assert {p.name for p in path.parent.iterdir()} <= {"f"}, "nothing half-written stays"
        assert why(host, way) == "", "with room it is written"
        assert path.read_text() != before


def test_a_record_that_cannot_be_copied_keeps_its_lines(host: LocalHost) -> None:
    """The checksums by which an install knows its own files; a copy of them is cut short."""
    (host.etc / "d").mkdir()
    assert why(host, "install") == ""
    (record,) = (
        p for p in (host.top / "hale").rglob("*") if p.is_file() and len(p.read_text()) == 65
    )
    record.write_text("0" * 64 + "\n")  # of an earlier content
    tools = host.top / "tools"
    tools.mkdir()
    (tools / "cat").write_text(
        "#!/bin/sh\necho cat: write error: No space left on device >&2\nexit 1\n"
    )
    (tools / "cat").chmod(0o755)
    host.session.tools = tools
    (host.etc / "d/f").write_text(OLD)
    assert FULL in why(host, "install")
    assert record.read_text() == "0" * 64 + "\n"
    assert (host.etc / "d/f").read_text() == OLD
