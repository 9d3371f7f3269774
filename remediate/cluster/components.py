"""The images of what an inventory may ask for besides Kubernetes: components.toml.

Source: distribution's "reference" for names of images.
"""

import tomllib
from pathlib import Path

from hale.install.cluster_context import ClusterContext

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def image(site: ClusterContext, name: str, given: str) -> str:
    """The component's image: the given one, else components.toml's, through `image_repository`."""
    if given:
        return given
    pinned: str = _TABLE[name]["image"]
    repository = site.cluster.image_repository
    return f"{repository}/{pinned.rpartition('/')[2]}" if repository else pinned
