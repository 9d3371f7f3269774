"""Images: pulled on all hosts, from the site's registry, before they are needed.

One host group at a time has the registry to itself: the first control-plane node before init, the
others while init runs. Those also pull the images of the network's daemons, which a node needs to
become ready.

Sources: kubeadm-config-images(1); containerd's docs/hosts.md for ctr's --hosts-dir.
"""

import math
import shlex
from collections.abc import Iterable

from facts.cluster import images
from hale.install.cluster_context import GROUPS, ClusterContext
from hale.install.phase import Batch, Observations, Phase, PhaseProblem, Probes, Problems, RunScript
from hale.inventory.ini import Host
from remediate.cluster import kubeadm, network, scripts
from remediate.cluster.containerd_drop_in import CERTS


class PullImages(Phase):
    """The control plane's images, pulled before init and the joins need them."""

    name = "images"
    title = "Images"
    DEPENDS_ON = ("runtime",)
    PREPARES_HOSTS = True
    HOST_GROUPS = GROUPS
    STAGGER_SECONDS = math.inf

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """The images on the host, and those that its kubeadm needs."""
        if host not in site.current_hosts:
            return {}
        cluster = site.cluster
        return {
            images.SUBJECT: (images.probe(cluster.kubernetes_version, cluster.image_repository),),
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """The images that each host lacks for its role."""
        problems = []
        for host in site.current_hosts:
            found = images.read(observations.of(host.name, images.SUBJECT))
            if not found.wanted:
                problems.append(PhaseProblem("kubeadm is not installed", host.name))
            elif missing := _missing(site, found, host):
                problems.append(PhaseProblem(f"{' '.join(map(images.name, missing))}", host.name))
        return tuple(problems)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """Pull all missing images, on all hosts in parallel."""
        pulls = []
        for host in site.current_hosts:
            missing = _missing(site, images.read(observations.of(host.name, images.SUBJECT)), host)
            if missing:
                pulls.append(_pull(site, host, missing))
        return (Batch(tuple(pulls)),)


def _missing(site: ClusterContext, found: images.Images, host: Host) -> tuple[str, ...]:
    return found.missing(master=host.is_master, stacked=site.etcd_is_stacked)


_PULL = f"ctr -n k8s.io images pull --hosts-dir {CERTS}"


def _pull(site: ClusterContext, host: Host, missing: tuple[str, ...]) -> RunScript:
    more = "" if host is site.first_control_plane else _beforehand(site)
    if host.is_master:
        return RunScript(
            host.name,
            "images",
            f"kubeadm config images pull {kubeadm.CONFIG}\n{more}",
            stdin=kubeadm.public_config(site),
            timeout=1800,
            is_kubeadm_work=host is site.first_control_plane,  # init would pull them itself
        )
    # kubeadm only pulls the control plane's images together, and a worker needs two of them.
    pulls = "".join(
        f"{_PULL} {shlex.quote(i)} >/dev/null\necho {shlex.quote(f'pulled {images.name(i)}')}\n"
        for i in missing
    )
    return RunScript(host.name, "images", f"{pulls}{more}", timeout=1800)


def _beforehand(site: ClusterContext) -> str:
    """Pull the network's images."""
    return scripts.load("pull_images", *network.images(site), hosts_dir=CERTS)
