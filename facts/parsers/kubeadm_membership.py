"""Whether a host is a node of a cluster already. No subject of its own: remedies ask for it.

What kubeadm writes on every host that joins, master or worker, and `kubeadm reset` removes.
kubelet.conf would tell as well, but may hold a key, which nobody needs to read.

Source: kubeadm, "Implementation details": the kubelet's configuration, the certificates.
"""

from hale.model.evidence import HostView, Unreadable

FILES = ("/var/lib/kubelet/config.yaml", "/etc/kubernetes/pki/ca.crt")


def membership_file(readings: HostView) -> str:
    """The file that shows it, or why it cannot be told; empty where the host has not joined."""
    try:
        found = readings.files(*FILES)
    except Unreadable as error:
        return f"cannot be told: {error}"
    return found[0].path if found else ""
