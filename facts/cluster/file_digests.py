"""Files that an installation writes: digest, mode and time of change. Not a subject: the install's
phases observe it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, Unreadable
from hale.shell import arguments, load_script

SUBJECT = "written"

_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))


class FileDigest(Struct, frozen=True):
    """sha256: of its content; `other` for what is not a file. changed: seconds since the epoch."""

    sha256: str
    mode: int
    changed: float


def probe(paths: Iterable[str]) -> CommandProbe:
    """The probe for these files."""
    return CommandProbe("files", f"{arguments(*paths)}{_SCRIPT}")


def read(readings: HostView) -> Mapping[str, FileDigest]:
    """The files that exist, by path. Raises Unreadable."""
    found: dict[str, FileDigest] = {}
    for line in readings.output("files").lines:
        sha256, mode, changed, path = (line.split(" ", 3) + [""] * 4)[:4]
        if sha256 == "other":
            found[path] = FileDigest(sha256, 0, 0.0)
            continue
        try:
            found[path] = FileDigest(sha256, int(mode, 8), float(changed))
        except ValueError:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}") from None
    return found
