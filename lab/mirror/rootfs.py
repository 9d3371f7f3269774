"""A small root file system out of the hosts' Debian: some packages, with all they depend on.

Nothing is downloaded; files, links and alternatives are taken as dpkg left them there.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

#: What kube-proxy and the lab's network call: rule sets, connections, routes, and a shell.
PACKAGES = ("iptables", "nftables", "conntrack", "ipset", "kmod", "iproute2", "dash", "coreutils")

#: Dependencies that only a package's installation needs, and folders that no program reads.
_NOT_NEEDED = {"debconf", "perl-base", "init-system-helpers", "dpkg"}
_UNREAD = re.compile(r"usr/share/(doc|man|info|locale|lintian|bug|bash-completion|doc-base)/")


def write(base: Path, tar: tarfile.TarFile) -> None:
    """Add the root file system to an archive; `base` is the hosts' Debian."""
    for name in ("bin", "sbin", "lib", "lib64"):  # links into usr/ (merged-usr)
        tar.add(base / name, name, recursive=False, filter=_timeless)
    for folder in ("etc", "proc", "run", "sys", "tmp", "var"):
        tar.add(base / folder, folder, recursive=False, filter=_timeless)
    for path in sorted(set(_files(base))):
        tar.add(base / path, path, recursive=False, filter=_timeless)


def _files(base: Path) -> Iterator[str]:
    """The paths of the files of all packages needed, and the alternatives that lead to them."""
    needed = _closure(base)
    info = base / "var/lib/dpkg/info"
    for name in needed:
        lists = [*info.glob(f"{name}.list"), *info.glob(f"{name}:*.list")]
        for line in lists[0].read_text().splitlines():
            path = line.removeprefix("/").removeprefix("./")
            if path and path != "." and not _UNREAD.match(f"{path}/"):
                yield str(_plain(base, path))
    for alternative in (base / "etc/alternatives").iterdir():
        target = alternative.readlink() if alternative.is_symlink() else None
        if target and _UNREAD.match(str(target).removeprefix("/")) is None:
            yield f"etc/alternatives/{alternative.name}"
    for folder in ("usr/bin", "usr/sbin"):
        for link in (base / folder).iterdir():
            if link.is_symlink() and str(link.readlink()).startswith("/etc/alternatives/"):
                yield f"{folder}/{link.name}"


def _plain(base: Path, path: str) -> Path:
    """The path without the links of merged-usr: bin/sh is usr/bin/sh."""
    first, _, rest = path.partition("/")
    top = base / first
    return Path(top.readlink(), rest) if top.is_symlink() else Path(path)


def _closure(base: Path) -> set[str]:
    """The packages and their dependencies, by dpkg's status file (deb822(5))."""
    depends: dict[str, list[str]] = {}
    for stanza in (base / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        if fields:
            text = f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}"
            depends[fields["Package"]] = [
                re.split(r"[ :(]", choice.strip(), maxsplit=1)[0]
                for group in text.split(",")
                for choice in group.split("|")
                if choice.strip()
            ]
    found: set[str] = set()
    pending = [name for name in PACKAGES if name in depends]
    while pending:
        name = pending.pop()
        if name not in found and name in depends and name not in _NOT_NEEDED:
            found.add(name)
            pending.extend(depends[name])
    return found


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same files make the same archive, whenever it is made."""
    member.mtime = 0
    member.uname = member.gname = ""
    return member
