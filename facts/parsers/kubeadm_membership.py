"""Whether a host is already a node of a cluster. Not a subject: remedies use it.

The evidence is a file that kubeadm writes on every host that joins, master or worker, and that
`kubeadm reset` removes. kubelet.conf would show it too, but may contain a private key, so it is
not read.

Source: kubeadm, "Implementation details": the kubelet's configuration, the certificates.
"""

from facts.parsers import kubelet_config
from hale.model.evidence import EXISTENCE, HostView, Unreadable, select

FILES = select(EXISTENCE, kubelet_config.PATH, "/etc/kubernetes/pki/ca.crt")


def membership_file(readings: HostView) -> str:
    """The file that shows it, or why it is unknown; empty where the host has not joined."""
    try:
        found = readings.files(*FILES)
    except Unreadable as error:
        return f"membership unknown: {error}"
    return found[0].path if found else ""
