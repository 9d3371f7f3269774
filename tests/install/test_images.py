"""What is pulled beside kubeadm's own images."""

from pathlib import Path

from hale.install.phase import RunScript
from remediate.cluster import images, network
from tests.install import factories

MANIFEST = """
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: agent}
  spec:
    template:
      spec:
        initContainers:
        - {name: install, image: "registry.example:5000/net/cni:v3"}
        containers:
        - {name: agent, image: quay.example/net/agent@sha256:0123}
        - {name: again, image: "registry.example:5000/net/cni:v3"}
        - {name: short, image: "net/short:v1"}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: half}
spec: null
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller}
spec: {template: {spec: {containers: [{name: one, image: "registry.example:5000/net/one:v3"}]}}}
"""
NODES = "".join(
    f"want registry.example:5000/k8s/{name}:v1\n" for name in ("kube-apiserver", "pause")
)


def test_those_of_the_networks_daemonsets_are_pulled_by_all_but_the_first(tmp_path: Path) -> None:
    site = factories.made(tmp_path, network_yaml=MANIFEST)
    wanted = ("registry.example:5000/net/cni:v3", "quay.example/net/agent@sha256:0123")
    assert network.images(site) == wanted
    hosts = {h.name: {"images.images": NODES} for h in site.hosts}
    (wave,) = images.PullImages().batches(site, factories.observed(hosts, {}))
    for step in wave.steps:
        assert isinstance(step, RunScript)
        beforehand = f"set -- {' '.join(wanted)}\n" in step.script
        assert beforehand == (step.host != "m1")
        assert "short" not in step.script
