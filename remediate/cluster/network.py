"""Network: the site's manifest, applied on the first control-plane node. Nodes become
ready once its pods run.

Source: kubectl-apply(1), "Server-Side Apply".
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from facts.cluster import nodes
from hale.install.cluster_context import ClusterContext, documents
from hale.install.phase import Batch, Observations, Phase, PhaseProblem, Probes, Problems, RunScript
from hale.install.secrets import Secret
from hale.inventory.ini import Host
from remediate.cluster import kubectl


class PodNetwork(Phase):
    """The pod network's manifest."""

    name = "network"
    title = "Pod network"
    DEPENDS_ON = ("init",)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Whether the manifest's objects exist."""
        return object_probes(site, host, (site.cluster.network_manifest,))

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The manifest's objects that do not exist."""
        return missing_objects(site, observations, (site.cluster.network_manifest,))

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Apply it. `workers` and `ready` wait for its pods."""
        return (apply_batch(site, "the pod network", (site.cluster.network_manifest,)),)


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
    """Probes for every object of these manifests, on the first control-plane node."""
    if host is not site.first_control_plane:
        return {}
    return {nodes.SUBJECT: nodes.probes(host.address or host.name, objects(site, paths))}


def objects(site: ClusterContext, paths: Iterable[Path | None]) -> tuple[nodes.Object, ...]:
    """The objects that the manifests create, without duplicates."""
    return tuple(dict.fromkeys(map(_object, _made(site, paths))))


def _made(site: ClusterContext, paths: Iterable[Path | None]) -> Iterator[dict[str, Any]]:
    """The manifests' objects, in order; those of a List one by one."""
    for path in paths:
        for document in documents(path, site.files[path]) if path else ():
            yield from document.get("items", [document])


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
    """The manifests' objects that do not exist."""
    readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
    node_list = nodes.read(readings)
    if not node_list.answers:
        return (PhaseProblem(node_list.why, site.first_control_plane.name),)
    wanted = objects(site, paths)
    if not wanted:
        return ()
    found = nodes.counted(readings, wanted)
    return tuple(PhaseProblem(f"there is no {o}") for o, count in found.items() if count is None)


def apply_batch(site: ClusterContext, title: str, paths: Iterable[Path | None]) -> Batch:
    """Apply the manifests. They may contain secrets, so they go over standard input."""
    texts = [site.text(path) for path in paths if path is not None]
    command = kubectl.shell_command(site.first_control_plane)
    apply = f"{command} apply --server-side --force-conflicts -f /dev/stdin"
    script = "given=$(cat)\n" + kubectl.retrying(f'printf "%s\\n" "$given" | {apply}')
    return Batch(
        (
            RunScript(
                site.first_control_plane.name,
                title,
                script,
                Secret("\n---\n".join(texts)),
                timeout=120,
            ),
        )
    )
