"""All faults of a cluster, in the order in which they are injected and of docs/proofs.md."""

from tests.cluster.faults import certificates, control_plane, endpoint, nodes
from tests.cluster.faults.fault import ClusterFault

# Written, and not yet seen to turn exactly their rows: out of the run and of docs/proofs.md
# until they are.
NOT_SEEN = {
    "one node gets a wrong address",
    "the apiserver's certificate for kubelets runs out soon",
    "etcd's certificate for its peers runs out soon",
    "the front proxy's certificate has run out",
    "the scheduler's kubeconfig runs out soon",
    "the administrator's kubeconfig has run out",
    "the kubelet's certificate is not renewed",
    "one etcd is away",
    "a member of etcd was removed",
    "one apiserver is away",
    "a flag of one scheduler was changed by hand",
    "kubectl has no kubeconfig",
    "one scheduler is away",
    "one controller-manager hangs",
    "no scheduler leads",
    "nobody may renew the scheduler's lease",
}

WRITTEN: tuple[ClusterFault, ...] = (
    *endpoint.FAULTS,
    *nodes.FAULTS,
    *certificates.FAULTS,
    *control_plane.FAULTS,
)
FAULTS = tuple(fault for fault in WRITTEN if fault.name not in NOT_SEEN)
