"""An apt repository of .deb files, flat, signed with a key of the lab's own (apt-secure(8)).

The key is made once in the cache, which only its owner can read there; who has it can sign what
the lab's hosts install, and nothing else in the world believes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hale.shell import load_script, script_with
from lab.build import FULL_DISK, Cache

#: The folder of the repository, below what the lab's web server serves, and its public key there.
FOLDER, KEY = "apt", "key.asc"

#: Whose the signing key is, as gpg knows it.
OWNER = "packages of a lab of Hale"

_HERE = Path(__file__).parent
_MAKE_KEY = script_with(_HERE / "repository_key.sh", owner=OWNER)

_INDEX = load_script(_HERE / "repository_index.sh")


def build_repository(building: Cache, sources: Sequence[Path]) -> Path:
    """A folder with the repository `apt/` of all .deb files in `sources`, made if it is not there.

    Raises LabError if apt-ftparchive or gpg fails.
    """
    key = signing_key(building)

    def make(folder: Path) -> Path:
        served = folder / "served"
        packages = served / FOLDER
        packages.mkdir(parents=True)
        for source in sources:
            for package in source.glob("*.deb"):
                _link(package, packages / package.name)
        shutil.copyfile(key / KEY, packages / KEY)
        building.run(
            ["sh", "-c", _INDEX], served, "making the apt repository", FULL_DISK, {"KEY": str(key)}
        )
        return served

    inputs = {"key": key.name, "index": _INDEX, "sources": [str(source) for source in sources]}
    return building.entry("repository", inputs, make)


def signing_key(building: Cache) -> Path:
    """A folder, for its owner only, with the lab's signing key and `key.asc`, its public half."""

    def make(folder: Path) -> Path:
        building.run(["sh", "-c", _MAKE_KEY], folder, "making the lab's signing key", FULL_DISK)
        return folder / "key"

    return building.entry("key", {"script": _MAKE_KEY}, make)


def _link(source: Path, target: Path) -> None:
    """Cached files never change, so the same bytes may have two names."""
    try:
        os.link(source, target)
    except OSError:  # the disk cannot
        shutil.copyfile(source, target)
