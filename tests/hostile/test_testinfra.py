"""Hosts of testinfra's backends that print without end: bounded, as Hale's connection is."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hale.paths import ROOT
from tests.engine.pytest_cli import Done, typed
from tests.hostile.test_answers import MEMORY

ENDLESS = "#!/bin/sh\nexec cat /dev/zero\n"
STDERR = "#!/bin/sh\nexec cat /dev/zero >&2\n"
CHECK = """\
def test_site(host):
    assert host.run("true").rc == 0
"""


def run(folder: Path, ssh: str, *words: str) -> Done:
    """A run in which testinfra finds this program as ssh."""
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(ssh)
    (folder / "bin/ssh").chmod(0o755)
    (folder / "test_site.py").write_text(CHECK)
    inventory = folder / "inventory.ini"
    inventory.write_text(
        "[masters]\nm1 ansible_host=192.0.2.1\n[all:vars]\nvip=192.0.2.9\nvip_port=9\n"
        "vip_names=localhost\n"
    )
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    limits = resource.getrlimit(resource.RLIMIT_AS)
    # What fails must not take the machine's memory.
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, limits[1]))
    try:
        return typed(
            folder / "r",
            "--hosts=ssh://endless",
            f"--inventory={inventory}",
            *words,
            more={"PATH": path},
        )
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("ssh", [ENDLESS, STDERR], ids=["stdout", "stderr"])
def test_an_audit_over_ssh_uri(ssh: str, tmp_path: Path) -> None:
    done = run(tmp_path, ssh, "-k", "sysctl")
    assert done.results.run.state == "finished"
    rows = done.results.results
    assert rows
    assert {str(row.verdict) for row in rows} == {"UNKNOWN"}
    assert all("printed more than 64 MiB" in row.actual for row in rows)


def test_a_sites_own_check(tmp_path: Path) -> None:
    words = (str(tmp_path / "test_site.py"), "checks/test_sysctl.py", "--rootdir=.")
    done = run(tmp_path, ENDLESS, *words)
    assert done.code == 1
    assert "OutputUnlimited: the host printed more than 64 MiB" in done.output


def test_paramiko_need_not_be_installed() -> None:
    script = (
        "import sys; sys.modules['paramiko'] = None\n"
        "from hale.gather.bounded import limit_output\n"
        "limit_output()\n"
        "import testinfra; print(testinfra.get_host('local://').run('echo here').stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "here"), done.stderr


def test_the_memory_that_a_command_takes() -> None:
    """By the kernel's account; and what a command prints within the limit is complete."""
    code = (
        "import resource, testinfra\n"
        "from hale.gather.bounded import OutputUnlimited, limit_output\n"
        "limit_output()\n"
        "host = testinfra.get_host('local://')\n"
        "assert len(host.run('head -c 3000000 /dev/zero; echo x >&2').stdout) == 3000000\n"
        "assert host.run('exit 7').rc == 7\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    host.run('cat /dev/zero')\n"
        "except OutputUnlimited:\n    pass\n"
        "else:\n    raise SystemExit('it ended')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=True, text=True
    )
    assert int(done.stdout) << 10 < MEMORY
