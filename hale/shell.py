"""Shell scripts: `.sh` files beside the modules that run them.

A script is POSIX sh, checked by shellcheck in `make lint`. What Python knows comes before it, as
assignments of variables and as arguments, quoted; nothing is formatted into a script.
"""

import re
import shlex
from functools import cache
from pathlib import Path

_COMMENT = re.compile(r"\s*#")


@cache
def load_script(path: Path) -> str:
    """The script without comment lines and empty lines.

    No string in it may span a line that is empty or begins with a `#`.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    return "".join(f"{line}\n" for line in lines if line.strip() and not _COMMENT.match(line))


def variables(**values: str) -> str:
    """Assignments of shell variables, a line each, quoted."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def arguments(*values: str) -> str:
    """The command that makes these the script's arguments, `$@`, quoted."""
    return f"set -- {shlex.join(values)}\n"


def script_with(path: Path, /, **values: str) -> str:
    """The script after assignments of its variables."""
    return variables(**values) + load_script(path)


# Shell functions that find a component's processes by their control groups.
PROCESSES = load_script(Path(__file__).with_name("processes.sh"))
