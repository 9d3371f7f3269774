"""Shell scripts that are sent to hosts: `.sh` files beside the module that sends them."""

from pathlib import Path


def load_script(path: Path) -> str:
    """The script without comment lines, empty lines and indentation, for the wire.

    No string in it may span lines that begin with a blank or a `#`.
    """
    lines = (line.lstrip(" \t") for line in path.read_text(encoding="utf-8").split("\n"))
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))
