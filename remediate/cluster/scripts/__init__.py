"""Shell scripts of the phases; each names its arguments and variables in its first lines."""

from pathlib import Path

from hale import shell

_HERE = Path(__file__).parent


def load(name: str, *arguments: str, **variables: str) -> str:
    """The script NAME.sh with these arguments and variables."""
    given = shell.arguments(*arguments) if arguments else ""
    return given + shell.script_with(_HERE / f"{name}.sh", **variables)
