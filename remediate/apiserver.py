"""An apiserver that is not ready is looked at by a person: restarting it hides why.

Sources: kubernetes.io, "Kubernetes API health endpoints", "Debugging Kubernetes nodes with crictl".
"""

from facts.apiserver import ApiserverParameters, ApiserverRuntime
from facts.parsers.local_apiserver import MANIFEST
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: ApiserverRuntime, case: Case[ApiserverParameters]) -> tuple[Remedy, ...]:
    """The installation where there is none, else where to look, in order."""
    if not fact.url:
        return (
            ManualStep(f"{fact.actual}. The cluster's installation makes this master's apiserver."),
        )
    return (
        ManualStep(
            f"{fact.actual}. On {case.host_name}: `crictl ps -a --name kube-apiserver` and `crictl "
            "logs <container>`; if there is no container, `journalctl -u kubelet -n 100` and "
            f"{MANIFEST}. A check called etcd that fails is HA-ETCD-MEMBERS'. One master at a time."
        ),
    )
