"""Reads files of a host, all by one command."""

import base64
import shlex
from collections.abc import Iterable

from hale.shell import load_script
from hale.ssh.remote import HERE, PRELUDE
from hale.ssh.session import Session

TIMEOUT = 120.0  # seconds


class FileUnreadable(Exception):
    """A file that is there cannot be read, or none could be; the text is the host's."""


def read_files(
    session: Session, paths: Iterable[str]
) -> "dict[str, bytes | FileUnreadable | None]":
    """The bytes of each file; None where there is none.

    Raises FileUnreadable where nothing could be read, and what Session.run raises.
    """
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return {}
    calls = "".join(f"read_file {shlex.quote(path)}\n" for path in wanted)
    script = PRELUDE + load_script(HERE / "read_files.sh") + calls
    done = session.run("exec /bin/sh", TIMEOUT, script.encode())
    if done.exit_status:
        raise FileUnreadable(failure_text(done.exit_status, done.stderr))
    found: dict[str, bytes | FileUnreadable | None] = {}
    try:
        for path, line in zip(wanted, done.stdout.decode().splitlines(), strict=True):
            kind, content = line[:1], base64.b64decode(line[1:], validate=True)
            found[path] = {"-": None, "+": content}.get(kind, FileUnreadable(stderr_text(content)))
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are such
        raise FileUnreadable(
            f"{session.target.name} did not answer with the bytes of files ({error}): see whether "
            "base64 there is the distribution's"
        ) from None
    return found


def failure_text(status: int, stderr: bytes) -> str:
    """The error output of a command that failed, or its exit status."""
    return stderr_text(stderr) or f"exit status {status}, and no message"


def stderr_text(stderr: bytes) -> str:
    """The last lines of standard error, with a hint where there is one."""
    lines = stderr.decode(errors="backslashreplace").strip().splitlines()
    text = "; ".join(lines[-3:])
    for words, hint in _HINTS.items():
        if words in text:
            return f"{text} ({hint})"
    return text


_HINTS = {
    "Operation not permitted": "an immutable file has the letter i or a in `lsattr`: find out "
    "who made it so, `chattr -i -a`, and plan again",
    "Device or resource busy": "it is mounted there by itself (`findmnt`): change it where it "
    "comes from",
    "Read-only file system": "see why: `findmnt`, `dmesg`; remount it and plan again",
    "No space left": "make room (`df -h`, `df -i`) and plan again; the old file is untouched",
}
