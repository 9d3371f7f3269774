"""Karmada, for clusters with a federation: its images, and the definitions of its kinds.

Both come from its Go module. A site has the definitions from the release's crds.tar.gz, which has
the same files.
"""

from __future__ import annotations

from pathlib import Path

from lab.build import Say, cache_root, open_cache
from lab.mirror import binaries, golang, images

#: The file of definitions, in the lab's folder, beside the inventory that names it.
DEFINITIONS = "karmada-crds.yaml"
VARIABLES = {"federation": "karmada", "federation_crds": DEFINITIONS}

_MODULE = "github.com/karmada-io/karmada"


def build_programs(say: Say) -> tuple[Path, Path]:
    """The folder of its programs, and the file of definitions, built if they are not there.

    They have a cache of their own, so that other labs do not wait for the build: five CPU minutes.
    Raises LabError.
    """
    with open_cache(cache_root() / "karmada", say) as building:
        programs = golang.build_module(building, binaries.KARMADA)

        def make(folder: Path) -> Path:
            module = golang.download_module(building, binaries.KARMADA, _MODULE, folder)
            texts = [p.read_text() for p in sorted(module.glob("charts/karmada/_crds/bases/*/*"))]
            (folder / DEFINITIONS).write_text("---\n".join(text.strip() + "\n" for text in texts))
            return folder

        inputs: dict[str, object] = {"recipe": 1, "version": binaries.KARMADA_VERSION}
        return programs, building.entry("karmada-crds", inputs, make) / DEFINITIONS


def its_images(programs: Path) -> list[images.Image]:
    """Its images under the names that `invoke install` gives them: a program each."""
    return [
        images.Image(
            f"{images.KUBERNETES}/{name}:v{binaries.KARMADA_VERSION}",
            (f"/bin/{name}",),
            ((programs / name, f"bin/{name}"),),
        )
        for name in binaries.KARMADA_IMAGES
    ]


def is_served(state: Path) -> bool:
    """Whether this lab has it."""
    return (state / DEFINITIONS).exists()
