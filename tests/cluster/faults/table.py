"""All faults of a cluster, in the order in which they are injected and of docs/proofs.md."""

from tests.cluster.faults import certificates, control_plane, endpoint, nodes
from tests.cluster.faults.fault import ClusterFault

# Written, and not yet seen to turn exactly their rows: out of the run and of docs/proofs.md
# until they are.
NOT_SEEN: set[str] = set()

WRITTEN: tuple[ClusterFault, ...] = (
    *endpoint.FAULTS,
    *nodes.FAULTS,
    *certificates.FAULTS,
    *control_plane.FAULTS,
)
FAULTS = tuple(fault for fault in WRITTEN if fault.name not in NOT_SEEN)
