"""Network: the site's manifest, applied on the first master. The nodes become ready by it.

Source: kubectl-apply(1), "Server-Side Apply".
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from facts import nodes
from hale.install.site import Site, documents
from hale.install.step import Asked, Run, Secret, Seen, Wave
from hale.inventory import Host
from remediate.cluster import kubectl

TITLE = "Pod network"
NEEDS = ("init",)

# Kinds that belong to no namespace: kubectl-api-resources(1) `--namespaced=false`.
CLUSTER_WIDE = (
    "apiservice",
    "clusterrole",
    "clusterrolebinding",
    "customresourcedefinition",
    "ingressclass",
    "mutatingwebhookconfiguration",
    "namespace",
    "priorityclass",
    "storageclass",
    "validatingwebhookconfiguration",
)


def probes(site: Site, host: Host) -> Asked:
    """Whether the manifest's objects are there."""
    return asked(site, host, (site.cluster.network_manifest,))


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """The manifest's objects that are not there."""
    return absent(site, seen, (site.cluster.network_manifest,))


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Apply it; that they are ready is waited for once all nodes are there."""
    return (applied(site, "the pod network", (site.cluster.network_manifest,)),)


# --- what addons do as well ---


def asked(site: Site, host: Host, paths: Iterable[Path | None]) -> Asked:
    """The first master is asked for every object of these manifests."""
    if host is not site.first:
        return {}
    wanted = objects(site, paths)
    return {nodes.SUBJECT: (nodes.probe(host.address or host.name, wanted),)}


def objects(site: Site, paths: Iterable[Path | None]) -> tuple[str, ...]:
    """What the manifests make, as NAMESPACE/KIND/NAME."""
    found: list[str] = []
    for path in paths:
        if path is not None:
            for document in documents(path, site.texts[path]):
                found += map(_object, document.get("items", [document]))
    return tuple(dict.fromkeys(found))


def _object(document: dict[str, Any]) -> str:
    about = document.get("metadata", {})
    kind = str(document["kind"]).lower()
    group, _, version = str(document.get("apiVersion", "")).rpartition("/")
    # By group too: kinds of add-ons may be called as kinds of Kubernetes are.
    typed = f"{kind}.{version}.{group}" if group and "." in group else kind
    space = "-" if kind in CLUSTER_WIDE else about.get("namespace", "default")
    return f"{space}/{typed}/{about.get('name', '')}"


def absent(site: Site, seen: Seen, paths: Iterable[Path | None]) -> tuple[str, ...]:
    """The manifests' objects that are not there."""
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return (f"{site.first.name}: {told.why}",)
    return tuple(f"there is no {o}" for o in objects(site, paths) if _bare(o) not in told.objects)


def _bare(name: str) -> str:
    """An object's name as the apiserver says it, without version and group."""
    space, kind, called = name.split("/", 2)
    return f"{space}/{kind.partition('.')[0]}/{called}"


def applied(site: Site, title: str, paths: Iterable[Path | None]) -> Wave:
    """Apply the manifests, which may hold secrets, by standard input."""
    texts = [site.text(path) for path in paths if path is not None]
    apply = f"{kubectl.of(site.first)} apply --server-side --force-conflicts -f /dev/stdin"
    script = "given=$(cat)\n" + kubectl.tried_again(f'printf "%s\\n" "$given" | {apply}')
    return Wave((Run(site.first.name, title, script, Secret("\n---\n".join(texts)), timeout=120),))
