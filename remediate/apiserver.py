"""An apiserver that is not ready is looked at by a person: restarting it hides why.

Sources: kubernetes.io, "Kubernetes API health endpoints", "Debugging Kubernetes nodes with crictl".
"""

from facts.apiserver import Parameters, Runtime
from facts.own_apiserver import MANIFEST
from hale.change import ByHand, Change
from hale.requirement import Case


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """The installation where there is none, else where to look, in order."""
    if not fact.url:
        return (
            ByHand(f"{fact.actual}. The cluster's installation makes this master's apiserver."),
        )
    return (
        ByHand(
            f"{fact.actual}. On {case.host_name}: `crictl ps -a --name kube-apiserver` and `crictl "
            "logs <container>`; if there is no container, `journalctl -u kubelet -n 100` and "
            f"{MANIFEST}. A check called etcd that fails is HA-ETCD-MEMBERS'. One master at a time."
        ),
    )
