"""Federation: Karmada's control plane in the cluster that is its host.

Four parts, each made once: certificates and kubeconfigs as Secrets; Karmada's own etcd and
apiserver; the kinds of Karmada and its webhooks, as objects of that apiserver; its controllers,
which end themselves where their kinds are not known. All but the Secrets are manifests, noted in
the cluster as those of the site are (network.py). The kinds are the site's file: they are Karmada's
own, and 700 kB.

A namespace in which another program has installed Karmada is not touched.

Sources: Karmada's release, artifacts/deploy and hack/deploy-karmada.sh; karmada.io, "Installation";
etcd.io, "Transport security model"; kubernetes.io, "Volumes", local and hostPath.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from facts.cluster import leftovers, manifests, nodes
from hale.install.cluster_context import ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    WaitFor,
    WaitForPhase,
)
from hale.install.secrets import Secret
from hale.inventory.cluster_spec import NO_FEDERATION
from hale.inventory.ini import Host
from hale.model.components import FEDERATION
from remediate.cluster import components, kubectl, network, scripts, templates

PATIENCE = 300.0  # seconds for images to be pulled, and pods to be ready
DAYS = 3650  # for which certificates are valid, as those of Karmada's own scripts are
MEMBERS = 3  # of etcd
_MEMORY = "/run"  # where keys are files for a moment: a file system in memory
_SPACE = FEDERATION.namespace
# Their names in the cluster's notes.
BASE, OBJECTS, CONTROLLERS = (
    Path(f"hale-federation-{part}.yaml") for part in ("karmada", "objects", "controllers")
)
#: The Secret that is made last: it has the authorities' keys.
AUTHORITIES = nodes.Object("v1", "Secret", "karmada-authorities", _SPACE)
_ETCD = nodes.Object("apps/v1", "StatefulSet", "karmada-etcd", _SPACE)
_BASE, _CONTROLLERS = (
    tuple(nodes.Object("apps/v1", "Deployment", f"karmada-{name}", _SPACE) for name in names)
    for names in (
        ("apiserver", "aggregated-apiserver"),
        ("webhook", "controller-manager", "scheduler", "kube-controller-manager"),
    )
)
_IMAGES = (
    "kube-apiserver",
    "kube-controller-manager",
    "etcd",
    "karmada-aggregated-apiserver",
    "karmada-webhook",
    "karmada-controller-manager",
    "karmada-scheduler",
)
#: The kinds of which an older version is served, which the webhook converts.
_CONVERTED = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io")
_WEBHOOKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)


class Federation(Phase):
    """Karmada, where the inventory names its kinds."""

    name = "federation"
    title = "Federation"
    DEPENDS_ON = ("workers",)
    REMEDIATES = frozenset({"CMP-FEDERATION"})

    def skip_reason(self, site: ClusterContext) -> str:
        """Where the inventory asks for none, or does not name the file of its kinds."""
        if site.cluster.federation == NO_FEDERATION:
            return "the inventory asks for no federation"
        if site.cluster.federation_crds is None:
            return "federation=karmada without federation_crds is judged, and not installed"
        return ""

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Any, where there are too few hosts, so that `gate_problems` is consulted."""
        return {} if self.skip_reason(site) or len(site.hosts) >= MEMBERS else _NODES

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A cluster on whose hosts etcd has no quorum once one is lost."""
        if self.skip_reason(site) or len(site.hosts) >= MEMBERS:
            return ()
        return (
            f"federation=karmada needs {MEMBERS} hosts, one for each member of Karmada's etcd, and "
            f"the inventory has {len(site.hosts)}. Add hosts, or remove federation_crds.",
        )

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The notes, the objects of Hale's manifests, and the Secret that is made last."""
        if self.skip_reason(site) or host is not site.first_control_plane:
            return {}
        made = _with_manifests(site)
        objects = (*network.objects(made, (BASE, CONTROLLERS)), AUTHORITIES)
        address = host.address or host.name
        return {
            nodes.SUBJECT: nodes.probes(address, objects),
            manifests.SUBJECT: (manifests.probe(address),),
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The parts that are not made; then pods that are not ready."""
        if self.skip_reason(site):
            return ()
        made = _with_manifests(site)
        if missing := network.missing_objects(made, observations, (BASE,)):
            return missing
        if _is_foreign(made, observations):
            return ()
        if not _has_secrets(site, observations):
            return (PhaseProblem(f"there is no {AUTHORITIES}"),)
        if not _has_kinds(site, observations):
            return (PhaseProblem("Karmada's apiserver does not have all its kinds"),)
        if missing := network.missing_objects(made, observations, (CONTROLLERS,)):
            return missing
        return _unready(site, observations, (_ETCD, *_BASE, *_CONTROLLERS))

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """What differs from the manifests since they were applied."""
        if self.skip_reason(site):
            return ()
        made = _with_manifests(site)
        return network.differences(made, observations, (BASE, CONTROLLERS))

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The parts, one after the other; of a part that is done, nothing."""
        if self.skip_reason(site):
            return
        made = _with_manifests(site)
        if _is_foreign(made, observations):
            return
        if not _has_secrets(site, observations):
            yield Batch((_make_secrets(site),))
        base = network.apply_batch(made, observations, "Karmada's apiserver and etcd", (BASE,))
        yield replace(base, wait_for=_until_ready(self.probes))
        if not _has_kinds(site, observations):
            yield Batch((_apply_objects(made),))
        rest = network.apply_batch(made, observations, "Karmada's controllers", (CONTROLLERS,))
        yield replace(rest, wait_for=WaitForPhase("Karmada is ready", PATIENCE))


_NODES: Probes = {nodes.SUBJECT: (nodes.probe(),)}


def etcd_hosts(site: ClusterContext) -> tuple[Host, ...]:
    """The hosts of the members of Karmada's etcd: control-plane nodes first."""
    return (*site.masters, *site.workers)[:MEMBERS]


def _with_manifests(site: ClusterContext) -> ClusterContext:
    """The site with Hale's own manifests among its files."""
    values = {
        "namespace": _SPACE,
        "nodes": [host.name for host in etcd_hosts(site)],
        "data": leftovers.FEDERATION,
        "services": str(site.cluster.service_cidr),
        "images": {name: _image(site, name) for name in _IMAGES},
    }
    files = {
        path: templates.render(f"{path.stem.removeprefix('hale-')}.yaml.j2", **values).encode()
        for path in (BASE, CONTROLLERS)
    }
    return replace(site, files={**site.files, **files})


def _image(site: ClusterContext, name: str) -> str:
    """A component's image; those of Kubernetes itself have the cluster's version."""
    return components.image(site, name).replace("VERSION", site.cluster.kubernetes_version)


def _objects(site: ClusterContext) -> str:
    """What Karmada's own apiserver has before its controllers start."""
    assert site.cluster.federation_crds
    configurations = [
        (kind, [_webhook(kind, name, about) for name, about in webhooks.items()])
        for kind, webhooks in _WEBHOOKS.items()
    ]
    own = templates.render(
        "federation-objects.yaml.j2", namespace=_SPACE, configurations=configurations
    )
    return f"{site.text(site.cluster.federation_crds).rstrip()}\n---\n{own}"


def _webhook(kind: str, name: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
    verb = {"Mutating": "mutate", "Validating": "validate"}[kind]
    return {
        "scope": "Namespaced",
        "operations": ("CREATE", "UPDATE"),
        "effects": "None",
        **about,
        "name": name,
        "path": f"{verb}-{name}",
    }


def _make_secrets(site: ClusterContext) -> RunScript:
    host = site.first_control_plane
    addresses = [h.address for h in site.masters if h.address] + [site.inventory.endpoint.vip]
    return RunScript(
        host.name,
        "Karmada's certificates",
        scripts.load(
            "make_karmada_secrets",
            *(f"IP:{address}" for address in dict.fromkeys(addresses)),
            kubectl=kubectl.shell_command(host),
            namespace=_SPACE,
            last=AUTHORITIES.name,
            days=str(DAYS),
            members=str(MEMBERS),
            memory=_MEMORY,
        ),
    )


def _apply_objects(site: ClusterContext) -> RunScript:
    host = site.first_control_plane
    objects = _objects(site)
    return RunScript(
        host.name,
        "Karmada's kinds and webhooks",
        scripts.load(
            "apply_karmada_objects",
            kubectl=kubectl.shell_command(host),
            namespace=_SPACE,
            notes=manifests.NAME,
            key=network.key(OBJECTS),
            applying=manifests.APPLYING,
            digest=templates.digest(objects),
            converted=" ".join(_CONVERTED),
            memory=_MEMORY,
        ),
        Secret(objects),
        timeout=420,
    )


def _until_ready(probes: Any) -> WaitFor:
    """Until Karmada's etcd and apiserver are ready; controllers come later."""

    def remaining(site: ClusterContext, observations: Observations) -> Problems:
        return _unready(site, observations, (_ETCD, *_BASE[:1]))

    return WaitFor("Karmada's apiserver is ready", (), probes, remaining, PATIENCE, 1.0)


def _unready(
    site: ClusterContext, observations: Observations, workloads: tuple[nodes.Object, ...]
) -> Problems:
    return components.unready(site, observations, workloads)


def _notes(site: ClusterContext, observations: Observations) -> Mapping[str, str]:
    return manifests.read(observations.of(site.first_control_plane.name, manifests.SUBJECT))


def _is_foreign(site: ClusterContext, observations: Observations) -> bool:
    """Whether another program has made objects of these names: Hale's have a note."""
    if network.key(BASE) in _notes(site, observations):
        return False
    readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
    if not nodes.read(readings).answers:
        return False
    made = network.objects(site, (BASE,))
    found = nodes.counted(readings, made)
    return any(count is not None and o.kind != "Namespace" for o, count in found.items())


def _has_secrets(site: ClusterContext, observations: Observations) -> bool:
    readings = observations.of(site.first_control_plane.name, nodes.SUBJECT)
    return nodes.counted(readings, (AUTHORITIES,))[AUTHORITIES] is not None


def _has_kinds(site: ClusterContext, observations: Observations) -> bool:
    note = _notes(site, observations).get(network.key(OBJECTS), "")
    return bool(note) and note != manifests.APPLYING
