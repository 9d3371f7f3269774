"""TOML that an operator has written."""

import re
from pathlib import Path
from typing import Any

import tomli

from hale.model.errors import Location, UserError


def parse_toml(path: Path, raw: bytes) -> tuple[str, dict[str, Any]]:
    """The text of a file with this content, and its document. Raises UserError with the line."""
    try:
        text = raw.decode()
        return text, tomli.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("the file is not UTF-8.", Location(path, line)) from None
    except tomli.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        at = int(found[1]) if found else raw.count(b"\n") + 1
        raise UserError(f"no valid TOML: {error}", Location(path, at)) from None
    except RecursionError:
        raise UserError("no valid TOML: nested too deep.", Location(path)) from None
    except ValueError:  # of int(): CPython's limit of digits
        raise UserError("no valid TOML: a number of too many digits.", Location(path)) from None
