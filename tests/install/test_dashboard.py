"""The dashboard's manifest: which image, what it may do, and on which hosts it cannot run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hale.install.phase import Observations, RunScript
from hale.install.secrets import Secret
from remediate.cluster.dashboard import Dashboard
from tests.install import factories
from tests.install.test_ingress import NOTHING


def manifest(folder: Path, more: str = "") -> dict[str, dict[str, Any]]:
    """The objects that are applied on an empty cluster, by kind."""
    site = factories.made(folder, f"dashboard=headlamp\n{more}")
    (batch,) = Dashboard().batches(site, factories.observed({"m1": NOTHING}, {}))
    (step,) = batch.steps
    assert isinstance(step, RunScript)
    assert isinstance(step.stdin, Secret)
    return {o["kind"]: o for o in yaml.safe_load_all(step.stdin.reveal())}


@pytest.mark.parametrize(
    ("more", "image"),
    [
        ("", "registry.example:5000/k8s/headlamp:v0.45.0"),
        ("dashboard_image=mirror.example/headlamp:v1", "mirror.example/headlamp:v1"),
    ],
)
def test_its_image(tmp_path: Path, more: str, image: str) -> None:
    pod = manifest(tmp_path, more)["Deployment"]["spec"]["template"]["spec"]
    assert [c["image"] for c in pod["containers"]] == [image]


def test_it_has_no_rights_and_no_way_in_from_outside(tmp_path: Path) -> None:
    objects = manifest(tmp_path)
    assert objects.keys() == {
        "Namespace", "ServiceAccount", "Deployment", "PodDisruptionBudget", "Service",
    }  # fmt: skip
    assert "type" not in objects["Service"]["spec"], "a ClusterIP"
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    labels = objects["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_how_it_runs(tmp_path: Path) -> None:
    objects = manifest(tmp_path)
    spec = objects["Deployment"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert {"readinessProbe", "livenessProbe", "resources"} <= container.keys()
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    labels = spec["template"]["metadata"]["labels"]
    assert spread["labelSelector"]["matchLabels"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels


def test_a_cluster_without_workers(tmp_path: Path) -> None:
    workers = "w1 ansible_host=10.0.0.11\nw2 ansible_host=10.0.0.12\n"
    complete = factories.INVENTORY.replace(workers, "")
    site = factories.made(tmp_path, "dashboard=headlamp\n", complete=complete)
    # A phase without gate_probes is not consulted (hale/install/refusals.py).
    assert any(Dashboard().gate_probes(site, host) for host in site.hosts)
    (problem,) = Dashboard().gate_problems(site, Observations())
    assert problem.startswith("dashboard=headlamp needs a worker")
    assert not Dashboard().gate_problems(
        factories.made(tmp_path, complete=complete), Observations()
    )
