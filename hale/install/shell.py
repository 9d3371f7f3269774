"""Shell scripts for steps: `.sh` files beside the modules, with their variables in front."""

import shlex
from functools import cache
from pathlib import Path


def load_script(path: Path, /, **variables: str) -> str:
    """The script, after assignments of its variables. Runs under `set -eu` (executor.py)."""
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return assignments + _text(path)


@cache
def _text(path: Path) -> str:
    return path.read_text()
