"""Faults of the dashboard that `invoke install` adds, shown on the lab's stand-in for Headlamp."""

from lab.faults.fault import fail
from tests.cluster.faults.fault import FIRST, KUBECTL, ClusterFault, on

DASHBOARD = "CMP-DASHBOARD runtime @cluster"
HEADLAMP = f"{KUBECTL} -n hale-dashboard"
OPEN = "clusterrolebinding open-to-everybody"


def bound(role: str, to: str) -> str:
    """A binding of a ClusterRole to a subject."""
    return f"{KUBECTL} create {OPEN} --clusterrole {role} {to}"


UNBOUND = f"{KUBECTL} delete {OPEN} --ignore-not-found"
FAULTS = (
    ClusterFault(
        "Headlamp is scaled to 0",
        FIRST,
        **on(
            FIRST,
            f"{HEADLAMP} scale deployment headlamp --replicas 0",
            f"{HEADLAMP} scale deployment headlamp --replicas 2",
        ),
        turns={DASHBOARD: fail("hale-dashboard/headlamp is scaled to 0")},
    ),
    ClusterFault(
        "Headlamp is bound to cluster-admin",
        FIRST,
        **on(FIRST, bound("cluster-admin", "--serviceaccount hale-dashboard:headlamp"), UNBOUND),
        turns={DASHBOARD: fail("gives it cluster-admin")},
    ),
    ClusterFault(
        "Headlamp shows objects without a login",
        FIRST,
        **on(FIRST, bound("view", "--user system:anonymous"), UNBOUND),
        turns={DASHBOARD: fail("shows the cluster's objects without a login")},
    ),
    ClusterFault(
        "Headlamp's Service leads to no port of it",
        FIRST,
        **on(
            FIRST,
            f"{HEADLAMP} patch service headlamp --type json -p"
            ' \'[{"op":"replace","path":"/spec/ports/0/targetPort","value":9}]\'',
            f"{HEADLAMP} patch service headlamp --type json -p"
            ' \'[{"op":"replace","path":"/spec/ports/0/targetPort","value":"http"}]\'',
        ),
        turns={DASHBOARD: fail("no page answers through its Services")},
    ),
)
