"""The nodes whose own ports facts/ingress.sh finds, where a program prints an apiserver's lists.

What is requested there: test_ingress_requests.py.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from facts.parsers import api_objects, ingress_nodes
from facts.parsers.ingress_controllers import PROGRAMS
from hale.shell import load_script, variables
from tests.facts.test_api_objects import INSIDE, SECURE, WEB, pods_with

SCRIPT = Path(ingress_nodes.__file__).parents[1] / "ingress.sh"
ADDRESSES = {"k8s-node-01": "10.0.0.11", "k8s-node-02": "10.0.0.12", "k8s-node-03": "10.0.0.13"}
CURL = """#!/bin/sh
for url; do
  case $url in https://*) ;; *) continue ;; esac
  path=${url#https://*/}; f=%s/$(echo "${path%%%%\\?*}" | tr / _)
  if [ -e "$f" ]; then cat "$f"; printf '\n@ 200\n'; else printf '\n@ 404\n'; fi
done
"""


def table(names: list[str], rows: list[list[str]]) -> dict[str, object]:
    return {
        "kind": "Table",
        "columnDefinitions": [{"name": n, "type": "string", "priority": 0} for n in names],
        "rows": [{"cells": cells, "object": None} for cells in rows],
    }


def listed(
    folder: Path,
    workload: str,
    pods: list[tuple[str, str]],
    *,
    most: int = 20,
    service: bool = True,
) -> tuple[list[str], list[str], list[str]]:
    """The lines `node …`, the nodes and the vias that the script makes of these.

    pods: node and status.
    """
    pki, answers = folder / "pki", folder / "answers"
    pki.mkdir()
    answers.mkdir()
    for file in ("ca.crt", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"):
        (pki / file).touch()
    columns = ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node"]
    of_node = ["Name", "Status", "Roles", "Age", "Version", "Internal-IP", "External-IP"]
    own = {"ports": [{"port": 80}], "clusterIP": "10.96.7.7"}
    backend = {"service": {"name": "echo", "port": {"number": 80}}}
    rule = {"host": "a.example", "http": {"paths": [{"path": "/", "backend": backend}]}}
    route = {"metadata": {"name": "web", "namespace": "lab"}, "spec": {"rules": [rule]}}
    documents: dict[str, object] = {
        "apis_networking.k8s.io_v1_ingressclasses": {"items": []},
        "apis_networking.k8s.io_v1_ingresses": {"kind": "IngressList", "items": [route]},
        "api_v1_namespaces_b_services": {"items": [{"spec": own}] if service else []},
        "api_v1_namespaces_b_pods": table(
            columns,
            [
                [f"pod-{n}", "1/1", status, "0", "1d", f"10.244.1.{n}", node, "<none>"]
                for n, (node, status) in enumerate(pods)
            ],
        ),
        "api_v1_nodes": table(
            of_node,
            [[n, "Ready", "<none>", "1d", "v1.34.4", a, "<none>"] for n, a in ADDRESSES.items()],
        ),
    }
    for name, document in documents.items():
        (answers / name).write_text(json.dumps(document, indent=2))
    labelled = workload.removesuffix("\n@ 200").replace(
        '"spec": {\n        "replicas"',
        '"spec": {\n        "selector": {\n          "matchLabels": {\n            "app": "a"\n'
        '          }\n        },\n        "replicas"',
    )
    assert "matchLabels" in labelled
    (answers / "apis_apps_v1_deployments").write_text(labelled)
    curl = folder / "curl"
    curl.write_text(CURL % answers)
    curl.chmod(0o755)
    script = api_objects.shell(PROGRAMS) + variables(most="30", most_nodes=str(most))
    script += f"pki={pki} at=192.0.2.1:6443\n{load_script(SCRIPT)}"
    script += "printf '%s\\n' \"$nodes\" | sed 's/^/nodes /'; echo \"vias $vias\"\n"
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = done.stdout.split("\n")
    assert "backend lab echo" in lines, done.stdout + done.stderr
    vias = done.stdout.partition("vias ")[2].split()
    return (
        [line for line in lines if line.startswith("node ")],
        [line[6:] for line in lines if line.startswith("nodes ") and line != "nodes "],
        vias,
    )


TWO = [("k8s-node-03", "Running"), ("k8s-node-01", "Running")]


def test_host_ports(tmp_path: Path) -> None:
    """Of the nodes with a pod that runs, and no others."""
    pods = [*TWO, ("k8s-node-02", "Pending")]
    said, nodes, vias = listed(tmp_path, pods_with(WEB, SECURE, INSIDE), pods)
    assert said == [f"node k8s-node-0{n} 10.0.0.1{n} {port}" for n in (1, 3) for port in (443, 80)]
    assert nodes == [f"k8s-node-0{n}=10.0.0.1{n} {port}" for n in (1, 3) for port in (443, 80)]
    assert vias == ["10.96.7.7"]
    assert ingress_nodes.addresses(said) == {
        "k8s-node-01": "10.0.0.11",
        "k8s-node-03": "10.0.0.13",
    }


@pytest.mark.parametrize("most", [0, 1])
def test_no_more_than_the_parameter(tmp_path: Path, most: int) -> None:
    _, nodes, _ = listed(tmp_path, pods_with(WEB), TWO, most=most)
    assert nodes == ["k8s-node-01=10.0.0.11 80"][:most]


def test_the_nodes_network(tmp_path: Path) -> None:
    _, nodes, _ = listed(tmp_path, pods_with(on_host=True), TWO[:1])
    assert nodes == ["k8s-node-03=10.0.0.13 443", "k8s-node-03=10.0.0.13 80"]


def test_without_a_service(tmp_path: Path) -> None:
    _, _, vias = listed(tmp_path, pods_with(WEB), TWO, service=False)
    assert vias == ["k8s-node-01=10.0.0.11", "k8s-node-03=10.0.0.13"]


def test_ports_of_the_pods_alone(tmp_path: Path) -> None:
    """A NodePort or LoadBalancer leads to them: no node's own port is requested."""
    said, nodes, vias = listed(tmp_path, pods_with(INSIDE), TWO)
    assert (said, nodes, vias) == ([], [], ["10.96.7.7"])
