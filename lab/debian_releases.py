"""haproxy and keepalived of every Debian that can be had, to read the files that Hale writes.

Each release is a root file system of these two packages and their dependencies, unpacked and not
installed, in the build cache: some 90 MB each, a minute for all of them. The hosts' own apt chooses
and verifies the packages, from the same mirror as those of Debian 12.
"""

from __future__ import annotations

from pathlib import Path

from hale.shell import script_with
from lab import image
from lab.build import Say, cache_root, open_cache

#: Debian 11 to 14, by the versions of haproxy and keepalived that they have.
RELEASES = {
    "bullseye": ("2.2", "2.1"),
    "bookworm": ("2.6", "2.2"),
    "trixie": ("3.0", "2.3"),
    "forky": ("3.2", "2.3"),
}
#: Not released yet: it may have newer ones.
TESTING = "forky"
PACKAGES = ("haproxy", "keepalived")


def unpack_releases(say: Say) -> Path:
    """A folder with a root for each release, built where the cache has it not.

    Raises LabError if apt cannot get the packages.
    """
    base = image.build_base_images(say).base
    names = {"releases": " ".join(RELEASES), "packages": " ".join(PACKAGES)}
    steps = script_with(Path(__file__).with_suffix(".sh"), **names)
    with open_cache(cache_root() / "releases", say) as building:

        def make(folder: Path) -> Path:
            title = "haproxy and keepalived of Debian 11 to 14"
            return image.build_layer(building, folder, base, steps, title) / "roots"

        return building.entry("releases", {"base": base.name, "steps": steps}, make)
