"""`invoke TASK --help` says what the task takes, also where the task begins with a word."""

import subprocess
import sys
from pathlib import Path

import pytest

from hale.paths import ROOT

INVOKE = Path(sys.executable).with_name("invoke")
FIRST_WORD = {"drill": "--part", "explain": "--requirement", "undo": "--run", "lab.shell": "--host"}
NONE = {"fix": "--apply", "install": "--to", "reset": "--cluster-name", "lab.up": "--name"}


@pytest.mark.parametrize(("task", "option"), [*FIRST_WORD.items(), *NONE.items()])
@pytest.mark.parametrize("order", ["after", "before"])
def test_help(task: str, option: str, order: str) -> None:
    words = [task, "--help"] if order == "after" else ["--help", task]
    done = subprocess.run([INVOKE, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{task} [--options]" in done.stdout
    assert option in done.stdout
