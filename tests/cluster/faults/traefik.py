"""Faults of the ingress that `invoke install` adds: Traefik, with the routes of test_routed.py."""

from lab.faults.fault import fail
from tests.cluster.faults.fault import FIRST, KUBECTL, WORKERS, ClusterFault, on

INGRESS = "CMP-INGRESS runtime @cluster"
TRAEFIK = f"{KUBECTL} -n hale-ingress"
CLASS = f"""{KUBECTL} apply --server-side --force-conflicts -f - <<"END"
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: traefik}}
spec: {{controller: traefik.io/ingress-controller}}
END"""


def selected(labels: str) -> str:
    """Traefik on nodes with these labels (JSON) alone."""
    pod = f'{{"spec":{{"template":{{"spec":{{"nodeSelector":{labels}}}}}}}}}'
    return f"{TRAEFIK} patch daemonset traefik -p '{pod}'"


FAULTS = (
    ClusterFault(
        "Traefik runs on no node",
        FIRST,
        **on(FIRST, selected('{"none":"none"}'), selected("null")),
        turns={INGRESS: fail("hale-ingress/traefik is scaled to 0")},
    ),
    ClusterFault(
        "Traefik runs on one node alone",
        FIRST,
        **on(
            FIRST,
            selected(f'{{"kubernetes.io/hostname":"{WORKERS[0]}"}}'),
            selected("null"),
        ),
        turns={INGRESS: fail(f"its ready replicas are on 1 node(s): {WORKERS[0]}")},
    ),
    ClusterFault(
        "Traefik's class is removed",
        FIRST,
        **on(FIRST, f"{KUBECTL} delete ingressclass traefik", CLASS),
        turns={INGRESS: fail("has the class traefik, which is not there")},
    ),
    ClusterFault(
        "an unknown host gets a Service by Traefik's default backend",
        FIRST,
        **on(
            FIRST,
            f"{KUBECTL} -n lab create ingress leak --class traefik --default-backend echo:80",
            f"{KUBECTL} -n lab delete ingress leak --ignore-not-found",
        ),
        turns={INGRESS: fail("a host without any route gets HTTP 200")},
    ),
)
