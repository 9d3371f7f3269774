"""Errors that the operator can correct, with their location."""

from pathlib import Path

from msgspec import Struct


class Location(Struct, frozen=True):
    """A line of a file; lines count from 1, 0 means the file itself."""

    file: Path | str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


class UserError(Exception):
    """Something the operator gave us is wrong: an inventory, a standard, an option, evidence.

    The message starts with file and line where there is one, and ends with what to do.
    """

    def __init__(self, message: str, where: Location | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
