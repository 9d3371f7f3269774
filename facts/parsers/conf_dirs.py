"""Configuration folders that override and sort each other's files: sysctl.d, modprobe.d and others.

Sources: sysctl.d(5) and modules-load.d(5), "CONFIGURATION DIRECTORIES AND PRECEDENCE";
modprobe.d(5); systemd's src/basic/conf-files.c.
"""

from collections.abc import Sequence
from posixpath import basename, dirname, join, normpath

from hale.model.evidence import File

# Highest priority first. On hosts with a merged /usr the last two are one folder, which
# changes nothing: a file hides its namesake in later folders, and there it hides itself.
PARENTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


def patterns(folder: str, suffix: str = ".conf") -> tuple[str, ...]:
    """Patterns of the files of `sysctl.d`, `modprobe.d`, …, by priority."""
    return tuple(f"{parent}/{folder}/*{suffix}" for parent in PARENTS)


def effective(files: Sequence[File]) -> list[File]:
    """For each name, the file in the folder of highest priority, in reading order.

    Only names decide the order, not folders. A link to /dev/null, a dangling link and a directory
    hide their namesakes too, but are left out themselves.
    """
    chosen: dict[str, File] = {}
    for file in files:
        chosen.setdefault(name_of(file), file)
    return [chosen[n] for n in sorted(chosen) if chosen[n].kind == "f" and not chosen[n].masked]


def persistent(files: Sequence[File]) -> list[File]:
    """The files outside /run, which is empty after a boot unless a program fills it again."""
    return [file for file in files if not volatile(file.path)]


def volatile(path: str) -> bool:
    """Whether this path does not survive a boot."""
    return path.startswith("/run/")


def name_of(file: File) -> str:
    """The file's name without its folder."""
    return file.path.rpartition("/")[2]


def name_of_path(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def leads_to(file: File) -> str:
    """The absolute path of a link's target; the file's own path if it is not a link."""
    return file.path if file.target is None else normpath(join(dirname(file.path), file.target))


def is_editable(path: str) -> bool:
    """Whether a site may edit this file: neither a package's file nor lost after a boot."""
    return path.startswith("/etc/")


def sorts_after(path: str, other: str) -> str:
    """A path in the folder of `path` that sorts after the name of `other`, in whatever folder."""
    stem = basename(other).removesuffix(".conf")
    return join(dirname(path), f"{stem}.{basename(path)}")


def writable_location(files: Sequence[File], path: str) -> str | None:
    """The file to add a line to: `path` or one beside it, links resolved; None without one.

    A file is not created where it would hide a package's file of that name, and not edited where
    it is a mask, leads out of /etc or is not a regular file.
    """
    for name in (path, sorts_after(path, path)):
        own = next((f for f in files if f.path == name), None)
        if own is None and all(name_of(f) != basename(name) for f in files):
            return name
        if own and own.kind == "f" and not own.masked and is_editable(leads_to(own)):
            return leads_to(own)
    return None
