"""Scripts of steps with variables: a `.sh` file, and assignments in front of it."""

from pathlib import Path

from hale.ssh import remote


def script_with(file: Path, /, **variables: str) -> str:
    """The script after assignments of its variables. It runs under `set -eu` (executor.py)."""
    return remote.variables(**variables) + remote.load_script(file)
