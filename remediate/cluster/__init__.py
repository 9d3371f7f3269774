"""The phases of an install, one class per file; and `reset`, which is not a phase.

All are pure: they turn the observations of facts/ and the inventory into steps. See
hale/install/phase.py.
"""

from hale.install.phase import Phase
from remediate.cluster.addons import Addons
from remediate.cluster.dashboard import Dashboard
from remediate.cluster.dns import CoreDnsSpread
from remediate.cluster.federation import Federation
from remediate.cluster.images import PullImages
from remediate.cluster.ingress import Ingress
from remediate.cluster.init import KubeadmInit
from remediate.cluster.load_balancer import LoadBalancer
from remediate.cluster.masters import JoinControlPlane
from remediate.cluster.network import PodNetwork
from remediate.cluster.packages import InstallPackages
from remediate.cluster.ready import NodesReady
from remediate.cluster.readyz import VerifiedHealthChecks
from remediate.cluster.runtime import ContainerRuntime
from remediate.cluster.workers import JoinWorkers

# In the order in which they are listed, and started where several may start. Each follows the
# phases in its DEPENDS_ON.
PHASES: tuple[Phase, ...] = (
    InstallPackages(),
    ContainerRuntime(),
    LoadBalancer(),
    PullImages(),
    KubeadmInit(),
    VerifiedHealthChecks(),
    PodNetwork(),
    JoinControlPlane(),
    JoinWorkers(),
    CoreDnsSpread(),
    Ingress(),
    Dashboard(),
    Federation(),
    Addons(),
    NodesReady(),
)
