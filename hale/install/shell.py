"""Scripts of steps with variables: a `.sh` file, and assignments in front of it."""

import shlex
from functools import cache
from pathlib import Path

from hale.files import script

_text = cache(script.load_script)


def script_with(file: Path, /, **variables: str) -> str:
    """The script after assignments of its variables. It runs under `set -eu` (executor.py)."""
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return assignments + _text(file)
