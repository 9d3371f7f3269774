"""The apiserver behind the VIP comes with the cluster's installation.

Sources: kubeadm, "Creating Highly Available Clusters with kubeadm", "PKI certificates and
requirements", `kubeadm init phase certs apiserver`; keepalived(8); haproxy(1).
"""

from facts.apiserver_vip import CA, ApiserverVipParameters, ApiserverVipRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: ApiserverVipRuntime, case: Case[ApiserverVipParameters]) -> tuple[Remedy, ...]:
    """The installation where the host has not joined, else where to look, in order."""
    if not fact.joined:
        return (
            ManualStep(
                f"{fact.actual}. The cluster's installation joins this host, and {CA} comes with "
                "that."
            ),
        )
    endpoint = case.inventory.endpoint
    return (
        ManualStep(
            f"{fact.actual}. First the name (`getent ahosts {endpoint.names[0]}`, HOSTS-VIP), then "
            f"who has the VIP (`ip -br addr` on the masters; `systemctl status keepalived "
            f"haproxy`), then each master's own apiserver (`curl --cacert {CA} https://<master>:"
            "6443/livez`, `crictl ps -a --name kube-apiserver`). A certificate without the name or "
            "the VIP is made anew on each master, one at a time: certSANs in the cluster's "
            "configuration, move /etc/kubernetes/pki/apiserver.crt and .key away, `kubeadm init "
            "phase certs apiserver --config <file>`, restart the apiserver."
        ),
    )
