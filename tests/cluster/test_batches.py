"""`invoke fix` on workers of a cluster that lives: batch by batch, drained where it interrupts."""

import json
import time
from collections.abc import Iterator

import msgspec
import pytest

from hale.apply.journal import NAME, Entry, NodeCordoned, NodeUncordoned
from hale.drill.workload import IMAGE
from hale.polling import wait_until
from tests.cluster.cluster_fixture import Built
from tests.cluster.test_mended import SYSCTL, in_turn

QUIET, LOUD = "k8s-node-01", "k8s-node-02"  # only the second one has firewalld
MASTER = "k8s-master-01"
FIX = (
    "--only=SYS-IP-FORWARD,FW-FIREWALLD", f"--hosts={QUIET},{LOUD}", "--apply", "--yes",
)  # fmt: skip
LABELS = {"app": "shop"}
PATIENCE = 300.0  # seconds


def objects(image: str) -> str:
    """A Deployment of one pod that prefers the node with firewalld, and its budget: it must run."""
    where = {
        "key": "kubernetes.io/hostname", "operator": "In", "values": [LOUD],
    }  # fmt: skip
    affinity = {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "preference": {"matchExpressions": [where]}}
            ]
        }
    }
    made = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": LABELS},
                "template": {
                    "metadata": {"labels": LABELS},
                    "spec": {
                        "affinity": affinity,
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "pause", "image": image}],
                    },
                },
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "shop"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": made})


def api(cluster: Built, command: str) -> str:
    """What kubectl prints on a master."""
    return cluster.kubectl(command).strip()


def shop_on(cluster: Built) -> str:
    """The node that has the pod."""
    return api(cluster, "get pods -l app=shop -o jsonpath='{.items[*].spec.nodeName}'")


def cordoned(cluster: Built) -> list[str]:
    spec = "jsonpath='{.items[?(@.spec.unschedulable==true)].metadata.name}'"
    return api(cluster, f"get nodes -o {spec}").split()


def cordons(cluster: Built) -> list[tuple[str, str]]:
    """What the newest run's journal has of cordons."""
    decoder = msgspec.json.Decoder(Entry)
    path = cluster.histories()[-1].folder / NAME
    return [
        (type(e).__name__, e.node)
        for e in map(decoder.decode, path.read_bytes().splitlines())
        if isinstance(e, NodeCordoned | NodeUncordoned)
    ]


@pytest.fixture
def shop(cluster: Built) -> Iterator[Built]:
    """A pod whose budget refuses every eviction, on a node whose firewalld runs; both workers have
    a line that the next boot would follow."""
    image = cluster.lab[MASTER].run(IMAGE).stdout.decode().strip()
    _close(cluster)  # what a first try left
    api(cluster, f"apply -f - <<'END'\n{objects(image)}\nEND")
    try:
        api(cluster, "rollout status deployment/shop --timeout=240s")
        assert shop_on(cluster) == LOUD
        for name in (QUIET, LOUD):
            cluster.lab[name].run(f"echo net.ipv4.ip_forward=0 >{SYSCTL}")
        cluster.lab[LOUD].run("systemctl --quiet unmask firewalld; systemctl start firewalld")
        yield cluster
    finally:
        cluster.lab[LOUD].run("systemctl stop firewalld; systemctl --quiet mask firewalld")
        for name in (QUIET, LOUD):
            cluster.lab[name].run(f"rm -f {SYSCTL}")
        _close(cluster)


def _close(cluster: Built) -> None:
    """No pod of it is left, none that is terminating either: it would be counted."""
    api(cluster, "delete deployment/shop pdb/shop --ignore-not-found")
    api(cluster, "wait --for=delete pod -l app=shop --timeout=240s")


def test_a_worker_is_drained_before_it_is_interrupted(shop: Built) -> None:
    done = shop.invoke("fix", *FIX, "--drain-timeout=12")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1. workers: {QUIET}\n" in done.stdout
    assert f"2. workers: {LOUD}; cordoned and drained: {LOUD}" in done.stdout
    assert f"refused: {LOUD} was not drained within 12 s" in done.stdout
    assert "violate the pod's disruption budget" in done.stdout
    assert "--no-drain changes it with its pods on it" in done.stdout
    assert in_turn(shop.histories()[-1]) == [QUIET]
    assert cordons(shop) == [("NodeCordoned", LOUD), ("NodeUncordoned", LOUD)]
    assert cordoned(shop) == []
    assert shop_on(shop) == LOUD
    assert shop.lab[LOUD].run("systemctl is-active firewalld").stdout.strip() == b"active"

    api(shop, "delete pdb/shop")
    done = shop.invoke("fix", *FIX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{LOUD}: {LOUD} cordoned and drained" in done.stdout
    assert in_turn(shop.histories()[-1]) == [LOUD]
    assert cordons(shop) == [("NodeCordoned", LOUD), ("NodeUncordoned", LOUD)]
    assert cordoned(shop) == []
    assert not wait_until(lambda: shop_on(shop) == "", PATIENCE, 1.0), "it is scheduled again"
    assert shop_on(shop) != LOUD, "it was evicted"


@pytest.mark.soak("half a minute more")
def test_a_cordon_of_a_run_that_was_killed_is_recovered(shop: Built) -> None:
    running = shop.start("fix", *FIX)
    try:
        end = time.monotonic() + PATIENCE
        while cordoned(shop) != [LOUD]:
            assert time.monotonic() < end, running.out.read_text()
            time.sleep(0.5)
    finally:
        running.kill()
    killed = shop.histories()[-1].header.run
    done = shop.invoke("fix", *FIX, "--no-drain", "--force-unlock")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{LOUD}, which {killed} had cordoned, is uncordoned" in done.stdout
    assert cordoned(shop) == []
    assert shop_on(shop) == LOUD, "nothing was evicted"

    run = shop.histories()[-1].header.run
    api(shop, f"cordon {LOUD}")  # the operator's own
    try:
        api(shop, "delete pdb/shop")
        done = shop.invoke("undo", run, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert cordoned(shop) == [LOUD]
        assert cordons(shop) == []
    finally:
        api(shop, f"uncordon {LOUD}")
