"""Configuration folders that hide and sort each other's files: sysctl.d, modprobe.d and the like.

Sources: sysctl.d(5) and modules-load.d(5), "CONFIGURATION DIRECTORIES AND PRECEDENCE";
modprobe.d(5); systemd's src/basic/conf-files.c.
"""

from collections.abc import Sequence
from posixpath import dirname, join, normpath

from hale.fact import File

# Highest priority first. On hosts with a merged /usr the last two are one folder, which
# changes nothing: a file hides its namesake in later folders, and there it hides itself.
PARENTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


def patterns(folder: str, suffix: str = ".conf") -> tuple[str, ...]:
    """Where the files of `sysctl.d`, `modprobe.d`, … lie, by priority."""
    return tuple(f"{parent}/{folder}/*{suffix}" for parent in PARENTS)


def in_force(files: Sequence[File]) -> list[File]:
    """One file a name, from the folder of the highest priority, in the order they are read.

    The names alone decide the order, not the folders. A link to /dev/null, a dangling link
    and a directory hide their namesakes too, but have nothing to say themselves.
    """
    chosen: dict[str, File] = {}
    for file in files:
        chosen.setdefault(name_of(file), file)
    return [chosen[n] for n in sorted(chosen) if chosen[n].kind == "f" and not chosen[n].masked]


def lasting(files: Sequence[File]) -> list[File]:
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
