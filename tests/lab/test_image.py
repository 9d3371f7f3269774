"""A layer is complete or not there, and a build that was killed leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import image
from lab.build import cache_root
from lab.machine import LabError

from .conftest import until

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH for programs that stand in; the cache is in a place of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_failed_build_says_what_and_where(programs: Path) -> None:
    program(programs, "debootstrap", "echo 'E: Failed getting release file'; exit 1")
    with pytest.raises(
        LabError, match=r"(?s)Failed getting release file.*The complete log is"
    ) as e:
        image.build_base_images(lambda _: None)
    log = next(cache_root().glob("*.log"))
    assert str(log) in str(e.value)
    assert not [path for path in cache_root().iterdir() if path.is_dir()]


def test_a_killed_build_leaves_no_process_and_is_cleared_by_the_next(programs: Path) -> None:
    program(programs, "debootstrap", "mkdir -p root; (sleep 4444 & sleep 4444) & sleep 4444")
    building = subprocess.Popen(
        [sys.executable, "-c", "from lab import image; image.build_base_images(print)"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: bool(list(cache_root().glob("*.partial/root"))))
    building.send_signal(signal.SIGKILL)
    building.wait()
    until(lambda: subprocess.run(["pgrep", "-f", "sleep 444[4]"], check=False).returncode == 1)
    program(programs, "debootstrap", "mkdir root")
    program(programs, "chroot", "exit 0")
    program(programs, "sh", "mkdir upper")
    images = image.build_base_images(lambda _: None)
    assert sorted(path.name for path in cache_root().iterdir() if path.is_dir()) == sorted(
        [images.base.name, images.chrony.name, images.firewalld.name]
    )


def test_the_mirror_is_the_machines_own() -> None:
    mirror = image.debian_mirror()
    assert mirror is None or mirror.startswith(("http", "file", "mirror", "copy", "cdrom"))
