"""Shell scripts of the phases; each names its variables in its first lines."""

from pathlib import Path

from hale.install import shell

_HERE = Path(__file__).parent


def load(name: str, **variables: str) -> str:
    """The script NAME.sh with these variables."""
    return shell.script_with(_HERE / f"{name}.sh", **variables)
