"""What an inventory may ask for besides Kubernetes: a manifest of Hale's own, applied once, and the
workload that the phase waits for. Its image is pinned in components.toml.

Source: distribution's "reference" for names of images.
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Batch, Observations, PhaseProblem, Probes, Problems, WaitForPhase
from hale.inventory.ini import Host
from remediate.cluster import network, templates

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PATIENCE = 300.0  # seconds for the image to be pulled, and the pods to be ready


@dataclass(frozen=True)
class ClusterComponent:
    """One of components.toml.

    kind: what it is for a cluster, and the variable that asks for it; title: its name for people.
    workload: what must be ready. template: of its manifest. values: for the template.
    """

    name: str
    kind: str
    title: str
    workload: nodes.Object
    template: str
    values: tuple[tuple[str, str], ...] = ()

    @property
    def manifest(self) -> Path:
        """Its name in the cluster's notes (facts/cluster/manifests.py)."""
        return Path(f"hale-{self.kind}-{self.name}.yaml")

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest was applied, and its objects exist."""
        return network.object_probes(self._with_manifest(site), host, (self.manifest,))

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied; then pods that are not ready."""
        made = self._with_manifest(site)
        if missing := network.missing_objects(made, observations, (self.manifest,)):
            return missing
        readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
        count = nodes.counted(readings, (self.workload,))[self.workload]
        # One that is missing after it was applied was removed by the site; `differences` has it.
        if count and count.ready < max(count.wanted, 1):
            return (PhaseProblem(f"{self.workload}: {count.ready} of {count.wanted} are ready"),)
        return ()

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        return network.differences(self._with_manifest(site), observations, (self.manifest,))

    def batch(self, site: ClusterContext, observations: Observations) -> Batch:
        """Apply it, and wait for its pods."""
        made = self._with_manifest(site)
        applied = network.apply_batch(made, observations, f"the {self.kind}", (self.manifest,))
        return replace(applied, wait_for=WaitForPhase(f"{self.title} is ready", PATIENCE))

    def _with_manifest(self, site: ClusterContext) -> ClusterContext:
        """The site with this manifest among its files."""
        given: str = getattr(site.cluster, f"{self.kind}_image")
        text = templates.render(
            self.template,
            image=given or _image(site, self.name),
            namespace=self.workload.namespace,
            name=self.workload.name,
            **dict(self.values),
        )
        return replace(site, files={**site.files, self.manifest: text.encode()})


def _image(site: ClusterContext, name: str) -> str:
    """The component's image, through `image_repository`."""
    pinned: str = _TABLE[name]["image"]
    repository = site.cluster.image_repository
    return f"{repository}/{pinned.rpartition('/')[2]}" if repository else pinned
