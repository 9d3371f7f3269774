"""Line edits of a text file, bytes in and bytes out; all other lines stay byte for byte."""

from collections.abc import Iterable

from hale.model.change import AppendLine, LineEdit, ReplaceLine
from hale.redact import redact


class LineMismatch(Exception):
    """A line differs from what the plan expects; the message has its number and both texts."""


def apply_edits(content: bytes, edits: Iterable[LineEdit]) -> bytes:
    """The edited content. Raises LineMismatch where a line is not the one that an edit replaces.

    A replaced line keeps its line ending; added lines get the ending of the file's last line.
    """
    lines = _split(content)
    added: list[str] = []
    for edit in edits:
        if isinstance(edit, AppendLine):
            added.append(edit.text)
            continue
        _replace(lines, edit)
    ending = b"\r\n" if lines and lines[-1].endswith(b"\r\n") else b"\n"
    present = {_text(line) for line in lines}
    for text in dict.fromkeys(added):
        if text in present:
            continue
        if lines and not lines[-1].endswith(b"\n"):
            lines[-1] += ending
        lines.append(text.encode() + ending)
    return b"".join(lines)


def _split(content: bytes) -> list[bytes]:
    """At newlines only: a lone CR or form feed is part of its line."""
    pieces = content.split(b"\n")
    return [p + b"\n" for p in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _replace(lines: list[bytes], edit: ReplaceLine) -> None:
    if not 0 < edit.line <= len(lines):
        raise LineMismatch(f"line {edit.line} is gone; it was {edit.old!r}")
    line = lines[edit.line - 1]
    if redact(_text(line)).strip() != edit.old.strip():
        raise LineMismatch(
            f"line {edit.line} is {redact(_text(line))!r} and no longer {edit.old!r}"
        )
    body = line.rstrip(b"\r\n")
    ending = line[len(body) :]
    between = ending if ending.endswith(b"\n") else b"\n"
    new = edit.new.encode().replace(b"\n", between)
    lines[edit.line - 1] = new.replace(b"{}", body) + ending


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode(errors="backslashreplace")
