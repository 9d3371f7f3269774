"""The control plane's images that a host has. Not a subject: the install's phases observe it.

Sources: kubeadm-config-images(1); ctr, `images ls`.
"""

import shlex

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, parsed

SUBJECT = "images"
# The images that a worker needs.
WORKER = ("pause", "kube-proxy")

_SCRIPT = """\
command -v kubeadm >/dev/null && command -v ctr >/dev/null || { echo absent; exit 0; }
kubeadm config images list --kubernetes-version %s %s 2>/dev/null | sed 's/^/want /' || exit 3
ctr -n k8s.io images ls -q 2>/dev/null | sed 's/^/have /'
"""


class Images(Struct, frozen=True):
    """wanted: the images that this host's kubeadm lists; empty where there is no kubeadm."""

    wanted: tuple[str, ...] = ()
    present: frozenset[str] = frozenset()

    def missing(self, *, master: bool, stacked: bool) -> tuple[str, ...]:
        """The images that a host of this role lacks; etcd's only where etcd is stacked."""
        return tuple(
            i
            for i in self.wanted
            if i not in self.present
            and (master or name(i) in WORKER)
            and (stacked or name(i) != "etcd")
        )


def name(image: str) -> str:
    """The last part of an image's name: `pause` for registry/k8s/pause:3.10."""
    return image.rpartition("/")[2].partition(":")[0]


def probe(version: str, repository: str) -> CommandProbe:
    """The probe for the images of that version of Kubernetes."""
    where = f"--image-repository {shlex.quote(repository)}" if repository else ""
    return CommandProbe("images", _SCRIPT % (shlex.quote(f"v{version}"), where), timeout=20)


@parsed
def read(readings: HostView) -> Images:
    """The host's images. Raises Unreadable."""
    listed: dict[str, list[str]] = {"want": [], "have": []}
    for line in readings.output("images").lines:
        word, _, rest = line.partition(" ")
        if word in listed:
            listed[word].append(rest)
    return Images(tuple(listed["want"]), frozenset(listed["have"]))
