"""SHA256SUMS: the digest of every file of a run's folder, written as the run's last act.

The format is that of sha256sum(1), so that `sha256sum -c SHA256SUMS` in the folder reads it too:
`<64 hex digits>  <path>`, sorted by path. A line of a path with a newline, carriage return or
backslash begins with a backslash, and the path has `\\n`, `\\r`, `\\\\` in their place (coreutils
manual, "md5sum invocation").
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from pathlib import Path

from msgspec import Struct

from hale.files import atomic, regular, versioned
from hale.model.errors import Location, UserError

NAME = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
MOST = 64 * regular.MIB
_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  (.+)")
_ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}
_UNESCAPES = {escape: byte for byte, escape in _ESCAPES.items()}


class FileState(Enum):
    """How a file of the folder differs from the manifest. UNFIT: no regular file."""

    CHANGED = auto()
    MISSING = auto()
    ADDED = auto()
    UNFIT = auto()


class FileDifference(Struct, frozen=True):
    """A file that is not as the manifest has it. path: below the folder. kind: what is UNFIT."""

    path: str
    state: FileState
    kind: str = ""


def write(folder: Path) -> None:
    """Write the manifest of the folder as it is now.

    Raises UserError: a file cannot be read or written, or is no regular one.
    """
    with _readable(folder):
        files, unfit = _scan(folder)
        lines = [_line(path, _digest(folder / path)) for path in sorted(files, key=os.fsencode)]
    for one in unfit:
        raise UserError(f"it is {one.kind}: a run has files only.", Location(folder / one.path))
    atomic.write(folder / NAME, b"".join(lines))


def read(folder: Path) -> bytes:
    """The manifest's content. Raises UserError where it is no regular file or cannot be read."""
    return versioned.read(folder / NAME, "manifest", MOST)


def differences(folder: Path, manifest: bytes) -> list[FileDifference]:
    """The files that are not as the manifest has them, by path; empty if all are.

    Symbolic links are not followed. Raises UserError for a manifest that is none, with the line,
    and for a file that cannot be read.
    """
    stated = _parse(manifest, folder / NAME)
    with _readable(folder):
        found, unfit = _scan(folder)
        present = set(found)
        changed = {path for path in present & set(stated) if _digest(folder / path) != stated[path]}
    missing = set(stated) - present - {one.path for one in unfit}
    groups = {
        FileState.ADDED: present - set(stated),
        FileState.MISSING: missing,
        FileState.CHANGED: changed,
    }
    differ = [FileDifference(path, state) for state, paths in groups.items() for path in paths]
    return sorted([*unfit, *differ], key=lambda one: os.fsencode(one.path))


def count(manifest: bytes) -> int:
    """The number of files that it lists."""
    return manifest.count(b"\n")


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """An OSError becomes a UserError."""
    try:
        yield
    except OSError as error:
        where = Location(Path(os.fsdecode(error.filename or folder)))
        raise UserError(f"cannot be read: {error.strerror}.", where) from None


def _scan(folder: Path) -> tuple[list[str], list[FileDifference]]:
    """The regular files below the folder but the manifest and its signature, and the others."""
    files: list[str] = []
    unfit: list[FileDifference] = []
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                path = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                elif kind := regular.kind_of(entry.stat(follow_symlinks=False).st_mode):
                    unfit.append(FileDifference(path, FileState.UNFIT, kind))
                elif path not in (NAME, SIGNATURE):
                    files.append(path)
    return files, unfit


def _digest(path: Path) -> str:
    """The SHA-256 in hex. Raises OSError; UserError if it has become no regular file."""
    try:
        with regular.open_file(path, follow=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except regular.UnfitFile as error:
        raise UserError(f"it is {error}: a run has files only.", Location(path)) from None


def _line(path: str, digest: str) -> bytes:
    raw = os.fsencode(path)
    escaped = re.sub(rb"[\\\n\r]", lambda m: _ESCAPES[m[0]], raw)
    mark = b"\\" if escaped != raw else b""
    return mark + digest.encode() + b"  " + escaped + b"\n"


def _parse(manifest: bytes, where: Path) -> Mapping[str, str]:
    """The digests by path. Raises UserError with the line."""
    stated: dict[str, str] = {}
    *lines, rest = manifest.split(b"\n")
    if rest or not lines:
        raise UserError("it is no complete manifest: its last line has no end.", Location(where))
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        path = _path(found[3], escaped=bool(found[1])) if found else None
        if not found or path is None:
            raise UserError("no line of a manifest of a run.", Location(where, number))
        if path in stated:
            raise UserError(f"{path!r} stands here twice.", Location(where, number))
        stated[path] = found[2].decode()
    return stated


def _path(raw: bytes, *, escaped: bool) -> str | None:
    """The path of a line; None if no file of a run is there."""
    if escaped:
        raw = re.sub(rb"\\.", lambda m: _UNESCAPES.get(m[0], b"\0"), raw)
    path = os.fsdecode(raw)
    outside = {"", ".", ".."} & set(path.split("/"))
    return None if "\0" in path or outside or path in (NAME, SIGNATURE) else path
