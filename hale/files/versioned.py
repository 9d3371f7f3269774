"""Versioned JSON files: results.json, evidence.json, plans, and the lines of journals.

Each names its format and version in the field `schema`, such as `hale.plan/1`. Whatever such a
file contains, loading it returns a struct or raises a UserError that names the file, what is wrong
and the next step.
"""

from pathlib import Path
from typing import TypeVar

import msgspec

from hale.files import regular
from hale.model.errors import Location, UserError

T = TypeVar("T")


class _Header(msgspec.Struct):
    schema: str = "none"


def load(path: Path, kind: type[T], schema: str, name: str, most: int = regular.MOST) -> T:
    """The content of a file, `most` bytes at most. Raises UserError as `parse` and `read` do."""
    return parse(read(path, name, most), path, kind, schema, name)


def parse(raw: bytes, path: Path, kind: type[T], schema: str, name: str) -> T:
    """The content of a file that was read. Raises UserError.

    schema: the version that this Hale reads. name: what the file is called in messages, such as
    "evidence". The version is checked before the fields: those of another version may differ.
    """
    where = Location(path)
    check_schema(schema_of(raw, path, name), schema, where)
    return decode(raw, msgspec.json.Decoder(kind), f"not a Hale {name} file", where)


def schema_of(raw: bytes, path: Path, name: str) -> str:
    """The format and version that the file names. Raises UserError where it is no JSON object."""
    decoder = msgspec.json.Decoder(_Header)
    return decode(raw, decoder, f"not a Hale {name} file", Location(path)).schema


def read(path: Path, name: str, most: int = regular.MOST) -> bytes:
    """The bytes of a regular file, `most` at most. Raises UserError; never waits."""
    try:
        return regular.read_file(path, most)
    except regular.UnfitFile as error:
        raise UserError(
            f"not a Hale {name} file: it is {error}. Name a regular file.", Location(path)
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot read the {name}: {why}. Check the path and its permissions.", Location(path)
        ) from None


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
