"""The commands as people call them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.machine import Lab

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def invoke(tmp_path: Path) -> list[str]:
    """`invoke` with the lab's collection and nothing else."""
    (tmp_path / "tasks.py").write_text(
        "from invoke.collection import Collection\n"
        "from lab.tasks import lab\n"
        "ns = Collection(lab)\n"
    )
    return [sys.executable, "-m", "invoke", "--search-root", str(tmp_path)]


def call(argv: list[str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*argv, *args], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_status_and_power(invoke: list[str], lab: Lab) -> None:
    shown = call(invoke, "lab.status", "--name", lab.name)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("answers") == 2
    off = call(invoke, "lab.power", "off", "k8s-master-01", "--name", lab.name)
    assert off.stdout == "k8s-master-01 is off\n"
    assert "off" in call(invoke, "lab.status", "--name", lab.name).stdout
    shell = call(invoke, "lab.shell", "k8s-master-01", "--name", lab.name)
    assert (shell.returncode, shell.stderr) == (
        1,
        "lab: k8s-master-01 is off: `invoke lab.power on k8s-master-01`\n",
    )
    assert call(invoke, "lab.power", "on", "k8s-master-01", "--name", lab.name).returncode == 0
    assert lab["k8s-master-01"].status().banner


def test_shell(invoke: list[str], lab: Lab) -> None:
    done = subprocess.run(
        [*invoke, "lab.shell", "k8s-master-01", "--name", lab.name],
        cwd=ROOT,
        input="hostname\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "k8s-master-01\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lab.power", "explode", "k8s-master-01"], "switched on, off or cycle, not 'explode'"),
        (["lab.power", "off", "k8s-node-09"], "no host 'k8s-node-09' in the lab: k8s-master-01"),
    ],
)
def test_mistakes_are_told(invoke: list[str], lab: Lab, arguments: list[str], message: str) -> None:
    done = call(invoke, *arguments, "--name", lab.name)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lab_that_is_down_is_told(invoke: list[str], lab: Lab) -> None:
    done = call(invoke, "lab.status", "--name", "test-1-nowhere")
    assert done.returncode == 1
    assert "lab test-1-nowhere is down" in done.stderr
    assert lab.name in done.stderr  # the one that is up


def test_down_of_nothing_is_fine(invoke: list[str]) -> None:
    done = call(invoke, "lab.down", "--name", "test-1-nowhere")
    assert (done.returncode, done.stdout) == (
        0,
        "there is no lab test-1-nowhere; nothing to remove\n",
    )
