"""The lint of shell goes red for a script in a string, and only for one."""

import subprocess
import sys
from pathlib import Path

import pytest

from lint import shell

LOOP = "for f; do\n  [ -e $f ] || continue\n  cat $f\ndone\n"
UNIT = "[Service]\nExecStart=/usr/bin/kubelet $KUBELET_ARGS\nRestart=always\nRestartSec=10\n"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (f"SCRIPT = {LOOP!r}", 1),
        (f'\ndef f(names):\n    return f"""set -- {{names}}\n{LOOP}"""', 3),
        (f"run('set -eu\\n' {LOOP!r})", 1),
        ('x = """\nip address add $a dev lo\nip link set x up\nsystemctl stop y\nmkdir z\n"""', 1),
    ],
)
def test_a_script_in_a_string_is_found(source: str, line: int) -> None:
    ((found, lines),) = shell.long_scripts(source)
    assert (found, lines > shell.MOST_LINES) == (line, True)


@pytest.mark.parametrize(
    "source",
    [
        'x = "set -e\\ncd /x\\nrm -f y\\n"',  # three lines
        'x = f"{a}\\n{b}\\n{c}\\n(\\n{d}\\n)\\n{e}"',  # pieces put together
        f"def f():\n    '''{LOOP}'''",  # a docstring
        f"x = {UNIT!r}",
    ],
)
def test_shorter_scripts_and_other_strings_pass(source: str) -> None:
    assert list(shell.long_scripts(source)) == []


def test_a_disabled_check_needs_a_reason() -> None:
    script = (
        "# shellcheck disable=SC2086  # words\nset -- $a\n  # shellcheck disable=SC2086\nx $b\n"
    )
    assert list(shell.unexplained(script)) == [3]


def test_the_tree_has_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lint.shell"],
        cwd=Path(shell.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)
