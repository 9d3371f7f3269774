"""A host's packages, their versions, and whether they are held. Not a subject.

Sources: dpkg-query(1), apt-mark(8); rpm(8) --queryformat.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from facts.parsers.blanks import split_words
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, load_script

SUBJECT = "packages"
Manager = Literal["apt", "dnf"]

_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
CAP_SYS_RESOURCE = 1 << 24  # capabilities(7)
_VERSION = re.compile(r"\d{1,9}[.]\S*", re.ASCII)


class Packages(Struct, frozen=True):
    """versions: of packages that are completely installed. plugins: the folder of CNI plugins.

    capable: the OOM score of processes may be lowered (CAP_SYS_RESOURCE). cgroup: v1, v2, or empty
    where neither is known.
    """

    manager: Manager
    versions: Mapping[str, str] = {}
    held: frozenset[str] = frozenset()
    broken: bool = False  # dpkg was interrupted
    containerd: str = ""  # its version
    plugins: str = ""
    capable: bool = True
    cgroup: str = ""


def probe(names: Iterable[str]) -> CommandProbe:
    """The probe for these packages."""
    return CommandProbe("versions", f"{arguments(*names)}{_SCRIPT}", timeout=20)


@parsed
def read(readings: HostView) -> Packages:
    """The host's packages. Raises Unreadable."""
    lines = readings.output("versions").lines
    manager: Manager = "dnf" if lines[:1] == ["dnf"] else "apt"
    if lines[:1] not in (["apt"], ["dnf"]):
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    versions: dict[str, str] = {}
    held: set[str] = set()
    values: dict[str, str] = {}
    for line in lines[1:]:
        word, _, rest = line.partition(" ")
        if word == "have":
            name, state, *version = split_words(rest)
            # `ii` installed, `hi` installed and held; all others are incomplete or removed.
            if state in ("ii", "hi") and version:
                versions[name] = version[0]
        elif word == "held":
            held.add(rest)
        else:
            values[word] = rest
    containerd = values.get("containerd", "").removeprefix("v")
    if containerd and not _VERSION.fullmatch(containerd):
        raise Unreadable(f"containerd's version is garbled: {containerd[:80]!r}")
    return Packages(
        manager,
        versions,
        frozenset(held),
        "broken" in values,
        containerd,
        values.get("cni", ""),
        bool(int(values.get("capabilities") or "0", 16) & CAP_SYS_RESOURCE),
        values.get("cgroup", ""),
    )
