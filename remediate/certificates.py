"""Certificates are renewed by kubeadm, the kubelet or a plan, never by writing a file.

Sources: kubernetes.io, "Certificate Management with kubeadm", "Manual Rotation of CA Certificates",
"Configure Certificate Rotation for the Kubelet".
"""

from facts.certificates import CertificatesParameters, CertificatesRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: CertificatesRuntime, case: Case[CertificatesParameters]) -> tuple[Remedy, ...]:
    """How they are renewed: kubeadm's by kubeadm, the kubelet's by itself, CAs by a plan."""
    if case.requirement.role == "all":
        how = (
            "The kubelet renews this one by itself: `journalctl -u kubelet | grep -i certificate`, "
            "and `kubectl get csr` for requests that nobody approved. One that has run out is made "
            "anew by `kubeadm kubeconfig user` on a master, or by joining the host again."
        )
    elif any("ca.crt" in path for path in case.parameters.files):
        how = (
            'A CA is replaced by a plan of days (kubernetes.io, "Manual Rotation of CA '
            'Certificates"), with both of them trusted meanwhile.'
        )
    else:
        how = (
            "`kubeadm certs check-expiration`, then on one master at a time `kubeadm certs renew "
            "all`, and restart its four static pods (move their manifests away for 20 s); see "
            "that etcd and the apiserver are whole before the next one."
        )
    return (ManualStep(f"{fact.actual}; {case.parameters.days} more days are wanted. {how}"),)
