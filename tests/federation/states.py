"""The states of a federation: what is broken, what the audit must say, and what the probe printed.

`python -m tests.federation.states FOLDER`, in a network namespace of its own, makes each of them
and writes FOLDER/NAME.txt. tests/federation/test_karmada.py does so, and judges them.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from lab.build import cache_root, open_cache
from lab.mirror import binaries, golang
from tests.federation.karmada import (
    DEPLOYMENTS,
    NAMESPACE,
    PODS,
    REGISTERED,
    SECRETS,
    SERVICES,
    Federation,
)
from tests.federation.processes import until


class State(Struct, frozen=True):
    """A state, in the order in which they are made. actual: a part of the verdict's reason."""

    name: str
    verdict: str
    actual: str


STATES = (
    State("no-karmada", "N-A", "not requested, and the cluster has none"),
    State("a-member-alone", "UNKNOWN", "only karmada-agent is here"),
    State(
        "apiserver-away", "UNKNOWN", "Karmada's apiserver does not answer: nothing listens there"
    ),
    State("no-member", "FAIL", "no cluster has joined"),
    State("healthy", "PASS", "member m1 (Pull, v1.34.4); member m2 (Push, v1.34.4)"),
    State("own-apiserver", "UNKNOWN", "its components are no workloads of this cluster"),
    State("may-not-list", "UNKNOWN", "HTTP 403 for workloads"),
    State("replicas-on-one-node", "FAIL", "karmada-scheduler: its ready replicas are on 1 node(s)"),
    State("replica-not-ready", "FAIL", "karmada-webhook: 1 of 2 replicas are ready"),
    State("component-missing", "FAIL", "no workload runs karmada-webhook"),
    State(
        "certificate-near-its-end", "FAIL", "tls.crt of the Secret karmada-webhook-cert expires on"
    ),
    State(
        "no-kubeconfig", "UNKNOWN", "no Secret of its namespace has a kubeconfig that Hale knows"
    ),
    State(
        "kubeconfig-of-another-form", "UNKNOWN", "the kubeconfig has no server, authority, client"
    ),
    State(
        "kubeconfig-refused", "UNKNOWN", "does not accept (HTTP 401) the kubeconfig in the Secret"
    ),
    State("no-service", "UNKNOWN", "names has no Service with an address"),
    State("member-not-ready", "FAIL", "member m2 is not Ready (ClusterNotReachable)"),
    State("lease-stale", "FAIL", "member m1: its Lease was not renewed for more than 60 s"),
    State("leader-stands-still", "FAIL", "the leader of karmada-controller-manager: its Lease was"),
    State("controller-at-0", "FAIL", "karmada-system/karmada-scheduler is scaled to 0"),
    State("aggregated-api-away", "FAIL", "v1alpha1.cluster.karmada.io is not available"),
    State("aggregated-api-not-registered", "FAIL", "has no APIService v1alpha1.cluster.karmada.io"),
)


def karmada_module() -> Path:
    """The folder of Karmada's sources, which the build has downloaded."""
    argv = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/karmada-io/karmada"]
    found = subprocess.run(
        argv, cwd=binaries.KARMADA.folder, check=True, capture_output=True, text=True
    )
    return Path(found.stdout.strip())


def programs() -> dict[str, Path]:
    """All programs by name, built if they are not there. Raises LabError."""
    found: dict[str, Path] = {}
    with open_cache(cache_root() / "supply", print) as building:
        for module in (binaries.KUBERNETES, binaries.ETCD):
            folder = golang.build_module(building, module)
            found |= {path.name: path for path in folder.iterdir()}
    # A cache of its own: labs do not wait for this build.
    with open_cache(cache_root() / "karmada", print) as building:
        folder = golang.build_module(building, binaries.KARMADA)
    return found | {path.name: path for path in folder.iterdir()}


def made(federation: Federation) -> Iterator[tuple[str, str]]:
    """The name of each state, and what the probe prints in it."""
    federation.start_network()
    federation.start_apiservers()
    yield from _beginnings(federation)
    yield "healthy", federation.probe()
    yield "own-apiserver", federation.probe("karmada")
    yield "may-not-list", federation.probe(client=federation.authority.issue("somebody"))
    yield from _objects(federation)
    yield from _kubeconfigs(federation)
    yield from _programs(federation)


def _beginnings(federation: Federation) -> Iterator[tuple[str, str]]:
    host = federation.apis["host"]
    yield "no-karmada", federation.probe()
    host.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    federation.add_workload("karmada-agent", "agent/karmada-agent.yaml")
    yield "a-member-alone", federation.probe()
    federation.add_control_plane()
    federation.processes.end("apiserver-karmada")
    yield "apiserver-away", federation.probe()
    federation.start_apiserver("karmada")
    until("Karmada's apiserver is ready", federation.apis["karmada"].answers)
    federation.add_definitions()
    federation.start_aggregated()
    federation.start_controller_manager()
    federation.start_scheduler()
    yield "no-member", federation.probe()
    federation.start_agent()
    federation.join_m2()
    federation.until_ready("m1", "m2")


def _objects(federation: Federation) -> Iterator[tuple[str, str]]:
    """What is wrong with the control plane's own objects."""
    host = federation.apis["host"]
    host.delete(f"{PODS}/karmada-scheduler-2")
    federation.add_pod("karmada-scheduler", 3, "k8s-node-01")
    yield "replicas-on-one-node", federation.probe()
    host.delete(f"{PODS}/karmada-scheduler-3")
    federation.add_pod("karmada-scheduler", 2, "k8s-node-02")
    federation.set_ready("karmada-webhook", 1)
    yield "replica-not-ready", federation.probe()
    host.delete(f"{DEPLOYMENTS}/karmada-webhook")
    for number in (1, 2):
        host.delete(f"{PODS}/karmada-webhook-{number}")
    yield "component-missing", federation.probe()
    federation.add_workload("karmada-webhook", "deploy/karmada-webhook.yaml")
    host.delete(f"{SECRETS}/karmada-webhook-cert")
    federation.add_certificate("karmada-webhook", days=5)
    yield "certificate-near-its-end", federation.probe()
    host.delete(f"{SECRETS}/karmada-webhook-cert")
    federation.add_certificate("karmada-webhook")


def _kubeconfigs(federation: Federation) -> Iterator[tuple[str, str]]:
    """On the way to Karmada's apiserver."""
    host = federation.apis["host"]
    names = [
        item["metadata"]["name"]
        for item in host.get(SECRETS)["items"]
        if item["metadata"]["name"].endswith("-config")
    ]
    kept = {name: host.get(f"{SECRETS}/{name}")["data"] for name in names}
    for name in names:
        host.delete(f"{SECRETS}/{name}")
    yield "no-kubeconfig", federation.probe()
    federation.add_kubeconfig("karmada-scheduler", "apiVersion: v1\nkind: Config\nusers: []\n")
    yield "kubeconfig-of-another-form", federation.probe()
    host.delete(f"{SECRETS}/karmada-scheduler-config")
    stranger = type(federation.authority)(federation.folder / "another-authority")
    server = f"https://karmada-apiserver.{NAMESPACE}.svc.cluster.local:5443"
    text = federation.kubeconfig(stranger.issue("stranger", "system:masters"), server)
    federation.add_kubeconfig("karmada-scheduler", text)
    yield "kubeconfig-refused", federation.probe()
    host.delete(f"{SECRETS}/karmada-scheduler-config")
    for name, data in kept.items():
        host.create(SECRETS, {"metadata": {"name": name}, "data": data})
    host.delete(f"/api/v1/namespaces/{NAMESPACE}/services/karmada-apiserver")
    yield "no-service", federation.probe()
    federation.add_service()


def _programs(federation: Federation) -> Iterator[tuple[str, str]]:
    """What is wrong with the programs themselves."""
    processes, host = federation.processes, federation.apis["host"]
    processes.end("apiserver-m2")
    until("m2 is not Ready", lambda: federation.ready("m2")[0] == "False")
    yield "member-not-ready", federation.probe()
    federation.start_apiserver("m2")
    federation.until_ready("m2")

    processes.signal("agent", signal.SIGSTOP)
    until("m1's Lease is old", lambda: _is_stale(federation, "karmada-cluster", "m1"))
    yield "lease-stale", federation.probe()
    processes.signal("agent", signal.SIGCONT)
    federation.until_ready("m1")

    name = "karmada-controller-manager"
    processes.signal("controller-manager", signal.SIGSTOP)
    until("the leader's Lease is old", lambda: _is_stale(federation, NAMESPACE, name))
    yield "leader-stands-still", federation.probe()
    processes.end("controller-manager")
    federation.start_controller_manager()
    until("its Lease is new", lambda: not _is_stale(federation, NAMESPACE, name))

    processes.end("scheduler")
    host.patch(f"{DEPLOYMENTS}/karmada-scheduler", {"spec": {"replicas": 0}})
    federation.set_ready("karmada-scheduler", 0)
    for number in (1, 2):
        host.delete(f"{PODS}/karmada-scheduler-{number}")
    yield "controller-at-0", federation.probe()
    host.patch(f"{DEPLOYMENTS}/karmada-scheduler", {"spec": {"replicas": 2}})
    federation.set_ready("karmada-scheduler", 2)
    for number in (1, 2):
        federation.add_pod("karmada-scheduler", number, f"k8s-node-0{number}")
    federation.start_scheduler()

    processes.end("aggregated-apiserver")
    path = f"{SERVICES}/{REGISTERED}"
    karmada = federation.apis["karmada"]

    def unavailable() -> bool:
        conditions = karmada.get(path).get("status", {}).get("conditions", ())
        return any(c["type"] == "Available" and c["status"] == "False" for c in conditions)

    until("Cluster objects are not served", unavailable)
    yield "aggregated-api-away", federation.probe()
    karmada.delete(path)
    until("there is no such API", lambda: not federation.apis["karmada"].get(path))
    yield "aggregated-api-not-registered", federation.probe()


def _is_stale(federation: Federation, namespace: str, name: str) -> bool:
    """Whether that Lease is older than the baseline lets it be, by some seconds."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
    return federation.age(path) > 63


def main() -> None:
    """Make all states and write them. Argument: an empty folder."""
    folder = Path(sys.argv[1])
    federation = Federation(folder / "run", programs(), karmada_module())
    try:
        for name, output in made(federation):
            (folder / f"{name}.txt").write_text(output)
            print(name, flush=True)
    finally:
        federation.processes.end_all()


if __name__ == "__main__":
    main()
