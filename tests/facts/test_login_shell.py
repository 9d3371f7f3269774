"""A login shell is tried within bounds: in seconds, in what it prints, and in what it starts."""

import os
import subprocess
import time
from pathlib import Path

import pytest

import facts.limits

SCRIPT = (Path(facts.limits.__file__).parent / "limits_session.sh").read_text()
SECRET = "S3cr3tS3cr3t9"
AFTER = 60.0  # of 5 s; the machine may be busy
OWN = Path("/proc/self/limits").read_text().splitlines()


RUNUSER = 'shift 4; exec /bin/sh "$@"'


def tried(
    folder: Path, shell: str, profile: str = "", runuser: str = RUNUSER
) -> tuple[list[str], float, list[str]]:
    """What the script prints from the user's shell on, without the session's own limits, its
    seconds, and processes that remain."""
    programs = {
        "runuser": runuser,
        "getent": f"echo ops:x:1:1::{folder}:{folder}/shell.sh",
        "shell.sh": shell,
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / ".bashrc").write_text(profile)
    script = f"user=ops self=$$\n{SCRIPT[SCRIPT.index('entry=') :]}"
    began = time.monotonic()
    done = subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, "PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    seconds = time.monotonic() - began
    marked = [p.parent.name for p in Path("/proc").glob("[0-9]*/environ") if of(p, folder)]
    lines = done.stdout.splitlines()
    before = lines.index(OWN[0])
    assert lines[before : before + len(OWN)] == OWN
    return lines[:before] + lines[before + len(OWN) :], seconds, marked


def of(environ: Path, folder: Path) -> bool:
    try:
        return f"\0HOME={folder}\0".encode() in b"\0" + environ.read_bytes()
    except OSError:
        return False


USUAL = 'shift 2; exec /bin/bash "$@"'


def test_the_limits_of_a_login_shell_and_nothing_else_are_printed(tmp_path: Path) -> None:
    profile = f"export TOKEN={SECRET}; ulimit -n 99 # {SECRET}\n# ulimit -n 1\necho {SECRET}\n"
    printed, _, remain = tried(tmp_path, f"echo {SECRET}; ulimit -n 99; {USUAL}", profile)
    assert printed[:3] == [
        f"shell {tmp_path}/shell.sh",
        f"ulimit {tmp_path}/.bashrc:1:ulimit -n 99 ",
        "login",
    ]
    assert [line.split()[:3] for line in printed[3:]] == [
        ["Max", "processes", printed[3].split()[2]],
        ["Max", "open", "files"],
        ["Max", "locked", "memory"],
    ]
    assert "Max open files            99 " in printed[4]
    assert SECRET not in "\n".join(printed)
    assert remain == []


@pytest.mark.parametrize(
    "start", ["sleep 99 & ", "setsid sleep 99 & ", "trap '' TERM HUP; sleep 99;"]
)
def test_what_start_up_files_start_ends_with_the_shell(tmp_path: Path, start: str) -> None:
    printed, seconds, remain = tried(tmp_path, start + USUAL)
    assert ("login" in printed) == ("&" in start)
    assert seconds < AFTER
    assert remain == []


def test_a_shell_that_prints_without_end(tmp_path: Path) -> None:
    printed, seconds, remain = tried(tmp_path, f"exec yes {SECRET}")
    assert (len(printed), remain) == (1, [])
    assert seconds < AFTER


def test_a_session_that_pam_refuses_ends_the_probe_with_its_reason(tmp_path: Path) -> None:
    refused = "runuser: cannot open session: Permission denied"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        tried(tmp_path, USUAL, runuser=f"echo '{refused}' >&2; exit 1")
    assert (caught.value.returncode, caught.value.stderr) == (1, f"{refused}\n")
