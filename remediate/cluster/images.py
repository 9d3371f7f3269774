"""Images: pulled on all hosts, from the site's repository, before anybody waits for them.

One part of the hosts after the other, with the registry to itself: the first master before init
begins, the others while init runs.

Sources: kubeadm-config-images(1); containerd's docs/hosts.md for ctr's --hosts-dir.
"""

import math
import shlex
from collections.abc import Iterable

from facts import images
from hale.install.site import GROUPS, Site
from hale.install.step import Asked, Run, Seen, Wave
from hale.inventory import Host
from remediate.cluster import kubeadm, runtime

TITLE = "Images"
NEEDS = ("runtime",)
PARTS = GROUPS
HEAD_START = math.inf


def probes(site: Site, host: Host) -> Asked:
    """The images that the host has, and those that its kubeadm wants."""
    if host not in site.part:
        return {}
    cluster = site.cluster
    return {
        images.SUBJECT: (images.probe(cluster.kubernetes_version, cluster.image_repository),),
    }


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Images that a host of its role has not."""
    said = []
    for host in site.part:
        found = images.read(seen.of(host.name, images.SUBJECT))
        if not found.wanted:
            said.append(f"{host.name}: kubeadm is not installed")
        elif missing := _missing(site, found, host):
            said.append(f"{host.name}: {' '.join(map(images.name, missing))}")
    return tuple(said)


def _missing(site: Site, found: images.Images, host: Host) -> tuple[str, ...]:
    return found.missing(master="masters" in host.groups, stacked=site.stacked)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """All that a host lacks, all hosts at once."""
    pulls = []
    for host in site.part:
        missing = _missing(site, images.read(seen.of(host.name, images.SUBJECT)), host)
        if missing:
            pulls.append(_pull(site, host, missing))
    return (Wave(tuple(pulls)),)


def _pull(site: Site, host: Host, missing: tuple[str, ...]) -> Run:
    if "masters" in host.groups:
        return Run(
            host.name,
            "images",
            f"kubeadm config images pull {kubeadm.CONFIG}",
            stdin=kubeadm.plain(site),
            timeout=1800,
            critical=host is site.first,  # which init would do itself
        )
    # kubeadm pulls a master's images only all together, and a worker needs two of them.
    pulls = "\n".join(
        f"ctr -n k8s.io images pull --hosts-dir {runtime.CERTS} {shlex.quote(i)} >/dev/null"
        f"\necho {shlex.quote(f'pulled {images.name(i)}')}"
        for i in missing
    )
    return Run(host.name, "images", pulls, timeout=1800)
