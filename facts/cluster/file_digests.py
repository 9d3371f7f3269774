"""Files that an installation writes: digest, mode, time of change, and whose they are. Not a
subject: the install's phases observe it.

A file is Hale's if its content is one that Hale has written: of each, the host keeps the digest
(WRITTEN). An earlier Hale kept none; its files begin with `# written by Hale`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from hale.inventory.cluster_spec import KUBELET, WRITTEN
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, script_with

SUBJECT = "written"
JOINED = "joined"  # the line that says that the host has joined a cluster

_SCRIPT = script_with(Path(__file__).with_suffix(".sh"), written=WRITTEN, kubelet=KUBELET)


class FileDigest(Struct, frozen=True):
    """sha256: of its content; `other` for what is not a file. changed: seconds since the epoch.

    by_hale: Hale has written this content; false where it was edited since.
    """

    sha256: str
    mode: int
    changed: float
    by_hale: bool = False


def probe(paths: Iterable[str]) -> CommandProbe:
    """The probe for these files."""
    return CommandProbe("files", f"{arguments(*paths)}{_SCRIPT}")


@parsed
def read(readings: HostView) -> Mapping[str, FileDigest]:
    """The files that exist, by path. Raises Unreadable."""
    found: dict[str, FileDigest] = {}
    lines = readings.output("files").lines
    by_hale = {line.removeprefix("hale ") for line in lines if line.startswith("hale ")}
    for line in lines:
        if line == JOINED or line.startswith("hale "):
            continue
        sha256, mode, changed, path = (line.split(" ", 3) + [""] * 4)[:4]
        if sha256 == "other":
            found[path] = FileDigest(sha256, 0, 0.0)
            continue
        try:
            found[path] = FileDigest(sha256, int(mode, 8), float(changed), path in by_hale)
        except ValueError:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}") from None
    return found


@parsed
def joined(readings: HostView) -> bool:
    """Whether the host has joined a cluster: the kubelet has its kubeconfig. Raises Unreadable."""
    return JOINED in readings.output("files").lines
