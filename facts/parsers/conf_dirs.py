"""Configuration folders that hide and sort each other's files: sysctl.d, modprobe.d and the like.

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
    """Where the files of `sysctl.d`, `modprobe.d`, … lie, by priority."""
    return tuple(f"{parent}/{folder}/*{suffix}" for parent in PARENTS)


def effective(files: Sequence[File]) -> list[File]:
    """One file a name, from the folder of the highest priority, in the order they are read.

    The names alone decide the order, not the folders. A link to /dev/null, a dangling link
    and a directory hide their namesakes too, but have nothing to say themselves.
    """
    chosen: dict[str, File] = {}
    for file in files:
        chosen.setdefault(name_of(file), file)
    return [chosen[n] for n in sorted(chosen) if chosen[n].kind == "f" and not chosen[n].masked]


def persistent(files: Sequence[File]) -> list[File]:
    """Without those of /run, which is empty after a boot unless something fills it again."""
    return [file for file in files if not volatile(file.path)]


def volatile(path: str) -> bool:
    """Whether this path is gone after a boot."""
    return path.startswith("/run/")


def name_of(file: File) -> str:
    """The file's name without its folder."""
    return file.path.rpartition("/")[2]


def leads_to(file: File) -> str:
    """The path that a link names, made absolute; the file's own path if it is no link."""
    return file.path if file.target is None else normpath(join(dirname(file.path), file.target))


def is_editable(path: str) -> bool:
    """Whether a site may edit this file: neither a package's own nor gone after a boot."""
    return path.startswith("/etc/")


def sorts_after(path: str, other: str) -> str:
    """A name in the folder of `path` that is read after its namesake `other`, wherever it lies."""
    stem = basename(other).removesuffix(".conf")
    return join(dirname(path), f"{stem}.{basename(path)}")


def writable_location(files: Sequence[File], path: str) -> str | None:
    """The file that takes a new line for `path`: itself, or one beside it, by its own path.

    It is not made where it would hide a package's file of that name, and not written to where
    it is a mask, leads out of /etc or is no file. None where nothing is free.
    """
    for name in (path, sorts_after(path, path)):
        own = next((f for f in files if f.path == name), None)
        if own is None and all(name_of(f) != basename(name) for f in files):
            return name
        if own and own.kind == "f" and not own.masked and is_editable(leads_to(own)):
            return leads_to(own)
    return None
