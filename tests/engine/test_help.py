"""`invoke TASK --help` says what the task takes, also where the task begins with a word."""

import subprocess
import sys
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program

from hale.cli import options
from hale.install import workflow
from hale.install.options import InstallOptions
from hale.model.errors import UserError
from hale.paths import ROOT

INVOKE = Path(sys.executable).with_name("invoke")
FIRST_WORD = {
    "drill": "--part",
    "explain": "--requirement",
    "undo": "--run",
    "confirm": "--run",
    "lab.shell": "--host",
}
NONE = {"fix": "--try", "install": "--until", "reset": "--cluster-name", "lab.up": "--name"}


@pytest.mark.parametrize(("task", "option"), [*FIRST_WORD.items(), *NONE.items()])
@pytest.mark.parametrize("order", ["after", "before"])
def test_help(task: str, option: str, order: str) -> None:
    words = [task, "--help"] if order == "after" else ["--help", task]
    done = subprocess.run([INVOKE, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{task} [--options]" in done.stdout
    assert option in done.stdout


@pytest.mark.parametrize("task", ["install", "reset", "fix", "undo", "confirm", "drill"])
def test_help_has_new_names_only(task: str) -> None:
    words = [str(INVOKE), "--help", task]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--force-unlock" in done.stdout
    shown = {word.partition("=")[0] for word in done.stdout.split()}
    kept = {"--only"} if task == "fix" else set()  # of requirements, it has kept its name
    assert shown & {options.flag(old) for old in options.RENAMED.values()} == kept


NO_INVENTORY = "--inventory=/nowhere/inventory.ini"


@pytest.mark.parametrize(
    ("typed", "old", "new"),
    [
        (("install", "--to=init"), "--to", "--until"),
        (("install", "--only", "init"), "--only", "--phase"),
        (("install", "--despite=SWAP-OFF"), "--despite", "--ignore-preflight-errors"),
        (("install", "--take-lock"), "--take-lock", "--force-unlock"),
        (("reset", "--take-lock"), "--take-lock", "--force-unlock"),
        (("fix", "--apply", "--yes", "--take-lock"), "--take-lock", "--force-unlock"),
        (("drill", "vip", "--take-lock"), "--take-lock", "--force-unlock"),
        (("drill", "vip", "--on-production"), "--on-production", "--allow-production"),
        (("drill", "restore"), "drill restore", "drill --revert"),
        (("reset", "--i-accept-losing-quorum"), "--i-accept-losing-quorum", "--allow-quorum-loss"),
    ],
)
def test_an_old_name_works_and_says_its_new_one(typed: tuple[str, ...], old: str, new: str) -> None:
    task, *rest = typed
    words = [str(INVOKE), task, NO_INVENTORY, *rest]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"{old} is now called {new}; " in done.stderr
    assert "/nowhere/inventory.ini" in done.stderr, "the command itself began"


def test_old_and_new_names_set_the_same_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requested: list[InstallOptions] = []

    def install(given: InstallOptions) -> bool:
        requested.append(given)
        return True

    monkeypatch.setattr(workflow, "install_cluster", install)
    monkeypatch.chdir(ROOT)
    for words in (
        ["--to=init", "--only=dns", "--despite=SWAP-OFF", "--take-lock"],
        ["--until=init", "--phase=dns", "--ignore-preflight-errors=SWAP-OFF", "--force-unlock"],
    ):
        monkeypatch.setattr(sys, "argv", ["invoke", "install", *words])
        Program().run(exit=False)
        notes = capsys.readouterr().err.count("is now called")
        assert notes == (4 if "--to=init" in words else 0)
    old, new = requested
    assert old == new
    assert (new.until, new.phase, new.force_unlock) == ("init", "dns", True)
    assert new.ignore_preflight_errors == ("SWAP-OFF",)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (UserError("h: flock: \x1b]0;in\x07\nnext"), "x: h: flock: \\x1b]0;in\\x07\nnext", 1),
        (KeyboardInterrupt(), "interrupted; resume", 130),
    ],
)
def test_how_a_command_ends(error: BaseException, text: str, code: int) -> None:
    def x(_: Context) -> None:
        raise error

    with pytest.raises(Exit) as ended:
        options.Command(x, interrupted="interrupted; resume")(Context())
    assert (ended.value.message, ended.value.code) == (text, code)
