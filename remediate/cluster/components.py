"""What an inventory may ask for besides Kubernetes: a manifest of Hale's own, applied once, and the
workload that the phase waits for. Its image is pinned in components.toml.

Source: distribution's "reference" for names of images.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    WaitForPhase,
)
from hale.inventory.ini import Host
from hale.model.components import AddedComponent
from remediate.cluster import network, templates

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PATIENCE = 300.0  # seconds for the image to be pulled, and the pods to be ready


@dataclass(frozen=True)
class ClusterComponent:
    """One of components.toml.

    workload: what must be ready. template: of its manifest. values: for the template.
    """

    added: AddedComponent
    workload: nodes.Object
    template: str
    values: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What the inventory calls it, and components.toml."""
        return self.added.value

    @property
    def kind(self) -> str:
        """What it is for a cluster, and the variable that asks for it."""
        return self.added.variable

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.added.title

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


class ComponentPhase(Phase):
    """The phase of a component: it applies the manifest where the inventory asks for it."""

    DEPENDS_ON = ("workers",)
    _component: ClassVar[ClusterComponent]

    def skip_reason(self, site: ClusterContext) -> str:
        """Where the inventory asks for none."""
        kind = self._component.kind
        requested = getattr(site.cluster, kind) == self._component.name
        return "" if requested else f"the inventory asks for no {kind}"

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest was applied, and its objects exist."""
        return {} if self.skip_reason(site) else self._component.probes(site, host)

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster without a worker, on which it would run nowhere."""
        if self.skip_reason(site) or site.workers:
            return ()
        one = self._component
        return (
            f"{one.kind}={one.name} needs a worker: {one.title} does not run on control-plane "
            "nodes. Add one to [workers], or remove the line and name a manifest of your own in "
            "addons.",
        )

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied; then pods that are not ready."""
        return () if self.skip_reason(site) else self._component.remaining(site, observations)

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        return () if self.skip_reason(site) else self._component.differences(site, observations)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it, and wait for its pods."""
        return () if self.skip_reason(site) else (self._component.batch(site, observations),)


def _image(site: ClusterContext, name: str) -> str:
    """The component's image, through `image_repository`."""
    pinned: str = _TABLE[name]["image"]
    repository = site.cluster.image_repository
    return f"{repository}/{pinned.rpartition('/')[2]}" if repository else pinned
