"""Workers: all join at once; then every node has to be ready.

A worker whose join was cut off is reset, alone, and joins again: it holds nothing of the cluster.
"""

import shlex
from collections.abc import Iterable

from facts import kubernetes, nodes
from hale.cluster import ADMIN
from hale.fact import Files, Probe
from hale.install.site import Site
from hale.install.step import Asked, Await, Run, Seen, Step, Wave
from hale.inventory import Host
from remediate.cluster import kubeadm, masters

TITLE = "Workers join, all nodes ready"
NEEDS = ("images", "init", "network")

PATIENCE = 300.0  # seconds for the network to come up on every node


def probes(site: Site, host: Host) -> Asked:
    """How far kubeadm came; the nodes, as the first master tells."""
    asked: dict[str, tuple[Probe, ...]] = {kubernetes.SUBJECT: (kubernetes.probe(),)}
    if host is site.first:
        asked[kubernetes.SUBJECT] = (kubernetes.probe(), Files(kubernetes.CA))
        asked[nodes.SUBJECT] = (nodes.probe(host.address or host.name, nodes.ADDONS),)
    return asked


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Workers that are no nodes, nodes that are not ready, addons of kubeadm that are not."""
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return (f"{site.first.name}: {told.why}",)
    said = [f"{h.name}: {what}" for h in site.workers if (what := _left(seen, h, told))]
    said += [f"{name}: the node is not ready" for name, ready in told.nodes.items() if not ready]
    for name, (wanted, ready_now) in told.objects.items():
        if ready_now < max(wanted, 1):
            said.append(f"{name}: {ready_now} of {wanted} are ready")
    return tuple(said)


def _left(seen: Seen, host: Host, told: nodes.Nodes) -> str:
    node = kubernetes.read(seen.of(host.name, kubernetes.SUBJECT))
    if host.name not in told.nodes or not node.finalised:
        return "has not joined" if node.untouched else "its join was cut off"
    return "" if node.kubelet else "its kubelet does not run"


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """A token, all joins at once, and the wait for every node."""
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return
    remains: list[Step] = []
    joins: list[Step] = []
    for host in site.workers:
        why = _left(seen, host, told)
        if why == "its join was cut off":
            remains += _clean(site, host)
        if why in ("has not joined", "its join was cut off"):
            pin = masters.ca_pin(seen, site.first)
            secret = kubeadm.join(site, host, pin, master=False)
            script = f"kubeadm join {kubeadm.CONFIG}"
            joins.append(Run(host.name, "kubeadm join", script, secret, 300, critical=True))
        elif why:
            joins.append(Run(host.name, "kubelet", "systemctl restart kubelet"))
    if any(isinstance(s, Run) and s.critical for s in joins) and not site.secrets.uploaded:
        remains.append(masters.token(site, site.first, certificates=False))
    yield Wave(tuple(remains))
    names = tuple(h.name for h in site.hosts)
    yield Wave(tuple(joins), afterwards=Await("all nodes are ready", names, probes, left, PATIENCE))


def _clean(site: Site, host: Host) -> list[Step]:
    # A node of that name that is still taken for ready would stop the new join.
    return [
        Run(host.name, "a join that was cut off is cleaned away", masters.CLEAN, timeout=180),
        Run(
            site.first.name,
            f"the cluster forgets {host.name}",
            f"kubectl --kubeconfig {ADMIN} --server "
            f"https://{site.first.address}:6443 delete node {shlex.quote(host.name)} "
            "--ignore-not-found --timeout=30s",
        ),
    ]
