"""Versioned JSON files: results.json, evidence.json, plans, and the lines of journals.

Each names its format and version in the field `schema`, such as `hale.plan/1`. Whatever such a
file contains, loading it returns a struct or raises a UserError that names the file, what is wrong
and the next step.
"""

import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

from hale.model.errors import Location, UserError

T = TypeVar("T")

KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


class _Header(msgspec.Struct):
    schema: str = "none"


def load(path: Path, kind: type[T], schema: str, name: str) -> T:
    """The content of a file. Raises UserError.

    schema: the version that this Hale reads. name: what the file is called in messages, such as
    "evidence". The version is checked before the fields: those of another version may differ.
    """
    raw = read(path, name)
    where = Location(path)
    wrong = f"not a Hale {name} file"
    check_schema(decode(raw, msgspec.json.Decoder(_Header), wrong, where).schema, schema, where)
    return decode(raw, msgspec.json.Decoder(kind), wrong, where)


def read(path: Path, name: str) -> bytes:
    """The bytes of a regular file. Raises UserError; never waits, as opening a FIFO would."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            special = KINDS.get(stat.S_IFMT(os.fstat(file.fileno()).st_mode))
            raw = b"" if special else file.read()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot read the {name}: {why}. Check the path and its permissions.", Location(path)
        ) from None
    if special:
        raise UserError(
            f"not a Hale {name} file: it is {special}. Name a regular file.", Location(path)
        )
    return raw


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def decode(raw: bytes, decoder: "msgspec.json.Decoder[T]", wrong: str, where: Location) -> T:
    """The JSON as a struct. Raises UserError, whose text begins with `wrong`."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise UserError(
            f"{wrong}: {why}. If it was copied, copy it again from its folder in reports/.", where
        ) from None


def check_schema(found: str, schema: str, where: Location) -> None:
    """Raises UserError for another version than `schema`."""
    if found != schema:
        raise UserError(
            f"schema {found}; this version reads {schema}. Use the version of Hale that wrote it.",
            where,
        )
