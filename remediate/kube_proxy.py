"""kube-proxy is a DaemonSet, and its mode the whole cluster's: neither is one host's to change.

Sources: kubernetes.io, "Virtual IPs and Service Proxies"; kubeadm's implementation details.
"""

from facts.kube_proxy import KubeProxyParameters, KubeProxyRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: KubeProxyRuntime, case: Case[KubeProxyParameters]) -> tuple[Remedy, ...]:
    """How the mode is changed, and rules that somebody took away come back."""
    return (
        ManualStep(
            f"{fact.actual}. Its pod on {case.host_name}: `kubectl -n kube-system get pods -l "
            "k8s-app=kube-proxy -o wide`, and its logs. Rules come back when that pod is deleted; "
            "find out first who took them away (firewalld, an nftables.service that loads a "
            "ruleset of its own). The mode is `mode` in the ConfigMap kube-system/kube-proxy, here "
            f"{case.parameters.mode}: change it there, and delete the pods node by node. Where "
            "there is no cluster yet, its installation makes it."
        ),
    )
