"""Reset: remove the cluster from the hosts. Not a phase; `invoke reset` runs it.

The settings of the host requirements stay, and so do packages, containerd's configuration and
images, unless packages are to be removed too. haproxy's and keepalived's files are restored as
they were before Hale's first change, or removed if there were none. A haproxy or keepalived whose
configuration is not as Hale wrote it keeps running, with its files and its package.

On some of the hosts: they are drained and deleted from the cluster; a control-plane node's etcd
member is removed before its host is reset, one node at a time, and never so many that the rest
is no majority, unless the operator allows it; a host of another cluster is never reset
(reset_refusals.py). No key of a CA is deleted without a copy on the host.

Sources: kubeadm-reset(1) and what it says it leaves; kubespray's roles/reset, which stops
containers before it removes them; etcd's FAQ, "What is failure tolerance?"
"""

import shlex
from collections.abc import Iterable, Sequence

from facts import etcd
from facts.cluster import file_digests, kubernetes, leftovers, nodes, services
from facts.cluster.leftovers import Leftovers
from hale.install.cluster_context import ClusterContext
from hale.install.executor import BACKUP_DIR
from hale.install.phase import (
    Batch,
    Observations,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    Step,
    WaitFor,
)
from hale.inventory.cluster_spec import WRITTEN
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, Probe
from hale.shell import variables
from remediate.cluster import (
    kubeadm,
    kubectl,
    load_balancer,
    masters,
    packages,
    reset_refusals,
    runtime,
    scripts,
)
from remediate.cluster.containerd_drop_in import CERTS, CONFIG, DROP_IN
from remediate.cluster.reset_refusals import member_status

# The files of each unit, its configuration first.
BALANCER_FILES = {
    "keepalived": (load_balancer.KEEPALIVED, load_balancer.CHECK),
    "haproxy": (load_balancer.HAPROXY, load_balancer.DROPIN, load_balancer.CA),
}
PATIENCE = 120.0  # seconds for etcd to be healthy without a removed member
DRAIN_TIMEOUT = 90  # seconds for the pods of a node that leaves
GRACE = 30  # seconds for a host's containers to terminate: a Pod's default

foreign, quorum_loss = reset_refusals.foreign, reset_refusals.quorum_loss


def probes(site: ClusterContext, host: Host) -> Probes:
    """The probes of what a host has of the cluster."""
    endpoint, pods = site.inventory.endpoint, site.cluster.pod_cidr
    probes: dict[str, tuple[Probe, ...]] = {
        leftovers.SUBJECT: (
            leftovers.probe(endpoint.vip, str(pods or ""), stacked=site.etcd_is_stacked),
        ),
        kubernetes.SUBJECT: (kubernetes.probe(stacked=site.etcd_is_stacked),),
    }
    if host.is_master:
        probes[nodes.SUBJECT] = (nodes.probe(),)
        probes["etcd"] = (CommandProbe("members", etcd.SCRIPT, timeout=30, slow=True),)
        if site.manages_load_balancer:
            probes[file_digests.SUBJECT] = (file_digests.probe(load_balancer.UNITS),)
            probes[services.SUBJECT] = (services.probe(load_balancer.UNITS.values()),)
    return probes


def remaining(site: ClusterContext, observations: Observations, hosts: Sequence[Host]) -> Problems:
    """What remains of the cluster on these hosts."""
    problems = []
    for host in hosts:
        found = leftovers.read(observations.of(host.name, leftovers.SUBJECT))
        items = tuple(i for i in found.items if not _is_sites_vip(site, observations, host, i))
        if items:
            problems.append(PhaseProblem(Leftovers(items).summary, host.name))
    return tuple(problems)


def kept(site: ClusterContext, observations: Observations, hosts: Sequence[Host]) -> Problems:
    """What keeps running on these hosts because Hale did not write its configuration."""
    return tuple(
        PhaseProblem(f"{unit} keeps running, because {path} is not as Hale wrote it", host.name)
        for host in hosts
        for path, unit in load_balancer.UNITS.items()
        if _keeps_running(site, observations, host, path)
    )


def _keeps_running(site: ClusterContext, observations: Observations, host: Host, path: str) -> bool:
    """Whether the unit of this configuration runs by one that is not as Hale wrote it."""
    if not (host.is_master and site.manages_load_balancer):
        return False
    there = file_digests.read(observations.of(host.name, file_digests.SUBJECT))
    found, unit = there.get(path), load_balancer.UNITS[path]
    if found is None or found.by_hale:
        return False
    return services.read(observations.of(host.name, services.SUBJECT))[unit].active


def _is_sites_vip(
    site: ClusterContext, observations: Observations, host: Host, leftover: str
) -> bool:
    """Whether this is the VIP, and stays with the site's own load balancer."""
    endpoint = site.inventory.endpoint
    return leftover == f"vip {endpoint.vip}" and (
        endpoint.kind == "external"
        or _keeps_running(site, observations, host, load_balancer.KEEPALIVED)
    )


def batches(
    site: ClusterContext,
    observations: Observations,
    hosts: Sequence[Host],
    *,
    with_packages: bool = False,
    disable_eviction: bool = False,
) -> Iterable[Batch]:
    """The steps: for a complete cluster all hosts in parallel; for some of its hosts one after
    the other, so that the rest keeps running."""
    going = {h.name for h in hosts}
    staying = [
        h
        for h in site.masters
        if h.name not in going and nodes.read(observations.of(h.name, nodes.SUBJECT)).answers
    ]
    if not staying:
        yield Batch(tuple(s for h in hosts for s in _host(site, h)))
    else:
        by = staying[0]
        for host in hosts:
            yield Batch(tuple(_leave(site, by, host, disable_eviction=disable_eviction)))
            yield Batch(
                tuple(_host(site, host)),
                wait_for=_well(staying) if site.etcd_is_stacked and host in site.masters else None,
            )
    if with_packages:
        yield Batch(tuple(_packages(site, h) for h in hosts))


def gone_batches(site: ClusterContext, observations: Observations, gone: Host) -> Iterable[Batch]:
    """The steps for a host that no longer exists: the cluster forgets it.

    site: without that host. Raises UserError where the cluster has no answer, or says that the host
    is alive.
    """
    found = [(h, nodes.read(observations.of(h.name, nodes.SUBJECT))) for h in site.masters]
    answering = [(h, node_list) for h, node_list in found if node_list.answers]
    if not answering:
        raise UserError(
            "nothing was changed: no other control-plane node's apiserver answers. Start one, then "
            "run the command again."
        )
    by, node_list = answering[0]
    if node_list.nodes.get(gone.name):
        raise UserError(
            f"nothing was changed: the cluster says that {gone.name} is Ready, so it is not gone. "
            "A node is NotReady about 50 s after its host has stopped."
        )
    stacked = gone.is_master and site.etcd_is_stacked
    if stacked and member_status(observations, by) is None:
        raise UserError(
            f"nothing was changed: etcd's members cannot be read on {by.name}. Repair "
            "etcd there, then run the command again."
        )
    yield Batch(tuple(_forget(site, by, gone)), wait_for=_well(site.masters) if stacked else None)


def _well(staying: Sequence[Host]) -> WaitFor:
    names = {h.name for h in staying}

    def unhealthy(site: ClusterContext, observations: Observations) -> Problems:
        return tuple(
            PhaseProblem("etcd is not healthy", h.name)
            for h in site.masters
            if h.name in names
            and not ((v := member_status(observations, h)) and v.healthy and v.leader)
        )

    return WaitFor(
        "etcd is healthy without it",
        tuple(names),
        masters.JoinControlPlane().probes,
        unhealthy,
        PATIENCE,
    )


def _leave(site: ClusterContext, by: Host, host: Host, *, disable_eviction: bool) -> list[Step]:
    """Drain the host and delete it from the cluster, on a node that stays."""
    command = f"{kubectl.shell_command(by)} --request-timeout 30s"
    steps: list[Step] = [
        RunScript(
            by.name,
            f"{host.name} is drained",
            scripts.load(
                "drain_node",
                *shlex.split(command),
                node=host.name,
                timeout=f"{DRAIN_TIMEOUT}",
                more="--disable-eviction" if disable_eviction else "",
            ),
            timeout=DRAIN_TIMEOUT + 60,
        )
    ]
    return [*steps, *_forget(site, by, host)]


def _forget(site: ClusterContext, by: Host, host: Host) -> list[Step]:
    """Delete the host from etcd and the cluster, on a node that stays; no step is on the host."""
    steps: list[Step] = []
    if host.is_master and site.etcd_is_stacked:
        steps.append(
            RunScript(by.name, f"etcd forgets {host.name}", masters.remove_etcd_member_script(host))
        )
    steps.append(
        RunScript(
            by.name,
            f"the cluster forgets {host.name}",
            f"{kubectl.shell_command(by)} --request-timeout 30s delete node "
            f"{shlex.quote(host.name)} --ignore-not-found",
        )
    )
    return steps


def _host(site: ClusterContext, host: Host) -> list[Step]:
    steps: list[Step] = []
    if host in site.masters and site.manages_load_balancer:
        steps.append(RunScript(host.name, "load balancer and VIP", _unbalance(site)))
    steps.append(RunScript(host.name, "kubeadm reset", _kubeadm(site), timeout=300))
    steps.append(RunScript(host.name, "what kubeadm leaves", _sweep(site), timeout=180))
    return steps


_DAEMONS = (
    'labels."io.cri-containerd.kind"==container,'
    'labels."io.kubernetes.container.name"!=kube-apiserver'
)


def _kubeadm(site: ClusterContext) -> str:
    stop = scripts.load("stop_containers", daemons=_DAEMONS, grace=str(GRACE))
    unmount, reset = scripts.load("unmount_pods"), scripts.load("kubeadm_reset")
    script = f"{stop}{unmount}{reset}{kubeadm.etcd_data(site)}\n"
    return f"{kubeadm.copy_keys()}{kubeadm.preserving(site, script)}"


def _unbalance(site: ClusterContext) -> str:
    files = {unit: " ".join(paths) for unit, paths in BALANCER_FILES.items()}
    stop = scripts.load(
        "stop_load_balancer", vip=site.inventory.endpoint.vip, written=WRITTEN, **files
    )
    return f"{stop}{restore_files()}systemctl daemon-reload\n"


def restore_files(paths: Iterable[str] = ()) -> str:
    """A script that restores the files, or removes those that did not exist before Hale; those that
    the site has edited since stay.

    paths: where there are none, the files are the script's arguments.
    """
    folder = load_balancer.DROPIN.rpartition("/")[0]
    return scripts.load("restore_files", *paths, backups=BACKUP_DIR, written=WRITTEN, folder=folder)


def _sweep(site: ClusterContext) -> str:
    files = scripts.load(
        "sweep",
        pods=str(site.cluster.pod_cidr or ""),
        chains=leftovers.CHAINS,
        tables=leftovers.TABLES,
        federation=leftovers.FEDERATION,
    )
    others = (
        variables(others_cni=leftovers.OTHERS_CNI)
        + leftovers.OTHERS_NETWORKS
        + "bridges=$(of_others bridge)\n"
    )
    # After the containers: kube-proxy would make its own again.
    interfaces = scripts.load("remove_interfaces", interfaces=leftovers.INTERFACES)
    own = scripts.load("remove_kubeadm_files", folder=kubeadm.FOLDER)
    sweep = f"{scripts.load('unmount_pods')}{others}{files}{own}{leftovers.KUBE_IPVS}{interfaces}"
    # With the note, the next cluster's own CA would be taken for that of an interrupted init.
    return f"{kubeadm.preserving(site, sweep)}{kubeadm.END_JOIN}\n{kubeadm.END_INIT}\n"


def _packages(site: ClusterContext, host: Host) -> Step:
    balancer = load_balancer.PACKAGES if site.manages_load_balancer else ()
    rest = (*packages.RUNTIME, packages.OTHER_RUNTIME, *packages.PLUGINS, "cri-tools")
    names = (*packages.PINNED, *balancer, *rest)
    remove = scripts.load(
        "remove_packages",
        names=" ".join(names),
        record=packages.RECORD,
        repository=packages.NAME,
        written=WRITTEN,
        keepalived=load_balancer.KEEPALIVED,
    )
    registry = runtime.hosts_toml(site)
    files = (packages.LIST, packages.REPO, packages.DNF_KEY)
    empty = f"rmdir {shlex.join((registry.rpartition('/')[0], CERTS))} 2>/dev/null || :"
    script = "".join(
        (
            *map(scripts.load, ("is_installed", "dnf_hold")),
            remove,
            restore_files((CONFIG, DROP_IN, registry)),
            f"rm -f {shlex.join(files)}\n{empty}\n",
        )
    )
    return RunScript(host.name, "packages", script, timeout=900)
