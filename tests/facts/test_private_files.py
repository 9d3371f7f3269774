"""Which files a daemon cannot read, by the shell function on files here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from facts.parsers import private_files
from hale.shell import arguments

USER = "daemon"  # with a group of its name, on every Linux


@pytest.mark.skipif(os.geteuid() != 0, reason="files get other owners")
@pytest.mark.parametrize(
    ("mode", "owner", "group", "read"),
    [
        (0o644, "root", "root", True),
        (0o600, "root", "root", False),
        (0o640, "root", "root", False),
        (0o640, "root", USER, True),
        (0o600, USER, "root", True),
        (0o200, USER, "root", False),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_what_a_user_reads(
    tmp_path: Path, mode: int, owner: str, group: str, read: bool, folder: bool
) -> None:
    path = tmp_path / "a file"
    if folder:
        path.mkdir()
    else:
        path.touch()
    shutil.chown(path, owner, group)
    path.chmod(mode)
    script = f'{private_files.SHELL}{arguments(USER, str(path), "/nowhere")}private "$@"\n'
    shown = subprocess.check_output(["sh", "-euc", script], text=True)
    assert private_files.paths(shown.splitlines()) == ([] if read else [str(path)])
