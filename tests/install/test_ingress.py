"""The ingress's manifest: which image, what it may do, and on which hosts it cannot run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hale.install.phase import Observations, Phase, RunScript
from hale.install.secrets import Secret
from hale.model.errors import UserError
from remediate.cluster.dashboard import Dashboard
from remediate.cluster.ingress import Ingress
from tests.install import factories

NOTHING = {
    "manifests.applied": "\nend 0\n",
    "nodes.objects": "\nend 0\n",
    "nodes.nodes": 'at 10.0.0.1:6443\nnodes 0 {"columnDefinitions":[{"name":"Name"},'
    '{"name":"Status"},{"name":"Roles"}],"rows":[]} @ 200\n',
}


GIVEN = "mirror.example/a/traefik:v3.8@sha256:" + "0f" * 32


def manifest(folder: Path, more: str = "", **values: str) -> dict[str, dict[str, Any]]:
    """The objects that are applied on an empty cluster, by kind and name."""
    complete = factories.INVENTORY
    for old, new in values.items():
        complete = "\n".join(new if line.startswith(old) else line for line in complete.split("\n"))
    site = factories.made(folder, f"ingress=traefik\n{more}", complete=complete)
    (batch,) = Ingress().batches(site, factories.observed({"m1": NOTHING}, {}))
    (step,) = batch.steps
    assert isinstance(step, RunScript)
    assert isinstance(step.stdin, Secret)
    found = list(yaml.safe_load_all(step.stdin.reveal()))
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in found}


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (only,) = objects["DaemonSet/traefik"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


@pytest.mark.parametrize(
    ("more", "repository", "image"),
    [
        ("", "image_repository=reg.example:5000/k8s", "reg.example:5000/k8s/traefik:v3.7.15"),
        ("", "", "docker.io/library/traefik:v3.7.15"),
        (f"ingress_image={GIVEN}", "", GIVEN),
    ],
    ids=["by-the-sites-repository", "by-its-publisher", "by-the-inventory"],
)  # fmt: skip
def test_its_image(tmp_path: Path, more: str, repository: str, image: str) -> None:
    assert container(manifest(tmp_path, more, image_repository=repository))["image"] == image


def test_what_it_may_do(tmp_path: Path) -> None:
    """Reading, but for an Ingress's status; and nothing by a role of somebody else."""
    objects = manifest(tmp_path)
    (role,) = (o for o in objects.values() if o["kind"] == "ClusterRole")
    for rule in role["rules"]:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        writes = set(rule["verbs"]) - {"get", "list", "watch"}
        assert not writes or (writes, rule["resources"]) == ({"update"}, ["ingresses/status"])
    (binding,) = (o for o in objects.values() if o["kind"] == "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [s["name"] for s in binding["subjects"]] == ["traefik"]


def test_how_it_runs(tmp_path: Path) -> None:
    objects = manifest(tmp_path)
    pod, only = objects["DaemonSet/traefik"]["spec"]["template"]["spec"], container(objects)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "hostNetwork" not in pod
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert only["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert {"readinessProbe", "livenessProbe"} <= only.keys()
    assert {p["hostPort"] for p in only["ports"] if "hostPort" in p} == {80, 443}
    selector = objects["PodDisruptionBudget/traefik"]["spec"]["selector"]["matchLabels"]
    labels = objects["DaemonSet/traefik"]["spec"]["template"]["metadata"]["labels"]
    assert selector == labels == objects["Service/traefik"]["spec"]["selector"]


def test_a_cluster_without_workers(tmp_path: Path) -> None:
    complete = factories.INVENTORY.replace(
        "w1 ansible_host=10.0.0.11\nw2 ansible_host=10.0.0.12\n", ""
    )
    site = factories.made(tmp_path, "ingress=traefik\n", complete=complete)
    # A phase without gate_probes is not consulted (hale/install/refusals.py).
    assert any(Ingress().gate_probes(site, host) for host in site.hosts)
    (problem,) = Ingress().gate_problems(site, Observations())
    assert problem.startswith("ingress=traefik needs a worker")
    assert not Ingress().gate_problems(factories.made(tmp_path, complete=complete), Observations())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ingress=nginx", "was retired in March 2026 .* Alive are traefik, which Hale installs"),
        ("ingress=haproxy", "has no manifest for haproxy-ingress, .* Alive are traefik"),
        ("ingress=caddy", "use one of none, traefik, gateway:CLASS, manifest:FILE"),
        ("ingress=gateway", "use one of none, traefik"),
        ("ingress=traefik:x", "use one of none, traefik"),
        ("ingress_on_vip=true", "there is no ingress; set ingress"),
        ("ingress=traefik\ningress_on_vip=maybe", "expected true or false"),
        (
            "ingress=traefik\ningress_on_vip=true\nendpoint_kind=external",
            "endpoint_kind=external has no",
        ),
        ("ingress=gateway:", "the name of a GatewayClass behind gateway:"),
        ("ingress=gateway:Edge_1", "the name of a GatewayClass"),
        ("ingress=manifest:none.yaml", "there is no file .*none.yaml"),
        ("dashboard=gateway:edge", "use one of none, headlamp, kubernetes-dashboard, manifest:FI"),
        ("dashboard=octant", "use one of none, headlamp"),
        ("dashboard_image=headlamp:v1", "with its registry"),
        ("ingress_image=traefik:v3", "with its registry"),
        ("ingress_image=r.example/traefik@sha256:0f", "with its registry"),
        ('ingress_image="r.example/t:1\\" evil: yes"', "with its registry"),
    ],
)
def test_wrong_values(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        factories.made(tmp_path, f"{line}\n")


MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: edge, namespace: edge}
"""


@pytest.mark.parametrize("phase", [Ingress(), Dashboard()], ids=lambda p: p.name)
def test_a_file_of_the_site_is_applied(tmp_path: Path, phase: Phase) -> None:
    """As it is; its pods are waited for, and workers are the site's own concern."""
    (tmp_path / "edge.yaml").write_text(MANIFEST)
    complete = "\n".join(line for line in factories.INVENTORY.split("\n") if line[:1] != "w")
    site = factories.made(tmp_path, f"{phase.name}=manifest:edge.yaml\n", complete=complete)
    assert not site.workers
    assert phase.skip_reason(site) == ""
    observed = factories.observed({"m1": NOTHING}, {})
    assert list(map(str, phase.remaining(site, observed))) == ["there is no edge/daemonset/edge"]
    assert not phase.gate_problems(site, Observations())
    assert not phase.preflight(site, Observations())
    (batch,) = phase.batches(site, observed)
    (step,) = batch.steps
    assert isinstance(step, RunScript)
    assert isinstance(step.stdin, Secret)
    assert step.stdin.reveal() == MANIFEST
    assert batch.wait_for
    assert batch.wait_for.title == "edge.yaml is ready"


@pytest.mark.parametrize(
    ("line", "phase", "why"),
    [
        ("ingress=gateway:edge", Ingress(), "Hale installs no Gateway API"),
        ("dashboard=kubernetes-dashboard", Dashboard(), "was archived in January 2026"),
        ("ingress=none", Ingress(), "the inventory asks for no ingress"),
    ],
)
def test_what_is_judged_alone(tmp_path: Path, line: str, phase: Phase, why: str) -> None:
    site = factories.made(tmp_path, f"{line}\n")
    assert why in phase.skip_reason(site)
    assert not phase.batches(site, Observations())
    assert not any(phase.probes(site, host) or phase.gate_probes(site, host) for host in site.hosts)
