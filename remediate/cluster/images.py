"""Images: pulled on all hosts, from the site's repository, before anybody waits for them.

The first master gets its own before init begins, with the registry to itself; the others pull
while init runs.

Sources: kubeadm-config-images(1); containerd's docs/hosts.md for ctr's --hosts-dir.
"""

import shlex
from collections.abc import Iterable

from facts import images
from hale.install.site import Site
from hale.install.step import Asked, Run, Seen, Wave
from hale.inventory import Host
from remediate.cluster import kubeadm, runtime

TITLE = "Images"
NEEDS = ("runtime",)


def probes(site: Site, host: Host) -> Asked:
    """The images that the host has, and those that its kubeadm wants."""
    cluster = site.cluster
    return {
        images.SUBJECT: (images.probe(cluster.kubernetes_version, cluster.image_repository),),
    }


def left(site: Site, seen: Seen) -> tuple[str, ...]:
    """Images that a host of its role has not."""
    said = []
    for host in site.hosts:
        found = images.read(seen.of(host.name, images.SUBJECT))
        if not found.wanted:
            said.append(f"{host.name}: kubeadm is not installed")
        elif missing := _missing(found, host):
            said.append(f"{host.name}: {' '.join(map(images.name, missing))}")
    return tuple(said)


def _missing(found: images.Images, host: Host) -> tuple[str, ...]:
    return found.missing(master="masters" in host.groups)


def waves(site: Site, seen: Seen) -> Iterable[Wave]:
    """The first master alone, the others beside what follows."""
    first: list[Run] = []
    others: list[Run] = []
    for host in site.hosts:
        missing = _missing(images.read(seen.of(host.name, images.SUBJECT)), host)
        if missing:
            (first if host is site.first else others).append(_pull(site, host, missing))
    yield Wave(tuple(first))
    yield Wave(tuple(others), background=True)


def _pull(site: Site, host: Host, missing: tuple[str, ...]) -> Run:
    if "masters" in host.groups:
        return Run(
            host.name,
            "images",
            f"kubeadm config images pull {kubeadm.CONFIG}",
            stdin=kubeadm.plain(site),
            timeout=1800,
        )
    # kubeadm pulls a master's images only all together, and a worker needs two of them.
    pulls = "\n".join(
        f"ctr -n k8s.io images pull --hosts-dir {runtime.CERTS} {shlex.quote(i)} >/dev/null"
        f"\necho {shlex.quote(f'pulled {images.name(i)}')}"
        for i in missing
    )
    return Run(host.name, "images", pulls, timeout=1800)
