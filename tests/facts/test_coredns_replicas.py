"""Whose pods are cluster DNS: the script, with a stand-in for requests to the apiserver."""

import subprocess
from pathlib import Path

import pytest

from facts import coredns
from hale.shell import script_with

SCRIPT = Path(coredns.__file__).with_name("coredns_replicas.sh")
COLUMNS = ("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector")
# As an apiserver of Kubernetes 1.34 answers, on a cluster whose CoreDNS is the site's own.
ANSWER = (
    'dns 0 {"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"645"},'
    '"columnDefinitions":['
    + ",".join(f'{{"name":"{name}","type":"string","priority":0}}' for name in COLUMNS)
    + '],"rows":[{"cells":["kube-dns","ClusterIP","10.96.0.10","\\u003cnone\\u003e",'
    '"53/UDP,53/TCP,9153/TCP","2m","SELECTOR"],"object":null}]}  @ 200'
)
KUBEADM = "k8s-app%3Dkube-dns"


@pytest.mark.parametrize(
    ("answer", "requested"),
    [
        (ANSWER.replace("SELECTOR", "k8s-app=kube-dns"), KUBEADM),
        (ANSWER.replace("SELECTOR", "app=site-dns"), "app%3Dsite-dns"),
        (
            ANSWER.replace("SELECTOR", "app.kubernetes.io/name=coredns,tier=dns"),
            "app.kubernetes.io%2Fname%3Dcoredns%2Ctier%3Ddns",
        ),
        # A Service whose endpoints somebody else sets; none; no apiserver.
        (ANSWER.replace("SELECTOR", "\\u003cnone\\u003e"), KUBEADM),
        ('dns 0 {"kind":"Status","code":404}  @ 404', KUBEADM),
        ("", KUBEADM),
        # What no label has, of a host that lies.
        (ANSWER.replace("SELECTOR", "a=b&limit=1"), KUBEADM),
        (ANSWER.replace("SELECTOR", "$(touch x)"), KUBEADM),
    ],
)
def test_the_pods_are_those_of_the_service(tmp_path: Path, answer: str, requested: str) -> None:
    (tmp_path / "answer").write_text(answer)
    api = 'api() { echo "$1 $2" >>requests; [ "$1" != dns ] || cat answer; }\n'
    given = {"dns": "/dns", "pods": "/pods?labelSelector=", "service": "/service"}
    script = api + script_with(SCRIPT, **given, label="k8s-app=kube-dns", table="Accept: table")
    subprocess.run(["/bin/sh", "-c", f"set -eu\n{script}"], cwd=tmp_path, check=True)
    assert (tmp_path / "requests").read_text().splitlines() == [
        "dns /dns",
        f"pods /pods?labelSelector={requested}",
        "service /service",
    ]
    assert not (tmp_path / "x").exists()
