"""Faults of the ingress that `invoke install` adds: Traefik, with the routes of test_routed.py."""

from lab.faults.fault import fail
from lab.faults.network import NO_TABLE, on_arrival
from tests.cluster.faults import tls_secret
from tests.cluster.faults.fault import (
    ADDRESS,
    FIRST,
    KUBECTL,
    NODE,
    OTHER_NODE,
    WORKERS,
    Both,
    ClusterFault,
    on,
)

INGRESS = "CMP-INGRESS runtime @cluster"
TRAEFIK = f"{KUBECTL} -n hale-ingress"
CLASS = f"""{KUBECTL} apply --server-side --force-conflicts -f - <<"END"
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: traefik}}
spec: {{controller: traefik.io/ingress-controller}}
END"""


# The certificate of the route over TLS, which test_routed.py makes. It is for a wildcard, so that
# one for the host itself takes its place (Traefik prefers the more specific name).
TLS_HOST = "tls.lab.example"
SITE = tls_secret.certificate("*.lab.example")


def applied(text: str) -> str:
    """These objects, made or changed."""
    return f"{KUBECTL} apply -f - <<'END'\n{text}\nEND"


SITE_SECRET = tls_secret.manifest("site", SITE)
RESTORED = applied(SITE_SECRET)
EXPIRED = tls_secret.certificate(TLS_HOST, until=-tls_secret.DAY)
OTHER_NAME = tls_secret.certificate("tls.other.example")
OTHER_KEY = (SITE[0], OTHER_NAME[1])
SPECIFIC = tls_secret.certificate(TLS_HOST, "specific.lab.example")
SPECIFIC_ROUTE = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: specific, namespace: lab}
spec:
  ingressClassName: traefik
  tls: [{hosts: [specific.lab.example], secretName: specific}]
  rules:
  - host: specific.lab.example
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}]
"""


ANNOTATE = f"{KUBECTL} -n lab annotate ingress secure nginx.ingress.kubernetes.io/ssl-redirect"


def selected(labels: str) -> str:
    """Traefik on nodes with these labels (JSON) alone."""
    pod = f'{{"spec":{{"template":{{"spec":{{"nodeSelector":{labels}}}}}}}}}'
    return f"{TRAEFIK} patch daemonset traefik -p '{pod}'"


def instead(node: str, port: int, program: int) -> Both:
    """Another program of this worker answers at its port: the one that listens on `program`."""
    rule = f"ip daddr {ADDRESS[node]} tcp dport {port} redirect to :{program}"
    return on(
        node,
        "nft add table ip fault && nft 'add chain ip fault in"
        # Before the CNI's own redirection, which is at -100.
        " { type nat hook prerouting priority -150; }'"
        f" && nft 'add rule ip fault in {rule}'",
        "nft delete table ip fault",
    )


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
    ClusterFault(
        "the Secret of a route's certificate is removed",
        FIRST,
        **on(FIRST, f"{KUBECTL} -n lab delete secret site", RESTORED),
        turns={INGRESS: fail(f"the Secret lab/site for TLS of {TLS_HOST} is not there")},
    ),
    ClusterFault(
        "a route's certificate has expired",
        FIRST,
        **on(FIRST, applied(tls_secret.manifest("site", EXPIRED)), RESTORED),
        turns={INGRESS: fail(f"for TLS of {TLS_HOST}: its certificate expired on 2")},
    ),
    ClusterFault(
        "a route's certificate is for another name",
        FIRST,
        **on(FIRST, applied(tls_secret.manifest("site", OTHER_NAME)), RESTORED),
        turns={INGRESS: fail(f"for TLS of {TLS_HOST} has a certificate for tls.other.example")},
    ),
    ClusterFault(
        "a route's key is of another certificate: Traefik serves its own",
        FIRST,
        **on(FIRST, applied(tls_secret.manifest("site", OTHER_KEY)), RESTORED),
        turns={INGRESS: fail("gets the controller's own certificate, and not that of the Secret")},
    ),
    ClusterFault(
        "another route's certificate is served for a name that both cover",
        FIRST,
        **on(
            FIRST,
            f"{applied(tls_secret.manifest('specific', SPECIFIC))}\n{applied(SPECIFIC_ROUTE)}",
            f"{KUBECTL} -n lab delete --ignore-not-found ingress/specific secret/specific",
        ),
        turns={INGRESS: fail(f"gets a certificate for {TLS_HOST} specific.lab.example, and not")},
    ),
    ClusterFault(
        "a redirect to HTTPS that Traefik does not make",
        FIRST,
        **on(
            FIRST,
            f"{ANNOTATE}=true",
            f"{ANNOTATE}-",
        ),
        turns={INGRESS: fail(f"Ingress lab/secure wants a redirect to HTTPS: {TLS_HOST}/")},
    ),
    ClusterFault(
        "a firewall in front of a worker drops the ingress's ports",
        OTHER_NODE,
        **on(
            OTHER_NODE,
            on_arrival(f"ip daddr {ADDRESS[OTHER_NODE]} tcp dport {{ 80, 443 }} drop"),
            NO_TABLE,
        ),
        turns={INGRESS: fail(f"port 80 of {OTHER_NODE}, which has a replica: no answer in time")},
    ),
    ClusterFault(
        "a firewall in front of a worker drops the ingress's port 443 for one master",
        NODE,
        **on(
            NODE,
            on_arrival(
                f"ip saddr {ADDRESS[FIRST]} ip daddr {ADDRESS[NODE]} tcp dport 443 drop",
            ),
            NO_TABLE,
        ),
        turns={INGRESS: fail(f"{FIRST}: port 443 of {NODE}, which has a replica: no answer in")},
    ),
    ClusterFault(
        "another program of a worker answers at the ingress's port 80",
        NODE,
        **instead(NODE, 80, 10256),  # kube-proxy's, which has no page for this path either
        turns={INGRESS: fail(f"shop.lab.example/ over http at {NODE}: HTTP 404; at ")},
    ),
    ClusterFault(
        "another program of a worker answers at the ingress's port 443",
        OTHER_NODE,
        **instead(OTHER_NODE, 443, 10250),  # the kubelet's
        turns={INGRESS: fail(f"{TLS_HOST} over TLS at {OTHER_NODE} gets a certificate for ")},
    ),
)
