"""Init: `kubeadm init` on the first control-plane node.

If an init that Hale began (begun.py) was interrupted (power, kill) before kubeadm completed the
node, no other node can have joined: the host is reset and init runs again. If it was interrupted in
its addons, these are installed. A control plane that has been complete is never reset here; if it
does not answer, a person must act. Nothing is made twice: an addon that is missing after init was
removed by the site.

A CA that the site has put into /etc/kubernetes/pki before init is used by kubeadm, and kept.

Sources: kubeadm-init(1), "Init workflow": the order of its phases; kubernetes.io, "Certificate
Management with kubeadm", custom certificates.
"""

from collections.abc import Iterable, Iterator

from facts.cluster import external_etcd, kubernetes, nodes
from hale.install.cluster_context import APISERVER_PORT, ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    WaitFor,
)
from hale.install.secrets import CERTIFICATES, TOKEN
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import HostView, Probe
from remediate.cluster import begun, kubeadm

PORTS = (APISERVER_PORT, 10250, 10257, 10259)
ETCD_PORTS = (2379, 2380)  # of a stacked etcd
WORKERS_PORTS = (10250,)


class KubeadmInit(Phase):
    """`kubeadm init` on the first control-plane node."""

    name = "init"
    title = "kubeadm init"
    DEPENDS_ON = ("runtime/first", "load_balancer/first", "images/first")

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got on each host; the first control-plane node's apiserver."""
        probes: dict[str, tuple[Probe, ...]] = {
            kubernetes.SUBJECT: (kubernetes.probe(stacked=site.etcd_is_stacked),)
        }
        if host is site.first_control_plane:
            probes[nodes.SUBJECT] = nodes.probes(host.address or host.name)
        return probes

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """What init has not created yet, according to that apiserver."""
        node = kubernetes.read(observations.of(site.first_control_plane.name, kubernetes.SUBJECT))
        name = site.first_control_plane.name
        if node.before_init:
            return (PhaseProblem("there is no control plane", name),)
        if not node.finalised:
            return (PhaseProblem("kubeadm init was interrupted", name),)
        readings = observations.of(name, nodes.SUBJECT)
        node_list = nodes.read(readings)
        if not node_list.answers:
            return (PhaseProblem(f"its apiserver does not answer: {node_list.why}", name),)
        if not node.began:
            return ()  # what is missing now is the site's decision; the audit reports it
        return tuple(PhaseProblem(f"there is no {o}", name) for o in _missing(site, readings)) or (
            PhaseProblem("the end of kubeadm init is not noted", name),
        )

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """How far kubeadm got on the first control-plane node."""
        if host is not site.first_control_plane:
            return {}
        return {kubernetes.SUBJECT: (kubernetes.probe(stacked=site.etcd_is_stacked),)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """What looks like an interrupted init, and is none that Hale began."""
        return _not_begun(site, observations)

    def preflight_probes(self, site: ClusterContext, host: Host) -> Probes:
        """The external etcd, as the first control-plane node reaches it."""
        if site.etcd_is_stacked or host is not site.first_control_plane:
            return {}
        return {
            external_etcd.SUBJECT: (external_etcd.probe(site.etcd_endpoints, *site.etcd_files),)
        }

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """Ports in use, a control plane elsewhere, an external etcd that cannot be used."""
        problems = list(_not_begun(site, observations))
        if not site.etcd_is_stacked:
            problems += _external(site, observations)
        found = {
            h.name: kubernetes.read(observations.of(h.name, kubernetes.SUBJECT)) for h in site.hosts
        }
        first = found[site.first_control_plane.name]
        masters_ports = (*PORTS, *ETCD_PORTS) if site.etcd_is_stacked else PORTS
        for host in site.hosts:
            node = found[host.name]
            wanted = masters_ports if host.is_master else WORKERS_PORTS
            taken = [(p, node.ports[p]) for p in wanted if p in node.ports]
            if node.before_init and taken:
                port, who = taken[0]
                problems.append(
                    f"{host.name}: port {port} is in use by {who or 'another program'}, and "
                    f"Kubernetes needs it. Stop it: `ss -ltnp 'sport = :{port}'`."
                )
        elsewhere = [
            n
            for n, node in found.items()
            if n != site.first_control_plane.name and not node.before_init
        ]
        if not first.finalised and elsewhere:
            problems.append(
                f"{site.first_control_plane.name}, the inventory's first master, is in no cluster, "
                f"but {', '.join(elsewhere)} {'is' if len(elsewhere) == 1 else 'are'}. List a "
                "master of that cluster first in [masters], or remove it with `invoke reset`."
            )
        return tuple(problems)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Init; if one was interrupted, a reset of this host first."""
        first = site.first_control_plane
        node = kubernetes.read(observations.of(first.name, kubernetes.SUBJECT))
        if not node.finalised:
            if not node.before_init:
                if node.init is None or node.foreign_init():
                    raise UserError(begun.init_refusal(first, node))
                title = "an interrupted init is cleaned up"
                cleanup = kubeadm.cleanup_script(site, node.init, init=True)
                yield Batch((RunScript(first.name, title, cleanup),))
            script = kubeadm.init_script(site)
            yield Batch((_run(site, "kubeadm init", script, 600, init=True),))
            return
        readings = observations.of(first.name, nodes.SUBJECT)
        if not nodes.read(readings).answers:
            yield Batch(
                wait_for=WaitFor("the apiserver answers", (first.name,), self.probes, _silent)
            )
        elif node.began:
            yield Batch((_run(site, "kubeadm's addons", _addons_script(site, readings), 120),))


def _not_begun(site: ClusterContext, observations: Observations) -> tuple[str, ...]:
    """Why the first control-plane node is not reset for another init; empty where it need not be,
    or may be."""
    first = site.first_control_plane
    node = kubernetes.read(observations.of(first.name, kubernetes.SUBJECT))
    if node.finalised or node.before_init:
        return ()
    return tuple(filter(None, (begun.init_refusal(first, node),)))


def _missing(site: ClusterContext, readings: HostView) -> list[nodes.Object]:
    """The objects of an init that are not there, but for addons that the site has no use for."""
    made = (*nodes.CONFIGURATION, *kubeadm.addons(site))
    return [o for o, count in nodes.counted(readings, made).items() if count is None]


def _addons_script(site: ClusterContext, readings: HostView) -> str:
    """A script that installs the addons that are missing, and notes the end of init."""
    missing = _missing(site, readings)
    addons = [o.name for o in nodes.ADDONS if o in missing]
    name = "all" if len(addons) == len(nodes.ADDONS) else "".join(addons)
    command = f"kubeadm init phase addon {name} {kubeadm.CONFIG}\n" if name else ""
    return command + (kubeadm.END_INIT if len(addons) == len(missing) else "")


def _external(site: ClusterContext, observations: Observations) -> Iterator[str]:
    """Why the external etcd cannot be used for this cluster.

    Existing keys are no reason if init was interrupted: they are this cluster's own.
    """
    name = site.first_control_plane.name
    node = kubernetes.read(observations.of(name, kubernetes.SUBJECT))
    store = external_etcd.read(observations.of(name, external_etcd.SUBJECT))
    if store.missing:
        yield (
            f"{name}: there is no {' and no '.join(store.missing)}, which kubeadm_extra names for "
            "etcd. Put it on the first master; kubeadm brings it to the others."
        )
    elif store.silent:
        yield f"{name} does not reach etcd at {'; '.join(store.silent)}"
    elif store.keys and node.before_init:
        yield (
            f"etcd has {store.keys} keys below {external_etcd.PREFIX} already: the data of a "
            "cluster, and init would overwrite it. If no running cluster uses it, "
            f"`etcdctl del --prefix {external_etcd.PREFIX}` removes it."
        )


def _run(
    site: ClusterContext, title: str, script: str, timeout: float, *, init: bool = False
) -> RunScript:
    secret = kubeadm.init(site)
    uploads = frozenset((TOKEN, CERTIFICATES) if init else ())
    return RunScript(
        site.first_control_plane.name,
        title,
        script,
        secret,
        timeout,
        is_kubeadm_work=init,
        uploads=uploads,
    )


def _silent(site: ClusterContext, observations: Observations) -> Problems:
    node_list = nodes.read(observations.of(site.first_control_plane.name, nodes.SUBJECT))
    return (
        () if node_list.answers else (PhaseProblem(node_list.why, site.first_control_plane.name),)
    )
