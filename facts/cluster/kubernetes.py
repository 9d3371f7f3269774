"""Files of kubeadm and the kubelet on a host, and the listeners on their ports. Not a subject: the
install's phases observe it.

Sources: kubeadm, "Implementation details"; kubernetes.io, "Ports and Protocols"; ss(8).
"""

from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from facts.parsers.blanks import BLANKS, is_decimal, split_words
from hale.inventory.cluster_spec import ADMIN, KUBELET
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, load_script, script_with

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

# Hale's notes that its `kubeadm init` or `kubeadm join` has begun on this host and has not ended:
# the SHA-256 of the cluster's CA, or NO_CA, and CLEANING while the host is reset for
# another attempt.
INIT_BEGAN = "/var/lib/hale/install/init-began"
JOIN_BEGAN = "/var/lib/hale/install/join-began"
NO_CA = "none"  # of an init that makes the CA; an earlier Hale's note is empty
CLEANING = "cleaning"

# Defines certificate_digest.
CERTIFICATE_DIGEST = load_script(Path(__file__).with_name("certificate_digest.sh"))
_SCRIPT = CERTIFICATE_DIGEST + script_with(
    Path(__file__).with_suffix(".sh"),
    admin=ADMIN,
    kubelet=KUBELET,
    rotating=ROTATING,
    ca=CA,
    init_began=INIT_BEGAN,
    join_began=JOIN_BEGAN,
)
# What a join may have written before the CA.
_BEFORE_CA = frozenset({"/etc/kubernetes/bootstrap-kubelet.conf"})


class Foreign(Enum):
    """Why what kubeadm has begun on a host is not Hale's to reset."""

    NOT_BEGUN = auto()  # Hale has noted no begin
    OTHER_CLUSTER = auto()  # … or that of a join to a cluster with another CA
    OTHER_CA = auto()  # the CA on the host is not the one that was noted


class Note(NamedTuple):
    """What Hale noted before kubeadm ran. ca: the SHA-256 of the CA's certificate, or NO_CA.
    cleaning: a clean-up has begun since."""

    ca: str
    cleaning: bool = False


class Node(Struct, frozen=True):
    """files: those of FILES that exist. ports: the listening program, by port. finalised: kubeadm
    has completed its work on this host. init, join: Hale's own has begun here, and its end is not
    noted. ca: the SHA-256 of the CA's certificate here; empty for none. ca_newer: it is newer than
    the note of the init. cluster: its name in admin.conf; empty without one."""

    files: frozenset[str] = frozenset()
    finalised: bool = False
    kubelet: bool = False
    ports: dict[int, str] = {}
    init: Note | None = None
    join: Note | None = None
    ca: str = ""
    ca_newer: bool = False
    cluster: str = ""

    @property
    def began(self) -> bool:
        """Whether Hale's `kubeadm init` has begun here, and its end is not noted."""
        return self.init is not None

    @property
    def untouched(self) -> bool:
        """Whether kubeadm has never run here, or `kubeadm reset` has undone it."""
        return not self.files

    @property
    def before_init(self) -> bool:
        """Whether no `kubeadm init` has begun: the host is untouched, or has only a CA, which the
        site has put there for kubeadm to use (kubernetes.io, "Custom certificates")."""
        return self.untouched or (self.files == {CA} and not self.began)

    def foreign_init(self) -> Foreign | None:
        """Why what is here is not an init that Hale began; None where it is."""
        if self.init is None:
            return Foreign.NOT_BEGUN
        if self.init.ca == NO_CA:
            return None if self.ca_newer or self._may_lack_ca(self.init) else Foreign.OTHER_CA
        return self._foreign_ca(self.init, self.init.ca)

    def foreign_join(self, ca: str) -> Foreign | None:
        """Why what is here is not a join to the cluster of this CA that Hale began; None where it
        is. ca: the SHA-256 of its certificate."""
        if self.join is None:
            return Foreign.NOT_BEGUN
        if self.join.ca != ca:
            return Foreign.OTHER_CLUSTER
        return self._foreign_ca(self.join, ca)

    def _foreign_ca(self, note: Note, ca: str) -> Foreign | None:
        return None if self.ca == ca or self._may_lack_ca(note) else Foreign.OTHER_CA

    def _may_lack_ca(self, note: Note) -> bool:
        """Whether there is no CA here, and need be none: it was not written yet, or removed by
        Hale."""
        empty = CA in self.files  # after a power cut
        return not self.ca and (note.cleaning or empty or self.files <= _BEFORE_CA)

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
        _note(values, "init"),
        _note(values, "join"),
        values.get("ca", ""),
        "newer" in values,
        values.get("cluster", "").strip("\"'"),
    )


def _note(values: Mapping[str, str], name: str) -> Note | None:
    if name not in values:
        return None
    ca, *more = split_words(values[name]) or [NO_CA]
    return Note(ca, CLEANING in more)


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
