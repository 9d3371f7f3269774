"""The workload of a drill: a Deployment with one replica on every node.

Its image is the sandbox image, which every node already has, so the time of recovery does not
depend on a registry. Its Pods are evicted from a node that is considered dead after
EVICTION_DELAY instead of the default five minutes.

Sources: kubernetes.io, "Pod Topology Spread Constraints", "Taints and Tolerations: Taint based
Evictions", "Assigning Pods to Nodes".
"""

import json
import re
from typing import Any

NAME = "hale-drill"  # of the namespace and the Deployment
EVICTION_DELAY = 2  # seconds
ADMIN = "/etc/kubernetes/admin.conf"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

#: Shell, run as root on a master: the sandbox image of containerd's configuration.
IMAGE = r"""
containerd config dump 2>/dev/null |
  sed -n "s/^ *sandbox\(_image\)\{0,1\} *= *[\"']\([^\"']*\)[\"'].*/\2/p" | head -n 1
"""


def manifest(image: str, replicas: int) -> str:
    """Namespace and Deployment, as JSON for kubectl."""
    labels = {"app": NAME}
    metadata: dict[str, Any] = {"name": NAME, "labels": labels}
    evictions = [
        {
            "key": f"node.kubernetes.io/{condition}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": EVICTION_DELAY,
        }
        for condition in ("not-ready", "unreachable")
    ]
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "tolerations": [
            {"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"},
            *evictions,
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                # A lost node must not count, or its replica could not be scheduled elsewhere.
                "nodeTaintsPolicy": "Honor",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [pause_container(image)],
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


def pause_container(image: str) -> dict[str, Any]:
    """A container of the sandbox image, which does nothing. Raises ValueError for another text."""
    if not re.fullmatch(r"[\w][\w./:@-]*", image):
        raise ValueError(f"{image!r} is not an image reference")
    return {
        "name": "pause",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 65535},
    }
