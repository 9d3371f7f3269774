"""What kubeadm and the kubelet have left on a host, and who listens on their ports. No subject of
its own: the install's phases ask.

Sources: kubeadm, "Implementation details"; kubernetes.io, "Ports and Protocols"; ss(8).
"""

from msgspec import Struct

from hale.inventory.cluster_spec import ADMIN
from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "kubernetes"

# Files by which one can tell how far kubeadm came.
FILES = (
    ADMIN,
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/pki/ca.crt",
    "/var/lib/kubelet/config.yaml",
)
# Where etcd is stacked; else the data there is the site's own.
ETCD_DATA = "/var/lib/etcd/member"
KUBELET = FILES[1]
CA = "/etc/kubernetes/pki/ca.crt"
# The last of init's phases that is about this host; kubeadm writes the rotating certificate's
# path into kubelet.conf then, and the kubelet does the same when a join has brought it in.
ROTATING = "kubelet-client-current.pem"

# What this host's own apiserver answers, as HTTP status; 000 where nobody does.
READYZ = f"""\
curl -q -s --noproxy '*' --max-time 3 --cacert {CA} --capath /dev/null \\
  --resolve kubernetes:6443:127.0.0.1 -o /dev/null -w '%{{http_code}}' https://kubernetes:6443/readyz"""

_SCRIPT = f"""\
for f in {" ".join(FILES)} $etcd; do [ ! -e $f ] || echo "file $f"; done
! grep -qs {ROTATING} {KUBELET} || echo rotating
echo "kubelet $(systemctl is-active kubelet 2>/dev/null)"
command -v ss >/dev/null || {{ echo "ss (iproute2) is missing" >&2; exit 127; }}
ss -Hltnp | while read -r _ _ _ at _ who; do
  who=${{who#*\\"}}
  echo "port ${{at##*:}} ${{who%%\\"*}}"
done
"""


class Node(Struct, frozen=True):
    """files: of FILES, those that are there. ports: who listens, by port. finalised: kubeadm has
    come through with this host itself."""

    files: frozenset[str] = frozenset()
    finalised: bool = False
    kubelet: bool = False
    ports: dict[int, str] = {}

    @property
    def untouched(self) -> bool:
        """Whether kubeadm has never worked here, or `kubeadm reset` has since."""
        return not self.files

    @property
    def admin(self) -> bool:
        """Whether kubectl can be used here."""
        return ADMIN in self.files


def probe(*, stacked: bool) -> CommandProbe:
    """Asks for all of it. stacked: etcd's data is kubeadm's too."""
    return CommandProbe("node", f"etcd={ETCD_DATA if stacked else ''}\n{_SCRIPT}")


def read(readings: HostView) -> Node:
    """How far kubeadm came here. Raises Unreadable."""
    files: set[str] = set()
    ports: dict[int, str] = {}
    values: dict[str, str] = {}
    for line in readings.output("node").lines:
        word, _, rest = line.partition(" ")
        if word == "file":
            files.add(rest)
        elif word == "port":
            port, _, who = rest.partition(" ")
            if not port.isdecimal():
                raise Unreadable(f"the answer is garbled: {line[:80]!r}")
            ports[int(port)] = who
        else:
            values[word] = rest
    if "kubelet" not in values:
        raise Unreadable("the answer breaks off")
    return Node(
        frozenset(files),
        "rotating" in values,
        values["kubelet"] == "active",
        ports,
    )


def readyz() -> CommandProbe:
    """Asks this host's own apiserver, which may take seconds while it begins."""
    manifest = FILES[4]
    return CommandProbe(
        "readyz", f"[ ! -r {CA} ] || [ ! -e {manifest} ] || {READYZ} || :", slow=True
    )


def ready(readings: HostView) -> bool:
    """Whether that apiserver says that it is ready. Raises Unreadable."""
    return readings.output("readyz").text.strip() == "200"
