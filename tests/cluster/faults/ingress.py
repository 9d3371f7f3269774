"""Faults of an ingress: its class, its controller, its routes. The lab's cluster has none before.

The controller is a stand-in: the lab's echo under the label of Traefik. It answers every host
and path, which a controller must not.
"""

from lab.faults.fault import fail
from tests.cluster.faults import fault
from tests.cluster.faults.fault import FIRST, Both, ClusterFault

NAMESPACE = "ingress-fault"
CLASS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: fault}
spec: {controller: traefik.io/ingress-controller}
"""
CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: ingress-fault}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app.kubernetes.io/name: traefik}}
  template:
    metadata: {labels: {app.kubernetes.io/name: traefik}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {matchLabels: {app.kubernetes.io/name: traefik}}
      containers:
      - {name: edge, image: ECHO, readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: ingress-fault}
spec: {selector: {app.kubernetes.io/name: traefik}, ports: [{port: 80, targetPort: 8080}]}
"""
ROUTE = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: ingress-fault}
spec:
  ingressClassName: fault
  rules:
  - host: web.fault.example
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: SERVICE, port: {number: 80}}}}]
"""
EMPTY = """
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: ingress-fault}
spec: {selector: {app: none}, ports: [{port: 80}]}
"""


def with_objects(*objects: str, replicas: int = 2, service: str = "edge") -> Both:
    """Objects in a namespace of their own, which goes again with all that is in it."""
    text = "---".join(objects).replace("REPLICAS", str(replicas)).replace("SERVICE", service)
    return fault.with_objects(NAMESPACE, text, "ingressclass fault")


INGRESS = "CMP-INGRESS runtime @cluster"
FAULTS = (
    ClusterFault(
        "ingress class without its controller",
        FIRST,
        **with_objects(CLASS),
        turns={INGRESS: fail("no workload is an ingress controller that Hale knows")},
    ),
    ClusterFault(
        "ingress controller without a class",
        FIRST,
        **with_objects(CONTROLLER),
        turns={INGRESS: fail("no class has the controller traefik.io/ingress-controller")},
    ),
    ClusterFault(
        "ingress controller is scaled to 0",
        FIRST,
        **with_objects(CLASS, CONTROLLER, replicas=0),
        turns={INGRESS: fail("ingress-fault/edge is scaled to 0")},
    ),
    ClusterFault(
        "ingress controller is on one node alone",
        FIRST,
        **with_objects(CLASS, CONTROLLER, replicas=1),
        turns={INGRESS: fail("its ready replicas are on 1 node(s)")},
    ),
    ClusterFault(
        "ingress of a class that is not there",
        FIRST,
        **with_objects(CONTROLLER, ROUTE),
        turns={INGRESS: fail("Ingress ingress-fault/web has the class fault, which is not there")},
    ),
    ClusterFault(
        "ingress to a Service that is not there",
        FIRST,
        **with_objects(CLASS, CONTROLLER, ROUTE, service="none"),
        turns={INGRESS: fail("leads to ingress-fault/none, which is not there")},
    ),
    ClusterFault(
        "ingress to a Service without endpoints",
        FIRST,
        **with_objects(CLASS, CONTROLLER, ROUTE, EMPTY, service="empty"),
        turns={INGRESS: fail("leads to ingress-fault/empty, which has no ready endpoint")},
    ),
    ClusterFault(
        "an unknown host gets a Service of the ingress",
        FIRST,
        **with_objects(CLASS, CONTROLLER, ROUTE),
        turns={INGRESS: fail("a host without any route gets HTTP 200")},
    ),
)
