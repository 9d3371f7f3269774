"""A full disk or a read-only folder for the reports: one line with the file, and no part of one.

Each command runs as root in a mount namespace of its own, with a tiny tmpfs for its files.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hale.files import manifest
from tests.reports import factories

END = {"report.html": "</html>", "change.html": "</html>", "junit.xml": "</testsuites>"}
FULL, READ_ONLY = "No space left on device", "Read-only file system"


def inside(mount: str, command: list[str], folder: Path) -> tuple[int, str]:
    """Type a command in a mount namespace, and copy the folder out of it, to `kept`.

    Returns its exit status, and what it printed.
    """
    script = (
        f"{mount}\nstatus=0\n{shlex.join(command)} || status=$?\n"
        f"cp -r {folder} {folder.with_name('kept')}\nexit $status"
    )
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script],
        cwd=factories.ROOT,
        env=factories.environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def fill(path: Path, free: int = 0) -> None:
    """Take the room of a tmpfs by this file, but for so many KiB."""
    found = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - free * 1024)


def require_one_line(output: str, start: str, reason: str) -> str:
    """The file in the only line that has the reason; nothing looks like a bug."""
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    (line,) = [line for line in output.splitlines() if reason in line]
    found = re.fullmatch(rf"{start}: (.*?): (cannot be \w+: )?{reason}\.", line)
    assert found, line
    return found[1]


def require_complete(folder: Path) -> None:
    """No file is there in part, and a journal has complete lines alone."""
    for path in folder.rglob("*"):
        if path.is_dir():
            continue
        assert not path.name.startswith("."), path
        if path.name == manifest.NAME:
            assert manifest.differences(path.parent, path.read_bytes()) == []
        elif path.suffix == ".json":
            assert json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in path.read_text().splitlines())
        else:
            assert path.read_text().rstrip().endswith(END[path.name]), path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.mkdir()
    return path


# KiB, the first file that does not fit, and options of pytest. results.json needs twice its size,
# because it is replaced. Where an option names SMALL, that file alone is there.
AUDITS = [
    (4, "results.json", ""),
    (256, "evidence.json", ""),
    (512, "results.json", ""),
    (64, "report.html", "--html=SMALL/report.html"),
    (64, "junit.xml", "--junitxml=SMALL/junit.xml"),
    (256, "evidence.json", "-n 2"),
    (64, "junit.xml", "--junitxml=SMALL/junit.xml -n 2"),
]


@pytest.mark.parametrize(("size", "name", "more"), AUDITS)
def test_an_audit(small: Path, tmp_path: Path, size: int, name: str, more: str) -> None:
    reports = tmp_path / "reports" if "SMALL" in more else small
    words = more.replace("SMALL", str(small)).split()
    command = factories.command(reports, *factories.GIVEN, *words)
    status, output = inside(f"mount -t tmpfs -o size={size}k none {small}", command, small)
    assert Path(require_one_line(output, "ERROR", FULL)).name == name
    assert status == 4
    require_complete(small.with_name("kept"))
    if reports.is_dir():
        require_complete(reports)


def test_an_audit_that_fits(small: Path) -> None:
    mount = f"mount -t tmpfs -o size=2m none {small}"
    status, output = inside(mount, factories.command(small, *factories.GIVEN), small)
    assert status == 1, output
    require_complete(small.with_name("kept"))
    assert len(list(small.with_name("kept").rglob("*.*"))) == 4


def test_an_audit_into_a_read_only_folder(small: Path) -> None:
    mount = f"mount -t tmpfs -o ro none {small}"
    status, output = inside(mount, factories.command(small, *factories.GIVEN), small)
    assert require_one_line(output, "ERROR: --reports", READ_ONLY).startswith(str(small))
    assert status == 4


@pytest.mark.parametrize("option", ["--html", "--junitxml"])
def test_a_page_that_the_operator_named(small: Path, tmp_path: Path, option: str) -> None:
    page = small / {"--html": "report.html", "--junitxml": "junit.xml"}[option]
    command = factories.command(tmp_path / "reports", *factories.GIVEN, f"{option}={page}")
    status, output = inside(f"mount -t tmpfs -o size=64k none {small}", command, small)
    assert require_one_line(output, "ERROR", FULL) == str(page)
    assert status == 4
    assert not list(small.with_name("kept").iterdir())


@pytest.mark.parametrize("name", ["html", "junit", "json", "csv"])
def test_invoke_report(small: Path, name: str) -> None:
    invoke = str(Path(sys.executable).parent / "invoke")
    out = small / "page"
    command = [invoke, "report", str(factories.DATA), f"--format={name}", f"--out={out}"]
    status, output = inside(f"mount -t tmpfs -o size=16k none {small}", command, small)
    assert require_one_line(output, "report", FULL) == str(out)
    assert status == 1
    assert not list(small.with_name("kept").iterdir())


# Nothing listens there, so each host is unreachable at once.
INVENTORY = """\
[masters]
m1 ansible_host=127.0.0.1 ansible_port=1
[workers]
w1 ansible_host=127.0.0.2 ansible_port=1
[all:vars]
hale_environment=lab
cluster_name=test
vip=127.0.0.3
vip_port=6443
vip_names=api
"""


@pytest.mark.parametrize("words", ["fix", "fix --apply --yes", "drill etcd --yes"])
@pytest.mark.parametrize("size", [4, 32, 96])
def test_invoke(small: Path, tmp_path: Path, words: str, size: int) -> None:
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(INVENTORY)
    invoke = str(Path(sys.executable).parent / "invoke")
    command = [invoke, *words.split(), f"--inventory={inventory}", f"--reports={small}"]
    status, output = inside(f"mount -t tmpfs -o size={size}k none {small}", command, small)
    assert str(small) in require_one_line(output, words.split()[0], FULL)
    assert status == 1
    require_complete(small.with_name("kept"))


@pytest.mark.parametrize("words", ["fix", "fix --apply --yes", "drill etcd --yes"])
def test_invoke_into_a_read_only_folder(small: Path, tmp_path: Path, words: str) -> None:
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(INVENTORY)
    invoke = str(Path(sys.executable).parent / "invoke")
    command = [invoke, *words.split(), f"--inventory={inventory}", f"--reports={small}"]
    status, output = inside(f"mount -t tmpfs -o ro none {small}", command, small)
    found = require_one_line(output, f"{words.split()[0]}: --reports", READ_ONLY)
    assert found.startswith(str(small))
    assert status == 1
