"""Faults of a dashboard: its replicas, rights and Service. The lab's cluster has none before.

It is a stand-in: the lab's echo under the label of Headlamp. It has no page and no login, so a
dashboard that is right is shown by recorded evidence alone.
"""

from lab.faults.fault import fail, unknown
from tests.cluster.faults import fault
from tests.cluster.faults.fault import FIRST, Both, ClusterFault

NAMESPACE = "dashboard-fault"
DASHBOARD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: board, namespace: dashboard-fault}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: board, namespace: dashboard-fault}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app.kubernetes.io/name: headlamp}}
  template:
    metadata: {labels: {app.kubernetes.io/name: headlamp}}
    spec:
      serviceAccountName: board
      terminationGracePeriodSeconds: 1
      containers:
      - {name: board, image: ECHO, readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: board, namespace: dashboard-fault}
spec:
  type: KIND
  selector: {app.kubernetes.io/name: headlamp}
  ports: [{port: 80, targetPort: 8080}]
"""
BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ROLE
metadata: {name: dashboard-fault, namespace: dashboard-fault}
rules: [{apiGroups: [""], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: BINDING
metadata: {name: dashboard-fault, namespace: dashboard-fault}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ROLE, name: NAMED}
subjects: [{kind: ServiceAccount, name: board, namespace: dashboard-fault}]
"""


def with_objects(*objects: str, **values: str) -> Both:
    """Objects in a namespace of their own, with these texts for the words in them."""
    text = "---".join(objects)
    for name, value in {"REPLICAS": "1", "KIND": "ClusterIP", **values}.items():
        text = text.replace(name, value)
    return fault.with_objects(NAMESPACE, text, f"clusterrolebinding,clusterrole {NAMESPACE}")


ROW = "CMP-DASHBOARD runtime @cluster"
FAULTS = (
    ClusterFault(
        "dashboard is scaled to 0",
        FIRST,
        **with_objects(DASHBOARD, SERVICE, REPLICAS="0"),
        turns={ROW: fail("dashboard-fault/board is scaled to 0")},
    ),
    ClusterFault(
        "dashboard without a Service",
        FIRST,
        **with_objects(DASHBOARD),
        turns={ROW: fail("no Service leads to dashboard-fault/board")},
    ),
    ClusterFault(
        "dashboard on a NodePort without TLS",
        FIRST,
        **with_objects(DASHBOARD, SERVICE, KIND="NodePort"),
        turns={ROW: fail("Service board is a NodePort without TLS")},
    ),
    ClusterFault(
        "dashboard is bound to cluster-admin",
        FIRST,
        **with_objects(
            DASHBOARD,
            SERVICE,
            BINDING,
            BINDING="ClusterRoleBinding",
            ROLE="ClusterRole",
            NAMED="cluster-admin",
        ),
        turns={ROW: fail("ClusterRoleBinding dashboard-fault gives it cluster-admin")},
    ),
    ClusterFault(
        "dashboard reads Secrets of its namespace",
        FIRST,
        **with_objects(
            DASHBOARD,
            SERVICE,
            BINDING,
            BINDING="RoleBinding",
            ROLE="Role",
            NAMED="dashboard-fault",
        ),
        turns={ROW: fail("gives it Role dashboard-fault, which reads Secrets")},
    ),
    ClusterFault(
        "dashboard whose login is not proven",
        FIRST,
        **with_objects(DASHBOARD, SERVICE),
        turns={ROW: unknown("no answer proves that its API requires a login")},
    ),
)
