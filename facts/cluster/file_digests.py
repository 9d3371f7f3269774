"""Files that an installation writes: digest, mode and time of change. Not a subject: the install's
phases observe it.
"""

import shlex
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "written"

_SCRIPT = """\
command -v sha256sum stat >/dev/null || { echo "coreutils are missing" >&2; exit 127; }
for f in %s; do
  [ -e "$f" ] || continue
  [ -f "$f" ] || { echo "other - - $f"; continue; }
  sum=$(sha256sum <"$f") || exit 3
  echo "${sum%%%% *} $(stat -Lc '%%a %%.Y' -- "$f") $f"
done
"""


class FileDigest(Struct, frozen=True):
    """sha256: of its content; `other` for what is not a file. changed: seconds since the epoch."""

    sha256: str
    mode: int
    changed: float


def probe(paths: Iterable[str]) -> CommandProbe:
    """The probe for these files."""
    return CommandProbe("files", _SCRIPT % " ".join(map(shlex.quote, paths)))


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
