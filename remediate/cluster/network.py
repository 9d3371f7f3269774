"""Network: the site's manifest, applied on the first control-plane node. Nodes become
ready once its pods run.

A manifest is applied once, which a note in the cluster records. What differs later, in the file or
in the cluster, is reported and left. Without a note, a manifest of which objects exist is another
program's, or was applied by an earlier Hale: it is left as well.

Source: kubectl-apply(1), "Server-Side Apply".
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts.cluster import manifests, nodes
from hale.install.cluster_context import ClusterContext, documents
from hale.install.phase import Batch, Observations, Phase, PhaseProblem, Probes, Problems, RunScript
from hale.install.secrets import Secret
from hale.inventory.ini import Host
from hale.model.errors import UserError
from remediate.cluster import kubectl, scripts, templates


class PodNetwork(Phase):
    """The pod network's manifest."""

    name = "network"
    title = "Pod network"
    DEPENDS_ON = ("init",)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest was applied, and its objects exist."""
        return object_probes(site, host, (site.cluster.network_manifest,))

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The objects to make, of a manifest that was not applied."""
        return missing_objects(site, observations, (site.cluster.network_manifest,))

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifest since it was applied."""
        return differences(site, observations, (site.cluster.network_manifest,))

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it. `workers` and `ready` wait for its pods."""
        paths = (site.cluster.network_manifest,)
        return (apply_batch(site, observations, "the pod network", paths),)


def images(site: ClusterContext) -> tuple[str, ...]:
    """The images of the network's daemons, which run on every node.

    Only names that contain their registry: containerd resolves those the same for every client.
    """
    made = _made(site, (site.cluster.network_manifest,))
    found = dict.fromkeys(i for one in made if one.get("kind") == "DaemonSet" for i in _images(one))
    return tuple(i for i in found if any(mark in i.partition("/")[0] for mark in ".:"))


def _images(part: object) -> Iterator[str]:
    """The value of every `image` key in a document."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "image" and isinstance(value, str):
                yield value
            yield from _images(value)


# --- shared with addons ---


def object_probes(site: ClusterContext, host: Host, paths: Iterable[Path | None]) -> Probes:
    """Probes for the notes and every object of these manifests, on the first control-plane node."""
    if host is not site.first_control_plane:
        return {}
    address = host.address or host.name
    return {
        nodes.SUBJECT: nodes.probes(address, objects(site, paths)),
        manifests.SUBJECT: (manifests.probe(address),),
    }


def objects(site: ClusterContext, paths: Iterable[Path | None]) -> tuple[nodes.Object, ...]:
    """The objects that the manifests create, without duplicates."""
    return tuple(dict.fromkeys(map(_object, _made(site, paths))))


def _made(site: ClusterContext, paths: Iterable[Path | None]) -> Iterator[dict[str, Any]]:
    """The manifests' objects, in order."""
    for path in paths:
        yield from documents(path, site.files[path]) if path else ()


def _object(document: dict[str, Any]) -> nodes.Object:
    about = document.get("metadata", {})
    return nodes.Object(
        str(document.get("apiVersion", "v1")),
        str(document["kind"]),
        str(about.get("name", "")),
        str(about.get("namespace", "")),
    )


def missing_objects(
    site: ClusterContext, observations: Observations, paths: Iterable[Path | None]
) -> Problems:
    """The objects to make, of those manifests that are not applied yet."""
    name = site.first_control_plane.name
    if not (node_list := nodes.read(observations.of(name, nodes.SUBJECT))).answers:
        return (PhaseProblem(node_list.why, name),)
    return tuple(
        PhaseProblem(f"there is no {o}")
        for manifest in _manifests(site, observations, paths)
        if not manifest.done
        for o in manifest.missing
    ) or tuple(
        PhaseProblem(f"{manifest.path.name} was not applied completely")
        for manifest in _manifests(site, observations, paths)
        if not manifest.done and manifest.note == manifests.APPLYING
    )


def differences(
    site: ClusterContext, observations: Observations, paths: Iterable[Path | None]
) -> Problems:
    """What differs from manifests that are applied: in the file or in the cluster."""
    if not nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT)).answers:
        return ()
    found: list[PhaseProblem] = []
    for manifest in _manifests(site, observations, paths):
        name = manifest.path.name
        if not manifest.done:
            continue
        if manifest.note and manifest.note != manifest.digest:
            found.append(PhaseProblem(f"{name} is not what was applied: it is not applied again"))
        # A Job may be removed by its own time to live.
        found += [
            PhaseProblem(f"there is no {o} of {name}: it is not made again")
            for o in manifest.missing
            if o.kind != "Job"
        ]
    return tuple(found)


@dataclass(frozen=True)
class _Manifest:
    """A manifest and the cluster. note: the cluster's; empty for none. there, missing: objects."""

    path: Path
    digest: str
    note: str
    there: tuple[nodes.Object, ...]
    missing: tuple[nodes.Object, ...]

    @property
    def done(self) -> bool:
        """Whether it was applied before, or by another program. Namespaces alone do not tell."""
        if self.note:
            return self.note != manifests.APPLYING
        return any(o.kind != "Namespace" for o in self.there)


def _manifests(
    site: ClusterContext, observations: Observations, paths: Iterable[Path | None]
) -> tuple[_Manifest, ...]:
    paths = tuple(paths)
    keys = [key(path) for path in paths if path is not None]
    if twice := [one for one in keys if keys.count(one) > 1]:
        raise UserError(f"two manifests have the name {twice[0]} in the cluster: rename one file.")
    name = site.first_control_plane.name
    wanted = objects(site, paths)
    found = nodes.counted(observations.of(name, nodes.SUBJECT), wanted) if wanted else {}
    notes = manifests.read(observations.of(name, manifests.SUBJECT)) if wanted else {}
    return tuple(
        _Manifest(
            path,
            templates.digest(site.files[path]),
            notes.get(key(path), ""),
            tuple(o for o in own if found[o] is not None),
            tuple(o for o in own if found[o] is None),
        )
        for path in paths
        if path is not None
        for own in (objects(site, (path,)),)
    )


def key(path: Path) -> str:
    """The name of the manifest's annotation: Kubernetes, "Labels and Annotations", syntax."""
    return f"manifest-{re.sub('[^A-Za-z0-9.-]', '-', path.name)[:50]}-sha256"


def apply_batch(
    site: ClusterContext, observations: Observations, title: str, paths: Iterable[Path | None]
) -> Batch:
    """Apply the manifests that are not applied yet. They may contain secrets, so they go over
    standard input."""
    host = site.first_control_plane
    return Batch(
        tuple(
            RunScript(
                host.name,
                title,
                scripts.load(
                    "apply_manifest",
                    kubectl=kubectl.shell_command(host),
                    notes=manifests.NAME,
                    key=key(manifest.path),
                    applying=manifests.APPLYING,
                    digest=manifest.digest,
                ),
                Secret(site.text(manifest.path)),
                timeout=120,
            )
            for manifest in _manifests(site, observations, paths)
            if not manifest.done
        )
    )
