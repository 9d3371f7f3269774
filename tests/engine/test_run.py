"""An audit that a command makes: it is told its folder, and takes no other for its own."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from hale.paths import ROOT
from tests.engine.pytest_cli import EVIDENCE, environment, typed

UNREACHABLE = """\
[masters]
a1 ansible_host=127.0.0.1 ansible_port=1
[all:vars]
vip=192.0.2.1
vip_port=1
vip_names=api.example
"""


def fixed(*words: str) -> str:
    """What `invoke fix` prints."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "fix", *words],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    ).stdout


def test_a_colleagues_audit_in_the_same_reports_is_not_taken_for_the_runs_own(
    tmp_path: Path,
) -> None:
    """It was: the run's folder was found by listing reports/ before and after."""
    theirs = typed(tmp_path / "theirs", *EVIDENCE).folder
    assert theirs
    reports, mine = tmp_path / "reports", tmp_path / "a.ini"
    mine.write_text(UNREACHABLE)
    reports.mkdir()
    planned: list[str] = []

    def colleague() -> None:
        until = time.monotonic() + 50
        while not list(reports.glob("*-audit")) and time.monotonic() < until:
            time.sleep(0.01)
        shutil.move(theirs, reports / "9999-12-31T235959Z-audit")

    def fix() -> None:
        planned.append(fixed("--inventory", str(mine), "--reports", str(reports)))

    threads = [threading.Thread(target=colleague), threading.Thread(target=fix)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (text,) = planned
    assert "── a1" in text, text
    assert "k8s-master" not in text


def test_a_mistake_leaves_no_folder_that_looks_like_an_audit(tmp_path: Path) -> None:
    inventory = tmp_path / "a.ini"
    inventory.write_text(UNREACHABLE + "hale_swap_off__nope=1\n")
    text = fixed("--inventory", str(inventory), "--reports", str(tmp_path / "r"))
    assert "a.ini:7: " in text
    assert not list((tmp_path / "r").glob("*"))
