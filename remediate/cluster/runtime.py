"""Runtime: containerd's configuration, and containerd running with it.

Sandbox image and registry are the site's, the cgroup driver is the kubelet's. A registry without
TLS gets a hosts.toml. On a host that may not lower a process's OOM score, containerd is
configured not to try.

Sources: containerd's docs/cri/config.md, docs/hosts.md; containerd-config.toml(5).
"""

from collections.abc import Iterable, Iterator

from facts.cluster import file_digests, images, packages, services
from facts.cluster.packages import Packages
from hale.install.cluster_context import GROUPS, ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    Step,
    WriteFile,
)
from hale.inventory.ini import Host
from hale.model.errors import UserError
from remediate.cluster import scripts, templates
from remediate.cluster.templates import ConfigProblem

CONFIG = "/etc/containerd/config.toml"
CERTS = "/etc/containerd/certs.d"
UNIT = "containerd"


class ContainerRuntime(Phase):
    """containerd's configuration, and containerd running with it."""

    name = "runtime"
    title = "Container runtime"
    DEPENDS_ON = ("packages",)
    GATED = True
    PREPARES_HOSTS = True
    HOST_GROUPS = GROUPS

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """containerd's version and files, how it runs, and what kubeadm calls the pause image."""
        if host not in site.current_hosts:
            return {}
        cluster = site.cluster
        return {
            packages.SUBJECT: (packages.probe([UNIT]),),
            images.SUBJECT: (images.probe(cluster.kubernetes_version, cluster.image_repository),),
            file_digests.SUBJECT: (
                file_digests.probe([CONFIG, hosts_toml(site)]),
                *templates.contents([CONFIG]),
            ),
            services.SUBJECT: (services.probe([UNIT]),),
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Files that differ, and a containerd that runs with an older configuration."""
        return tuple(
            PhaseProblem(str(what), host.name)
            for host in site.current_hosts
            for what in _left(site, observations, host)
        )

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """Of hosts that have joined: a configuration that is not Hale's. It stays, and so does
        the containerd that runs with it."""
        return tuple(
            problem
            for host in site.current_hosts
            if packages.read(observations.of(host.name, packages.SUBJECT)).containerd
            for problem in templates.differences(
                _files(site, observations, host), observations, host.name
            )
        )

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The files, then a restart of containerd."""
        steps: list[Step] = []
        for host in site.current_hosts:
            found = packages.read(observations.of(host.name, packages.SUBJECT))
            if not found.containerd or not tuple(_left(site, observations, host)):
                continue
            for path, content in _files(site, observations, host).items():
                # A configuration that containerd cannot read would stop every pod of the node.
                check = 'containerd -c "$new" config dump >/dev/null' if path == CONFIG else ""
                steps.append(
                    WriteFile(host.name, path.rpartition("/")[2], path, content, check=check)
                )
            steps.append(
                RunScript(
                    host.name,
                    "containerd restarts",
                    scripts.load("restart_containerd", unit=UNIT),
                    interrupts=services.read(observations.of(host.name, services.SUBJECT))[
                        UNIT
                    ].active,
                )
            )
        return (Batch(tuple(steps)),)


def _left(
    site: ClusterContext, observations: Observations, host: Host
) -> Iterator[ConfigProblem | str]:
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    if not found.containerd:
        yield "containerd is not installed"
        return
    wanted = _files(site, observations, host)
    yield from templates.config_problems(wanted, observations, host.name, {CONFIG: UNIT})


def _files(site: ClusterContext, observations: Observations, host: Host) -> dict[str, str]:
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    names = images.read(observations.of(host.name, images.SUBJECT)).wanted
    pause = next((i for i in names if images.name(i) == "pause"), "")
    if not pause:
        raise UserError(f"{host.name}: kubeadm does not name its pause image.")
    cluster = site.cluster
    files = {
        CONFIG: templates.render(
            "containerd.toml.j2",
            three=_major(found) >= 2,
            sandbox_image=pause,
            systemd_cgroup=cluster.cgroup_driver == "systemd",
            restrict_oom_score_adj=not found.capable,
            certs=CERTS,
        )
    }
    if cluster.registry and cluster.plain_http:
        files = {
            hosts_toml(site): templates.render("hosts.toml.j2", registry=cluster.registry)
        } | files
    return files


def _major(found: Packages) -> int:
    return int(found.containerd.partition(".")[0])


def hosts_toml(site: ClusterContext) -> str:
    """The file with how containerd reaches the site's registry, where Hale writes one."""
    return f"{CERTS}/{site.cluster.registry or '_default'}/hosts.toml"
