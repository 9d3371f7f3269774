"""What `invoke install` adds to a cluster, an ingress and a dashboard: reached, judged, broken.

They stay when these tests are done: the reset of test_taken_off.py, which follows, removes them
too.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hale.model.drill import FaultKind
from lab.faults.fault import slug
from lab.mirror import images
from lab.topology import HOSTS
from tests.cluster.cluster_fixture import Built, phases
from tests.cluster.fault_audit import Standing, until
from tests.cluster.faults import endpoint, headlamp, traefik
from tests.cluster.faults.fault import FIRST, KUBECTL, WORKERS, ClusterFault
from tests.faults import audit

PHASES = ("ingress", "dashboard")
CHANGED = {"load_balancer", *PHASES}
ASKED = (
    "vip_port=",
    "ingress=traefik\ningress_on_vip=true\ndashboard=headlamp\nvip_port=",
)
FAULTS = (*traefik.FAULTS, *headlamp.FAULTS, *endpoint.INGRESS_FAULTS)
# Two Services of one host by their paths; `other` answers as its pod is named, as `echo` does.
ROUTES = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: other, namespace: lab}}
spec:
  selector: {{matchLabels: {{app: other}}}}
  template:
    metadata: {{labels: {{app: other}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: other
        image: {images.REGISTRY}/{images.LAB}/echo:{images.OWN}
        readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: other, namespace: lab}}
spec: {{selector: {{app: other}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: routes, namespace: lab}}
spec:
  ingressClassName: traefik
  rules:
  - host: shop.lab.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: echo, port: {{number: 80}}}}}}
      - path: /other
        pathType: Prefix
        backend: {{service: {{name: other, port: {{number: 80}}}}}}
"""
SECURE = f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: secure, namespace: lab}}
spec:
  ingressClassName: traefik
  tls: [{{hosts: [{traefik.TLS_HOST}], secretName: site}}]
  rules:
  - host: {traefik.TLS_HOST}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: other, port: {{number: 80}}}}}}
"""
# Prints the answer that a host and a path get at a worker's own port, and its status.
ASK = "curl -sk -m 30 -w ' %{{http_code}}' --resolve {host}:{port}:{at} {scheme}://{host}{path}"


@pytest.fixture(scope="module")
def routed(cluster: Built) -> Iterator[Path]:
    """The inventory with both, which the cluster has, and three routes, one of them over TLS."""
    with cluster.edited(ASKED) as path:
        plan = cluster.invoke("install", "--plan", "--inventory", str(path))
        for name in PHASES:
            assert f"would do: k8s-master-01: run the {name}" in plan.stdout, plan.stdout[-3000:]
        done = cluster.install("--inventory", str(path))
        history = cluster.histories()[-1]
        # Its audit waits for a minute, and a busy machine may start the pods for longer.
        if done.returncode:
            done = cluster.install("--inventory", str(path))
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        ended = {name for name, state in phases(history).items() if state == "done"}
        # A node whose kubelet is late may be waited for.
        assert ended - {"ready"} == CHANGED
        assert {act.phase for act in history.acts} == CHANGED, "nothing else is changed"
        objects = "---".join((ROUTES, SECURE, f"\n{traefik.SITE_SECRET}\n"))
        cluster.lab[FIRST].run(f"{KUBECTL} apply -f -", input=objects.encode())
        wait = f"{KUBECTL} -n lab rollout status deployment other --timeout 300s"
        cluster.lab[FIRST].run(wait, timeout=360)
        yield path


def test_each_worker_and_the_vip_route_by_host_and_path(cluster: Built, routed: Path) -> None:
    """Requested by curl from a master, on ports 80 and 443 of both workers and the VIP."""
    asking_host = cluster.lab["k8s-master-02"]

    def got(at: str, scheme: str, host: str, path: str) -> tuple[str, str]:
        port = 443 if scheme == "https" else 80
        command = ASK.format(host=host, port=port, at=at, scheme=scheme, path=path)
        *words, status = asking_host.run(command, check=False).stdout.decode().split() or [""]
        return status, words[0].split("-")[0] if words else ""

    def wrong() -> list[str]:
        return [
            f"{at}: {scheme}://{host}{path} gets {answer}, and not {wanted}"
            for at in (*(str(h.address) for h in HOSTS if h.name in WORKERS), endpoint.VIP)
            for scheme in ("http", "https")
            for host, path, wanted in (
                ("shop.lab.example", "/", ("200", "echo")),
                ("shop.lab.example", "/other", ("200", "other")),
                ("nobody.lab.example", "/", ("404", "404")),
            )
            if (answer := got(at, scheme, host, path)) != wanted
        ]

    assert not until(240, wrong)  # Traefik reads the routes some time after they are made


# Prints the status of the dashboard's answer to the token in its input, and how many nodes it has.
LOGIN = """
at=$(kubectl --kubeconfig /etc/kubernetes/admin.conf -n hale-dashboard get service headlamp \\
  -o jsonpath={.spec.clusterIP})
{ printf 'header = "Authorization: Bearer '; tr -d '\\n'; printf '"\\n'; } |
  curl -s -m 30 -K - -o /run/answer -w '%{http_code} ' "http://$at/clusters/main/api/v1/nodes"
grep -c '"name": "k8s-' /run/answer || true
rm -f /run/answer
"""
USER = f"{KUBECTL} -n lab create serviceaccount visitor --dry-run=client -o yaml |" + (
    f" {KUBECTL} apply -f - >&2 &&"
    f" {KUBECTL} create clusterrole sees-nodes --verb=get,list --resource=nodes --dry-run=client"
    f" -o yaml | {KUBECTL} apply -f - >&2 &&"
    f" {KUBECTL} create clusterrolebinding sees-nodes --clusterrole=sees-nodes"
    f" --serviceaccount=lab:visitor --dry-run=client -o yaml | {KUBECTL} apply -f - >&2 &&"
    f" {KUBECTL} -n lab create token visitor --duration=10m"
)


def test_a_user_logs_in_to_the_dashboard(cluster: Built, routed: Path) -> None:
    """With a short-lived token of their own they see the nodes; with a wrong one nothing."""
    host = cluster.lab[FIRST]
    token = host.run(USER).stdout
    wrong = token.strip()[:-8] + b"AAAAAAAA\n"
    expected = [["200", str(len(cluster.lab.hosts))], ["401", "0"]]

    def answers() -> list[str]:
        got = [host.run(LOGIN, input=each).stdout.decode().split() for each in (token, wrong)]
        assert got[1][0] != "200", got
        return [] if got == expected else [f"{got}, and not {expected}"]

    assert not until(120, answers)  # each apiserver reads the new binding a moment later


@pytest.fixture(scope="module")
def standing(cluster: Built, routed: Path) -> Iterator[Standing]:
    """The cluster with its ingress, healthy."""
    engine = audit.Engine(routed)
    found = Standing(cluster.lab, engine)
    found.begin()
    yield found
    engine.close()


def test_the_audit_proves_every_route_and_the_login(standing: Standing) -> None:
    rows = {
        key.requirement: output for key, output in standing.before.items() if key.host == "cluster"
    }
    assert (rows["CMP-INGRESS"].verdict, rows["CMP-DASHBOARD"].verdict) == ("PASS", "PASS")
    # Three of the site's, and Hale's own.
    wanted = f"4 routes, requested at the own ports of {' '.join(WORKERS)} too"
    assert wanted in rows["CMP-INGRESS"].actual


def drawn() -> list[ClusterFault]:
    """All of them in a soak; else one, by HALE_SEED or the day."""
    if os.environ.get("HALE_SOAK"):
        return list(FAULTS)
    return [random.Random(os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]).choice(FAULTS)]


@pytest.mark.parametrize("fault", drawn(), ids=lambda f: slug(f.name))
def test_fault(fault: ClusterFault, standing: Standing) -> None:
    standing.prove(fault)


@pytest.mark.soak("a node is lost until the cluster misses it, twice")
@pytest.mark.parametrize("part", [FaultKind.INGRESS, FaultKind.DASHBOARD])
def test_the_loss_of_a_node_with_a_replica(cluster: Built, routed: Path, part: FaultKind) -> None:
    """The client asks at both workers."""
    known = set(cluster.reports.glob("*-drill*"))
    done = cluster.invoke("drill", part, "--yes", "--inventory", str(routed))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = set(cluster.reports.glob("*-drill*")) - known
    saved: dict[str, Any] = json.loads((folder / "drill.json").read_text())
    (drill,) = saved["drills"]
    assert (drill["part"], drill["doubt"], saved["ill"]) == (part, "", [])
    assert drill["host"] in WORKERS
    assert drill["client"] not in WORKERS
    addresses = [str(h.address) for h in HOSTS if h.name in WORKERS]
    if part is FaultKind.INGRESS:
        assert all(address in drill["route"] for address in addresses), drill["route"]
    else:
        assert "at its Service's address" in drill["route"]
    assert drill["asks"] > 10 * drill["ended"]
    things = {t["name"]: t["broken"] for t in drill["things"]}
    assert things["nodes Ready"][0]["began"] < drill["given"], "missed while it was away"
    # One of two replicas answers all the time: a client that asks again gets through.
    assert all(gap["ended"] - gap["began"] < 10 for gap in drill["gaps"]), drill["gaps"]
    assert drill["failed"] < drill["asks"] / 2
    assert "with a replica of the" in (folder / "change.html").read_text()


@pytest.mark.soak("a plan more")
def test_asked_for_again_it_would_do_nothing(cluster: Built, routed: Path) -> None:
    done = cluster.invoke("install", "--plan", "--inventory", str(routed))
    assert done.returncode == 0, done.stderr
    assert "ingress: Ingress  done" in done.stdout, done.stdout[-3000:]
    assert "dashboard: Dashboard  done" in done.stdout, done.stdout[-3000:]
    assert "would do:" not in done.stdout
