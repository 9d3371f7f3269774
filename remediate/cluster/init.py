"""Init: kubeadm makes the cluster on the first master.

An init that was cut off (power, kill) before kubeadm was through with the host has made nothing
that anybody could have joined: the host is reset and init is done anew. One that was cut off in
its addons gets its addons. Once it was through, nothing here ever resets it: a control plane
that does not answer then is a matter for people.

Source: kubeadm-init(1), "Init workflow": the order of its phases.
"""

from collections.abc import Iterable

from facts import kubernetes, nodes
from hale.fact import Probe
from hale.install.site import APISERVER_PORT, Site
from hale.install.step import CERTIFICATES, TOKEN, Asked, Await, Run, Seen, Wave
from hale.inventory import Host
from remediate.cluster import kubeadm

TITLE = "kubeadm init"
NEEDS = ("runtime/first", "load_balancer/first", "images/first")

PORTS = (APISERVER_PORT, 2379, 2380, 10250, 10257, 10259)
WORKERS_PORTS = (10250,)


def probes(site: Site, host: Host) -> Asked:
    """How far kubeadm came on each host; what the first master's apiserver tells."""
    asked: dict[str, tuple[Probe, ...]] = {kubernetes.SUBJECT: (kubernetes.probe(),)}
    if host is site.first:
        asked[nodes.SUBJECT] = (nodes.probe(host.address or host.name),)
    return asked


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """What init has not made yet, as the first master's own apiserver tells."""
    node = kubernetes.read(seen.of(site.first.name, kubernetes.SUBJECT))
    name = site.first.name
    if node.untouched:
        return (f"{name}: there is no control plane",)
    if not node.finalised:
        return (f"{name}: kubeadm init was cut off",)
    told = nodes.read(seen.of(name, nodes.SUBJECT))
    if not told.answers:
        return (f"{name}: its apiserver does not answer: {told.why}",)
    return tuple(f"{name}: there is no {o}" for o in nodes.MADE if o not in told.objects)


def refusals(site: Site, seen: Seen) -> tuple[str, ...]:
    """Ports that others have; a control plane that is elsewhere, or ill."""
    said = []
    found = {h.name: kubernetes.read(seen.of(h.name, kubernetes.SUBJECT)) for h in site.hosts}
    first = found[site.first.name]
    for host in site.hosts:
        node = found[host.name]
        wanted = PORTS if "masters" in host.groups else WORKERS_PORTS
        taken = [(p, node.ports[p]) for p in wanted if p in node.ports]
        if node.untouched and taken:
            port, who = taken[0]
            said.append(
                f"{host.name}: port {port} is taken by {who or 'another program'}, and Kubernetes "
                f"needs it. Stop it: `ss -ltnp 'sport = :{port}'`."
            )
    elsewhere = [n for n, node in found.items() if n != site.first.name and not node.untouched]
    if not first.finalised and elsewhere:
        said.append(
            f"{site.first.name}, the inventory's first master, is in no cluster, but "
            f"{', '.join(elsewhere)} {'is' if len(elsewhere) == 1 else 'are'}. Name a master of "
            "that cluster first in [masters], or take it off with `invoke reset`."
        )
    return tuple(said)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """Init; after one that was cut off, a reset of this host before."""
    first = site.first
    node = kubernetes.read(seen.of(first.name, kubernetes.SUBJECT))
    if not node.finalised:
        if not node.untouched:
            yield Wave((Run(first.name, "an init that was cut off is cleaned away", CLEAN),))
        command = "kubeadm init --upload-certs --skip-token-print --skip-certificate-key-print"
        yield Wave((_run(site, "kubeadm init", command, 600, init=True),))
        return
    told = nodes.read(seen.of(first.name, nodes.SUBJECT))
    if not told.answers:
        yield Wave(afterwards=Await("the apiserver answers", (first.name,), probes, _silent))
    elif any(o not in told.objects for o in nodes.MADE):
        yield Wave((_run(site, "kubeadm's addons", "kubeadm init phase addon all", 120),))


# What the control plane's containers hold open goes only when they do.
CLEAN = (
    "kubeadm reset --force >/dev/null 2>&1 || kubeadm reset --force\nrm -rf /var/lib/etcd/member"
)


def _run(site: Site, title: str, command: str, timeout: float, *, init: bool = False) -> Run:
    script = f"{command} {kubeadm.CONFIG}"
    secret = kubeadm.init(site)
    uploads = frozenset((TOKEN, CERTIFICATES) if init else ())
    return Run(site.first.name, title, script, secret, timeout, critical=init, uploads=uploads)


def _silent(site: Site, seen: Seen) -> tuple[str, ...]:
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    return () if told.answers else (f"{site.first.name}: {told.why}",)
