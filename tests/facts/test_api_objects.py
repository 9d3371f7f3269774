"""Of the cluster's objects only the needed lines leave the host, and they are read as they are.

The answers are a real apiserver's (1.34.4), of objects with secrets wherever an object may have
one: annotations, labels, environment, arguments, headers. curl is a program that prints them.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from facts.parsers import api_objects, bindings, ingress_controllers, ingress_routes
from facts.parsers.api_objects import KnownProgram
from hale.model.evidence import Unreadable

HERE = Path(__file__).parent
SECRET = "S3cr3tS3cr3t9"


def printed(folder: Path, answer: str, name: str, status: int = 0) -> list[str]:
    """What `get` and `show` print where curl prints this answer."""
    pki = folder / "pki"
    pki.mkdir()
    for file in ("ca.crt", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"):
        (pki / file).touch()
    (folder / "answer").write_text(answer)
    curl = folder / "curl"
    curl.write_text(
        f"#!/bin/sh\ncat {folder}/answer\n"
        + (f"echo 'curl: (7) no connection' >&2\nexit {status}\n" if status else "")
    )
    curl.chmod(0o755)
    script = api_objects.shell(ingress_controllers.PROGRAMS)
    script += "subject='subject-name \"(board)\"'\n"
    script += f"pki={pki} at=192.0.2.1:6443\nclient\nget {name} /x\nshow {name}\n"
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split("\n")[:-1]


def test_of_annotations_only_known_ones_leave_the_host(tmp_path: Path) -> None:
    """A redirect's, if its value is one that it can have."""
    annotations = {
        "a.example/force-ssl-redirect": "true",
        "a.example/ssl-redirect": SECRET,
        "a.example/token": SECRET,
    }
    items = [{"metadata": {"name": "web", "annotations": annotations}}]
    answer = json.dumps({"kind": "IngressList", "items": items}, indent=2) + "\n@ 200"
    lines = printed(tmp_path, answer, "objects")
    assert SECRET not in "\n".join(lines)
    (found,) = api_objects.sections(lines)["objects"][0].items
    assert found["metadata"]["annotations"] == {"a.example/force-ssl-redirect": "true"}


def test_workloads(tmp_path: Path) -> None:
    answer = (HERE / "workloads_with_secrets.txt").read_text()
    assert answer.count(SECRET) > 15
    assert "registry.example:5000/db:1" in answer
    lines = printed(tmp_path, answer, "workloads")
    assert SECRET not in "\n".join(lines)
    (edge,) = api_objects.workloads(api_objects.sections(lines)["workloads"])
    assert (str(edge), edge.wanted, edge.ready, edge.account) == ("traefik/edge", 2, 0, "edge")
    assert edge.images == ("registry.example:5000/edge/traefik:3.7.15",)
    assert edge.labels == {"app": "edge"}
    assert [c.name for c in ingress_controllers.installed([edge])] == ["traefik"]


def test_routes(tmp_path: Path) -> None:
    answer = (HERE / "routes_with_secrets.txt").read_text()
    assert answer.count(SECRET) > 8
    lines = printed(tmp_path, answer, "objects")
    assert SECRET not in "\n".join(lines)
    ingresses, http_routes = api_objects.sections(lines)["objects"]
    routes, faults = ingress_routes.of_ingresses(ingresses.items, ())
    assert [(r.host, r.path, r.backend, r.port) for r in routes] == [
        ("a.example", "/b&c", "lab/echo", 80)
    ]
    assert faults == ["Ingress lab/web has the class old, which is not there"]
    routes, faults = ingress_routes.of_http_routes(http_routes.items, (), ())
    assert [(r.host, r.path, r.backend, r.port) for r in routes] == [
        ("b.example", "/x", "lab/echo", 80)
    ]
    assert faults == ["HTTPRoute lab/web is not accepted: no controller has a status for it"]


def test_bindings(tmp_path: Path) -> None:
    answer = (HERE / "bindings_with_secrets.txt").read_text()
    assert answer.count(SECRET) > 4
    lines = printed(tmp_path, answer, "bindings")
    assert SECRET not in "\n".join(lines)
    cluster, own = bindings.read(api_objects.sections(lines)["bindings"])
    assert (str(cluster), cluster.role_kind, cluster.role) == (
        "ClusterRoleBinding board",
        "ClusterRole",
        "view",
    )
    assert (str(own), own.role_kind, own.role) == ("RoleBinding web/board", "Role", "own")
    assert cluster.has("web", "board")
    assert cluster.has("lab", "other")
    assert not cluster.has("lab", "board")
    assert not own.has("web", "other")


def test_an_apiserver_that_does_not_answer(tmp_path: Path) -> None:
    lines = printed(tmp_path, "\n@ 000\n", "objects", status=7)
    with pytest.raises(Unreadable, match=r"objects: curl: \(7\) no connection"):
        api_objects.sections(lines)


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("traefik", True),
        ("traefik:3.7", True),
        ("docker.io/library/traefik@sha256:00", True),
        ("registry.example:5000/traefik:3", True),
        ("registry.example:5000/mytraefik:3", False),
        ("traefik/whoami:1", False),
    ],
)
def test_images(tmp_path: Path, image: str, known: bool) -> None:
    """sed on the host and the reader agree."""
    workload = "    {\n" + "".join(
        f"{' ' * depth}{line},\n"
        for depth, line in (
            (8, '"name": "a"'),
            (8, '"namespace": "b"'),
            (8, '"replicas": 1'),
            (16, f'"image": "{image}"'),
        )
    )
    lines = printed(tmp_path, f"{workload}    }}\n@ 200\n", "workloads")
    assert ("item" in lines) is known
    found = api_objects.Workload("b", "a", (image,), {}, 1, 1)
    assert KnownProgram(("traefik",)).runs(found) is known


def pods_with(*ports: dict[str, object], on_host: bool = False) -> str:
    """A Deployment of such pods, as an apiserver prints it in a list."""
    pod = {
        "containers": [{"name": "a", "image": "traefik:3", "ports": list(ports)}],
        **({"hostNetwork": True} if on_host else {}),
    }
    spec = {"replicas": 1, "template": {"metadata": {}, "spec": pod}}
    item = {"metadata": {"name": "a", "namespace": "b"}, "spec": spec}
    return json.dumps({"kind": "DeploymentList", "items": [item]}, indent=2) + "\n@ 200"


WEB = {"name": "web", "hostPort": 80, "containerPort": 8000, "protocol": "TCP"}
SECURE = {"name": "secure", "hostPort": 443, "containerPort": 8443, "protocol": "TCP"}
INSIDE = {"name": "ping", "containerPort": 8080, "protocol": "TCP"}


@pytest.mark.parametrize(
    ("ports", "on_host", "expected"),
    [
        ([WEB, SECURE, INSIDE], False, (80, 443)),
        ([INSIDE, WEB], False, (80,)),
        ([INSIDE, {"containerPort": 80, "protocol": "TCP"}], False, ()),
        ([{"containerPort": 80, "protocol": "TCP"}, INSIDE], True, (80, 8080)),
        ([{**WEB, "hostIP": "127.0.0.1"}, SECURE], False, (443,)),
        ([{**WEB, "hostIP": "0.0.0.0"}], False, (80,)),
        ([WEB, {**SECURE, "protocol": "UDP"}], False, (80,)),
        ([], True, ()),
    ],
    ids=["host-ports", "one", "none", "host-network", "local", "every", "udp", "not-named"],
)
def test_host_ports(
    tmp_path: Path, ports: list[dict[str, object]], on_host: bool, expected: tuple[int, ...]
) -> None:
    lines = printed(tmp_path, pods_with(*ports, on_host=on_host), "workloads")
    (found,) = api_objects.workloads(api_objects.sections(lines)["workloads"])
    assert found.host_ports == expected


def test_a_number_without_end() -> None:
    """Of a master that lies."""
    item = ["item", 'name "a"', 'namespace "b"', "hostPort 1e999"]
    lines = ["at 192.0.2.1:6443", "section workloads 0 ", *item, "@ 200", "end"]
    with pytest.raises(Unreadable, match="OverflowError"):
        api_objects.parse_answer(lines, lambda _, found: api_objects.workloads(found["workloads"]))
