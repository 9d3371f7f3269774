"""Runtime: containerd's configuration, and containerd running with it.

Sandbox image and registry are the site's, the cgroup driver is the kubelet's. A registry without
TLS gets a hosts.toml. On a host that may not lower a process's OOM score, containerd is
configured not to try. Beside a config.toml of the site's own on a host that has joined, a file
that it imports has what it lacks (containerd_drop_in.py). A containerd that runs by its
configuration without a CRI plugin is not restarted again: what it lacks is for a person to find.

Sources: containerd's docs/cri/config.md, docs/hosts.md; containerd-config.toml(5).
"""

from collections.abc import Iterable, Iterator

from facts.cluster import (
    containerd_config,
    containerd_cri,
    file_digests,
    images,
    packages,
    services,
)
from facts.cluster.containerd_config import Settings
from facts.cluster.containerd_cri import CriState
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
from remediate.cluster import containerd_drop_in, scripts, templates
from remediate.cluster.containerd_drop_in import CERTS, CONFIG, DROP_IN, FIRST_MERGING, DropIn
from remediate.cluster.templates import ConfigProblem

UNIT = "containerd"
UNITS = {CONFIG: UNIT, DROP_IN: UNIT}  # which reads the file


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
                file_digests.probe([CONFIG, DROP_IN, hosts_toml(site)]),
                *templates.contents([CONFIG, DROP_IN]),
            ),
            containerd_config.SUBJECT: (containerd_config.probe(CONFIG),),
            services.SUBJECT: (services.probe([UNIT]),),
            containerd_cri.SUBJECT: (containerd_cri.probe(),),
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Files that differ, and a containerd that runs with an older configuration, or without
        its CRI plugin."""
        return tuple(
            PhaseProblem(str(what), host.name)
            for host in site.current_hosts
            for what in (
                *_remaining(site, observations, host),
                *_unserved(site, observations, host),
            )
        )

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A containerd without its CRI plugin for which there is nothing more to do."""
        return tuple(
            f"{host.name}: {why}"
            for host in site.current_hosts
            for why in _unserved(site, observations, host)
        )

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """Of hosts that have joined: a configuration that is not Hale's. It stays, and so does
        the containerd that runs with it, unless it imports a file of Hale's."""
        return tuple(
            problem
            for host in site.current_hosts
            if packages.read(observations.of(host.name, packages.SUBJECT)).containerd
            for problem in _differences(site, observations, host)
        )

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The files, then a restart of containerd."""
        steps: list[Step] = []
        for host in site.current_hosts:
            found = packages.read(observations.of(host.name, packages.SUBJECT))
            if not found.containerd or not tuple(_remaining(site, observations, host)):
                continue
            files = _files(site, observations, host)
            for path, content in files.items():
                # A configuration that containerd cannot read would stop every pod of the node.
                check = _CHECKS.get(path, "")
                steps.append(
                    WriteFile(
                        host.name,
                        path.rpartition("/")[2],
                        path,
                        content,
                        check=check,
                        replaces=templates.replaces(observations, host.name, path),
                    )
                )
            if not files.keys() & UNITS.keys():
                continue  # hosts.toml is read at each pull
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


# Commands that must accept the new file.
_CHECKS = {
    CONFIG: 'containerd -c "$new" config dump >/dev/null',
    DROP_IN: containerd_drop_in.check(),
}


def _remaining(
    site: ClusterContext, observations: Observations, host: Host
) -> Iterator[ConfigProblem | str]:
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    if not found.containerd:
        yield "containerd is not installed"
        return
    wanted = _files(site, observations, host)
    units = {path: unit for path, unit in UNITS.items() if path in wanted}
    yield from templates.config_problems(wanted, observations, host.name, units)


_NOT_LOADED = (
    "containerd runs, but its CRI plugin, which the kubelet needs, did not load{why}. Once the "
    "cause is gone (`journalctl -u containerd` has more of it), restart containerd there, and run "
    "the command again"
)
_WITHOUT_CRI = {
    CriState.FAILED: _NOT_LOADED,
    CriState.SKIPPED: _NOT_LOADED,
    CriState.ABSENT: "containerd runs without its CRI plugin, which the kubelet needs. Take it out "
    "of `disabled_plugins` (`containerd config dump` shows them), restart containerd there, and "
    "run the command again",
}


def _without_cri(observations: Observations, host: Host) -> Iterator[str]:
    """Why the kubelet could not use a containerd that runs; nothing where it can."""
    found = containerd_cri.read(observations.of(host.name, containerd_cri.SUBJECT))
    if found is not None and found.state is not CriState.LOADED:
        yield _WITHOUT_CRI[found.state].format(why=f": {found.why}" if found.why else "")


def _unserved(site: ClusterContext, observations: Observations, host: Host) -> Iterator[str]:
    """The same where Hale's configuration is there, and containerd runs by it."""
    if not tuple(_remaining(site, observations, host)) and not _is_kept(site, observations, host):
        yield from _without_cri(observations, host)


def _is_kept(site: ClusterContext, observations: Observations, host: Host) -> bool:
    """Whether the host has joined with a config.toml of the site's own."""
    return bool(templates.foreign_files(_config(site, observations, host), observations, host.name))


def _differences(
    site: ClusterContext, observations: Observations, host: Host
) -> Iterator[PhaseProblem]:
    if _is_kept(site, observations, host):
        for why in _without_cri(observations, host):
            yield PhaseProblem(why, host.name)
    if drop_in := _drop_in(site, observations, host):
        yield containerd_drop_in.difference(drop_in, host.name)
    yield from templates.differences(_files(site, observations, host), observations, host.name)


def _files(site: ClusterContext, observations: Observations, host: Host) -> dict[str, str]:
    """The files of Hale's that the host has, or should have."""
    cluster = site.cluster
    drop_in = _drop_in(site, observations, host)
    files = {}
    if cluster.registry and cluster.plain_http and (drop_in is None or drop_in.reads_certs):
        files[hosts_toml(site)] = templates.render("hosts.toml.j2", registry=cluster.registry)
    if drop_in is None:
        return files | _config(site, observations, host)
    return files | ({DROP_IN: drop_in.content} if drop_in.content else {})


def _config(site: ClusterContext, observations: Observations, host: Host) -> dict[str, str]:
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    return {
        CONFIG: templates.render(
            "containerd.toml.j2",
            three=_major(found) >= FIRST_MERGING,
            sandbox_image=_pause(observations, host),
            systemd_cgroup=site.cluster.cgroup_driver == "systemd",
            restrict_oom_score_adj=not found.capable,
            certs=CERTS,
        )
    }


def _pause(observations: Observations, host: Host) -> str:
    names = images.read(observations.of(host.name, images.SUBJECT)).wanted
    pause = next((i for i in names if images.name(i) == "pause"), "")
    if not pause:
        raise UserError(f"{host.name}: kubeadm does not name its pause image.")
    return pause


def _drop_in(site: ClusterContext, observations: Observations, host: Host) -> DropIn | None:
    """What is imported by a config.toml that stays as it is; None where Hale's own is there, or
    the site's can import nothing."""
    cluster = site.cluster
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    config = _config(site, observations, host)
    if _major(found) < FIRST_MERGING or not templates.foreign_files(
        config, observations, host.name
    ):
        return None
    wanted = Settings(
        _pause(observations, host),
        cluster.cgroup_driver == "systemd",
        CERTS if cluster.registry and cluster.plain_http else None,
    )
    return containerd_drop_in.find(observations, host.name, wanted)


def _major(found: Packages) -> int:
    return int(found.containerd.partition(".")[0])


def hosts_toml(site: ClusterContext) -> str:
    """The file with how containerd reaches the site's registry, where Hale writes one."""
    return f"{CERTS}/{site.cluster.registry or '_default'}/hosts.toml"
