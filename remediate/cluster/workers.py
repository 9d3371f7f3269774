"""Workers: all join at once, beside the masters; then each has to be a ready node.

A worker whose join was cut off is reset, alone, and joins again: it holds nothing of the cluster.
"""

import shlex
from collections.abc import Iterable

from facts import kubernetes, nodes
from hale.fact import Files, Probe
from hale.install.site import Site
from hale.install.step import Asked, Run, Seen, Step, Through, Wave
from hale.inventory import Host
from remediate.cluster import kubeadm, kubectl, masters

TITLE = "Workers join"
NEEDS = ("images/workers", "readyz/first", "network")

PATIENCE = 300.0  # seconds for the network to come up on every worker


def probes(site: Site, host: Host) -> Asked:
    """How far kubeadm came on each worker; the nodes, as the first master tells."""
    asked: dict[str, tuple[Probe, ...]] = {}
    if host in site.workers:
        asked[kubernetes.SUBJECT] = (kubernetes.probe(stacked=site.stacked),)
    elif host is site.first:
        asked[kubernetes.SUBJECT] = (Files(kubernetes.CA),)
        asked[nodes.SUBJECT] = (nodes.probe(),)
    return asked


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Workers that are no nodes, and those that are not ready."""
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return (f"{site.first.name}: {told.why}",)
    return tuple(f"{h.name}: {what}" for h in site.workers if (what := _left(seen, h, told)))


def _left(seen: Seen, host: Host, told: nodes.Nodes) -> str:
    node = kubernetes.read(seen.of(host.name, kubernetes.SUBJECT))
    if host.name not in told.nodes or not node.finalised:
        return _JOINS if node.untouched else _CUT_OFF
    if not node.kubelet:
        return "its kubelet does not run"
    return "" if told.nodes[host.name] else _NOT_READY


_JOINS, _CUT_OFF, _NOT_READY = "has not joined", "its join was cut off", "the node is not ready"


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """A token, all joins at once, and the wait for every worker."""
    told = nodes.read(seen.of(site.first.name, nodes.SUBJECT))
    if not told.answers:
        return
    remains: list[Step] = []
    joins: list[Step] = []
    for host in site.workers:
        why = _left(seen, host, told)
        if why == _CUT_OFF:
            remains += _clean(site, host)
        if why in (_JOINS, _CUT_OFF):
            pin = masters.ca_pin(seen, site.first)
            secret = kubeadm.join(site, host, pin, master=False)
            script = f"kubeadm join {kubeadm.CONFIG}"
            joins.append(Run(host.name, "kubeadm join", script, secret, 300, critical=True))
        elif why and why != _NOT_READY:
            joins.append(Run(host.name, "kubelet", "systemctl restart kubelet"))
    if any(isinstance(s, Run) and s.critical for s in joins):
        remains.append(masters.token(site, site.first))
    yield Wave(tuple(remains))
    yield Wave(tuple(joins), afterwards=Through("workers are ready", PATIENCE))


def _clean(site: Site, host: Host) -> list[Step]:
    # A node of that name that is still taken for ready would stop the new join.
    return [
        Run(
            host.name,
            "a join that was cut off is cleaned away",
            kubeadm.clean(site),
            timeout=180,
        ),
        Run(
            site.first.name,
            f"the cluster forgets {host.name}",
            f"{kubectl.of(site.first)} delete node {shlex.quote(host.name)} "
            "--ignore-not-found --timeout=30s",
        ),
    ]
