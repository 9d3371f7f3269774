"""Who runs Hale, from where, and with which versions."""

import getpass
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from hale.files import regular
from hale.paths import ROOT

PACKAGES = ("pytest", "pytest-testinfra", "pytest-xdist", "pytest-html", "invoke", "msgspec")
PROGRAM = ("hale", "facts", "remediate", "standard")
PROGRAM_KINDS = (".py", ".sh", ".toml", ".in", ".j2", ".jinja2")


def operator() -> str:
    """The login name of the operator, also under sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def control_host() -> str:
    """The name of the machine that runs Hale."""
    return platform.node()


def version() -> str:
    """Hale's version, from pyproject.toml."""
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version"):
            return line.partition("=")[2].strip(' "')
    return ""


def program_sha256(root: Path = ROOT) -> str:
    """The SHA-256 of the files that determine what Hale does to hosts, their paths included.

    The version is the same from one release to the next.
    """
    digest = hashlib.sha256()
    names = (p.relative_to(root) for room in PROGRAM for p in (root / room).rglob("*"))
    for name in sorted(p.as_posix() for p in names if p.suffix in PROGRAM_KINDS):
        raw = (root / name).read_bytes()
        digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    return digest.hexdigest()


def packages() -> dict[str, str]:
    """The versions of the packages that affect a run."""
    # metadata.version() would parse the long descriptions too, which takes longer than a test.
    found = {}
    for name in PACKAGES:
        text = metadata.distribution(name).read_text("METADATA") or ""
        found[name] = text.partition("\nVersion: ")[2].partition("\n")[0].strip()
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex; "" if it cannot be read."""
    try:
        return hashlib.sha256(regular.read_file(path)).hexdigest()
    except (OSError, regular.UnfitFile):
        return ""


class GitRevision:
    """The tree's git revision, read in the background: git takes longer than a test."""

    def __init__(self, root: Path = ROOT) -> None:
        command = [
            "git",
            "--no-optional-locks",
            "-C",
            str(root),
            "describe",
            "--always",
            "--abbrev=40",
            "--dirty",
        ]
        try:
            self._git: subprocess.Popen[str] | None = subprocess.Popen(
                [*command, "--exclude=*"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            self._git = None
        self._text: str | None = None

    def __str__(self) -> str:
        """For example `3f2a…-dirty`; "" outside a git checkout."""
        if self._text is None:
            self._text = self._git.communicate()[0].strip() if self._git else ""
        return self._text
