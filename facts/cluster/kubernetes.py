"""Files of kubeadm and the kubelet on a host, and the listeners on their ports. Not a subject: the
install's phases observe it.

Sources: kubeadm, "Implementation details"; kubernetes.io, "Ports and Protocols"; ss(8).
"""

from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS, is_decimal
from hale.inventory.cluster_spec import ADMIN, KUBELET
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, script_with

SUBJECT = "kubernetes"

# Files that show how far kubeadm got.
FILES = (
    ADMIN,
    KUBELET,
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/pki/ca.crt",
    "/var/lib/kubelet/config.yaml",
)
# Only where etcd is stacked; otherwise the data there belongs to the site.
ETCD_DATA = "/var/lib/etcd/member"
CA = "/etc/kubernetes/pki/ca.crt"
# In the last phase of init that concerns this host, kubeadm writes the path of the rotating
# certificate into kubelet.conf; after a join, the kubelet does.
ROTATING = "kubelet-client-current.pem"

# The HTTP status of this host's own apiserver; 000 without an answer.
READYZ = f"""\
curl -q -s --noproxy '*' --max-time 3 --cacert {CA} --capath /dev/null \\
  --resolve kubernetes:6443:127.0.0.1 -o /dev/null -w '%{{http_code}}' https://kubernetes:6443/readyz"""

# Hale's note that its `kubeadm init` has begun on this host and has not ended.
BEGAN = "/var/lib/hale/install/init-began"

_SCRIPT = script_with(
    Path(__file__).with_suffix(".sh"), kubelet=KUBELET, rotating=ROTATING, began=BEGAN
)


class Node(Struct, frozen=True):
    """files: those of FILES that exist. ports: the listening program, by port. finalised: kubeadm
    has completed its work on this host. began: Hale's `kubeadm init` has begun here, and its end
    is not noted."""

    files: frozenset[str] = frozenset()
    finalised: bool = False
    kubelet: bool = False
    ports: dict[int, str] = {}
    began: bool = False

    @property
    def untouched(self) -> bool:
        """Whether kubeadm has never run here, or `kubeadm reset` has undone it."""
        return not self.files

    @property
    def before_init(self) -> bool:
        """Whether no `kubeadm init` has begun: the host is untouched, or has only a CA, which the
        site has put there for kubeadm to use (kubernetes.io, "Custom certificates")."""
        return self.untouched or (self.files == {CA} and not self.began)

    @property
    def admin(self) -> bool:
        """Whether kubectl can be used here."""
        return ADMIN in self.files


def kubeadm_files(*, stacked: bool) -> tuple[str, ...]:
    """The files of kubeadm's own; stacked: etcd's data too."""
    return (*FILES, ETCD_DATA) if stacked else FILES


def probe(*, stacked: bool) -> CommandProbe:
    """The probe for all of it. stacked: etcd's data is kubeadm's too."""
    return CommandProbe("node", f"{arguments(*kubeadm_files(stacked=stacked))}{_SCRIPT}")


@parsed
def read(readings: HostView) -> Node:
    """How far kubeadm got on this host. Raises Unreadable."""
    files: set[str] = set()
    ports: dict[int, str] = {}
    values: dict[str, str] = {}
    for line in readings.output("node").lines:
        word, _, rest = line.partition(" ")
        if word == "file":
            files.add(rest)
        elif word == "port":
            port, _, who = rest.partition(" ")
            if not is_decimal(port):
                raise Unreadable(f"the answer is garbled: {line[:80]!r}")
            ports[int(port)] = who
        else:
            values[word] = rest
    if "kubelet" not in values:
        raise Unreadable("the answer is truncated")
    return Node(
        frozenset(files),
        "rotating" in values,
        values["kubelet"] == "active",
        ports,
        "began" in values,
    )


def readyz() -> CommandProbe:
    """A request to this host's own apiserver, which may take seconds while it starts."""
    manifest = FILES[4]
    return CommandProbe(
        "readyz", f"[ ! -r {CA} ] || [ ! -e {manifest} ] || {READYZ} || :", slow=True
    )


@parsed
def ready(readings: HostView) -> bool:
    """Whether that apiserver reports itself ready. Raises Unreadable."""
    return readings.output("readyz").text.strip(BLANKS) == "200"
