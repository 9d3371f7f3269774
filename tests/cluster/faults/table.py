"""All faults of a cluster, in the order in which they are injected and of docs/proofs.md."""

from tests.cluster.faults import (
    certificates,
    control_plane,
    dashboard,
    endpoint,
    ingress,
    network,
    nodes,
    reboots,
)
from tests.cluster.faults.fault import ClusterFault

FAULTS: tuple[ClusterFault, ...] = (
    *endpoint.FAULTS,
    *nodes.FAULTS,
    *network.FAULTS,
    *ingress.FAULTS,
    *dashboard.FAULTS,
    *certificates.FAULTS,
    *control_plane.FAULTS,
    *reboots.FAULTS,
)
