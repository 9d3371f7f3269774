"""All faults of a cluster, in the order in which they are injected and of docs/proofs.md."""

<<<<<<< HEAD
from tests.cluster.faults import (
    certificates,
    control_plane,
    dashboard,
    endpoint,
    ingress,
    nodes,
    reboots,
)
=======
from tests.cluster.faults import certificates, control_plane, endpoint, nodes
>>>>>>> s9-ingress
from tests.cluster.faults.fault import ClusterFault

FAULTS: tuple[ClusterFault, ...] = (
    *endpoint.FAULTS,
    *nodes.FAULTS,
    *certificates.FAULTS,
    *control_plane.FAULTS,
    *reboots.FAULTS,
)
