"""The Deployment that must keep its replicas: one on every node, of an image that all have.

Its image is the one that every Pod's sandbox is made of, which each node has already; so a
replica that comes back shows the cluster's healing and no registry's speed. A replica leaves a
node that is taken for dead after TOLERANCE instead of the five minutes that are usual.

Sources: kubernetes.io, "Pod Topology Spread Constraints", "Taints and Tolerations: Taint based
Evictions", "Assigning Pods to Nodes".
"""

import json
import re
from typing import Any

NAME = "hale-drill"  # of the namespace and of the Deployment
TOLERANCE = 2  # seconds
ADMIN = "/etc/kubernetes/admin.conf"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

#: Shell, as root on a master: the image of the sandboxes, as containerd has it configured.
IMAGE = r"""
containerd config dump 2>/dev/null |
  sed -n "s/^ *sandbox\(_image\)\{0,1\} *= *[\"']\([^\"']*\)[\"'].*/\2/p" | head -n 1
"""


def manifest(image: str, replicas: int) -> str:
    """Namespace and Deployment, as JSON that kubectl takes."""
    if not re.fullmatch(r"[\w][\w./:@-]*", image):
        raise ValueError(f"{image!r} is no name of an image")
    labels = {"app": NAME}
    metadata: dict[str, Any] = {"name": NAME, "labels": labels}
    away = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": TOLERANCE,
        }
        for why in ("not-ready", "unreachable")
    ]
    container = {
        "name": "pause",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 65535},
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [
            {"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"},
            *away,
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                # A node that was lost does not count, or nobody could take its replica.
                "nodeTaintsPolicy": "Honor",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [container],
    }
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAME,
            "labels": {**labels, "pod-security.kubernetes.io/enforce": "baseline"},
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "namespace": NAME},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, deployment]})
