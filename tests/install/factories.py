"""A site for the pure tests: three masters, two workers, and what they answered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hale.install import cluster_context
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations
from hale.inventory import ini
from hale.model.evidence import Evidence, File, Output
from hale.paths import ROOT
from hale.standard import loader

INVENTORY = """
[masters]
m1 ansible_host=10.0.0.1
m2 ansible_host=10.0.0.2
m3 ansible_host=10.0.0.3
[workers]
w1 ansible_host=10.0.0.11
w2 ansible_host=10.0.0.12
[k8s:children]
masters
workers
[k8s:vars]
vip=10.0.0.100
vip_port=16443
vip_names="api.example k8s-vip"
kubernetes_version=1.34.4
apt_repository="http://mirror.example/apt ./"
apt_key=key.asc
dnf_repository=http://mirror.example/rpm/
dnf_key=key.asc
image_repository=registry.example:5000/k8s
pod_cidr=10.244.0.0/16
network_manifest=network.yaml
vrrp_id=51
"""
NETWORK = """
apiVersion: v1
kind: Namespace
metadata: {name: net}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: net}
"""


def made(folder: Path, more: str = "", *, complete: str = "", **files: str) -> ClusterContext:
    """The site, with more variables; `files` are contents by name, `_` for a dot."""
    (folder / "key.asc").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    (folder / "network.yaml").write_text(NETWORK)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    path = folder / "inventory.ini"
    path.write_text((complete or INVENTORY) + more)
    stated = loader.load_standard(ROOT / "standard")
    return cluster_context.load_context(ini.load_inventory(path), stated)


def observed(
    hosts: Mapping[str, Mapping[str, Any]], files: Mapping[str, Mapping[str, str]]
) -> Observations:
    """Evidence from outputs by host and "subject.command", and contents by host and path."""
    found = {}
    for host in hosts.keys() | files.keys():
        outputs = {key: Output(key, 0, text, "", 0.0) for key, text in hosts.get(host, {}).items()}
        listed = {
            path: File(path, "f", None, 0.0, tuple(text.splitlines()))
            for path, text in files.get(host, {}).items()
        }
        patterns = frozenset({"/etc/kubernetes/pki/ca.crt", *listed})
        found[host] = Evidence(host, outputs, listed, patterns)
    return Observations(found)
