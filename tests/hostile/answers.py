"""What a host that lies answers: built by the test, byte by byte, in the format of gather.sh."""

import base64
import gzip
from collections.abc import Mapping

NONCE = b"11111111-2222-3333-4444-555555555555"
SENTINEL = b"/proc/sys/kernel/random/uuid"


def frame(letter: str, data: bytes = b"") -> bytes:
    return b"\n%s %s%s" % (NONCE, letter.encode(), b" " + data if data else b"")


def lines_of(path: bytes, content: bytes) -> bytes:
    lines = content.split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    return b"".join(b"%s\0%d:%s\n" % (path, n, line) for n, line in enumerate(lines, 1))


def answer(
    files: Mapping[str, bytes],
    outputs: Mapping[str, bytes] | None = None,
    listed: bytes = b"",
    errors: bytes = b"",
) -> bytes:
    """All frames of an answer with these files and outputs; other commands were killed.

    listed, errors: more records of the list of files, and what find reports besides.
    """
    paths = [path.encode() for path in files]
    parts = [NONCE + b"\n", frame("H") + b"\n", frame("S", b"0\n0\n")]
    records = b"".join(b"%s\0f\0f\0\0" % p + b"1.0\0" * 2 + b"2049\0r\0" for p in paths) + listed
    count = records.count(b"\0") // 8
    parts += [frame("L", b"%d\n" % count) + records, frame("S", b"0\n0\n" + errors)]
    parts += [frame("M") + b"\n"]
    content = b"".join(lines_of(p.encode(), c) for p, c in files.items())
    names = b"".join(p + b"\0" for p in paths) + SENTINEL + b"\0"
    parts += [frame("G") + b"\n" + names + b"\0\n" + content + lines_of(SENTINEL, b"x\n")]
    parts += [frame("S", b"0\n")]
    for name, printed in (outputs or {}).items():
        parts += [frame("C", name.encode() + b"\n" + printed), frame("S", b"0\n")]
    return b"".join([*parts, frame("Z", b"1700000000.5 1.0 2.0\n")])


def packed(answered: bytes, token: str) -> bytes:
    """The answer as it arrives: compressed, between two lines with the token."""
    text = base64.encodebytes(gzip.compress(answered, 1))
    return b"%s\n%s%s\n" % (token.encode(), text, token.encode())
