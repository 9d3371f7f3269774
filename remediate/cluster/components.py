"""What an inventory may ask for besides Kubernetes: a manifest, applied once, and the workloads
that the phase waits for. The manifest is Hale's own, whose image is pinned in components.toml, or
the site's (`manifest:FILE`).

Source: distribution's "reference" for names of images.
"""

import tomllib
from collections.abc import Iterable, Mapping
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
        return unready(site, observations, (self.workload,))

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
            image=given or image(site, self.name),
            namespace=self.workload.namespace,
            name=self.workload.name,
            **dict(self.values),
        )
        return replace(site, files={**site.files, self.manifest: text.encode()})


@dataclass(frozen=True)
class SiteManifest:
    """A file of the site's in place of one of Hale's. kind: what it is for a cluster."""

    kind: str
    path: Path

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the file was applied, and its objects exist."""
        return network.object_probes(site, host, (self.path,))

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make; then Deployments and DaemonSets whose pods are not ready."""
        if missing := network.missing_objects(site, observations, (self.path,)):
            return missing
        made = network.objects(site, (self.path,))
        return unready(site, observations, tuple(o for o in made if o.kind in _WORKLOADS))

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the file since it was applied."""
        return network.differences(site, observations, (self.path,))

    def batch(self, site: ClusterContext, observations: Observations) -> Batch:
        """Apply it, and wait for its pods."""
        applied = network.apply_batch(site, observations, f"the {self.kind}", (self.path,))
        return replace(applied, wait_for=WaitForPhase(f"{self.path.name} is ready", PATIENCE))


_WORKLOADS = ("Deployment", "DaemonSet")


def unready(
    site: ClusterContext, observations: Observations, workloads: tuple[nodes.Object, ...]
) -> Problems:
    """The workloads that are there, and have pods that are not ready.

    One that is missing after it was applied was removed by the site; `differences` has it.
    """
    readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
    return tuple(
        PhaseProblem(f"{workload}: {count.ready} of {count.wanted} are ready")
        for workload, count in nodes.counted(readings, workloads).items()
        if count and count.ready < max(count.wanted, 1)
    )


class ComponentPhase(Phase):
    """The phase of a component: it applies the manifest where the inventory asks for it."""

    DEPENDS_ON = ("workers",)
    _component: ClassVar[ClusterComponent]
    #: Why values of the inventory install nothing: what is asked for is judged alone.
    _judged: ClassVar[Mapping[str, str]] = {}

    def skip_reason(self, site: ClusterContext) -> str:
        """Where the inventory asks for none, or for one that is not installed."""
        if self._chosen(site):
            return ""
        kind = self._component.kind
        return self._judged.get(getattr(site.cluster, kind), f"the inventory asks for no {kind}")

    def _is_own(self, site: ClusterContext) -> bool:
        """Whether the inventory asks for the one that Hale has a manifest of."""
        return bool(getattr(site.cluster, self._component.kind) == self._component.name)

    def _chosen(self, site: ClusterContext) -> ClusterComponent | SiteManifest | None:
        kind = self._component.kind
        path: Path | None = getattr(site.cluster, f"{kind}_manifest")
        if path is not None:
            return SiteManifest(kind, path)
        return self._component if self._is_own(site) else None

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest was applied, and its objects exist."""
        chosen = self._chosen(site)
        return chosen.probes(site, host) if chosen else {}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster without a worker, on which it would run nowhere."""
        if not self._is_own(site) or site.workers:
            return ()
        one = self._component
        return (
            f"{one.kind}={one.name} needs a worker: {one.title} does not run on control-plane "
            f"nodes. Add one to [workers], or name a file of your own: {one.kind}=manifest:FILE.",
        )

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied; then pods that are not ready."""
        chosen = self._chosen(site)
        return chosen.remaining(site, observations) if chosen else ()

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        chosen = self._chosen(site)
        return chosen.differences(site, observations) if chosen else ()

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it, and wait for its pods."""
        chosen = self._chosen(site)
        return (chosen.batch(site, observations),) if chosen else ()


def image(site: ClusterContext, name: str) -> str:
    """The image of that name in components.toml, through `image_repository`."""
    pinned: str = _TABLE[name]["image"]
    repository = site.cluster.image_repository
    return f"{repository}/{pinned.rpartition('/')[2]}" if repository else pinned
