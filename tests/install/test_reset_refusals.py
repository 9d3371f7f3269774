"""What `invoke reset` refuses: hosts of another cluster, and what the cluster cannot give up."""

import shutil
import tomllib
from pathlib import Path

import pytest

from facts.cluster import kubernetes
from hale.install import reset as command
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, RunScript
from hale.install.reset import Reset, ResetModule
from hale.inventory.ini import Host
from hale.model.errors import UserError
from remediate.cluster import reset
from tests.install import factories
from tests.install.test_begun import DIGEST, PEM, HostHere, host

__all__ = ["host"]  # a fixture

DONE = tomllib.loads((Path(__file__).parent / "phases/masters/done.toml").read_text())["outputs"]
SILENT = "at 10.0.0.1:6443\nnodes 7  @ 000 curl: (7) refused\n"
NO_ETCD = "manifest\nclosed\n"
BARE = {"kubernetes.node": "kubelet inactive\n", "nodes.nodes": "at none\n", "etcd.members": ""}
WORKER = {"kubernetes.node": "file /etc/kubernetes/kubelet.conf\nkubelet active\n"}
OTHER = "ab" * 32


def answers(**changed: dict[str, str]) -> Observations:
    """A cluster of three masters and two workers; of each host, what it answers otherwise."""
    outputs = {
        name: DONE.get(name, WORKER)
        | changed.get(name, {})
        | {"kubernetes.node": changed.get(name, {}).get("kubernetes.node", complete_node(name))}
        for name in ("m1", "m2", "m3", "w1", "w2")
    }
    return factories.observed(outputs, {})


def complete_node(name: str, ca: str = DIGEST, cluster: str = "kubernetes") -> str:
    text = str(DONE.get(name, WORKER)["kubernetes.node"])
    named = f"cluster {cluster}\n" if name.startswith("m") else ""
    return text.replace("kubelet active", f"ca {ca}\n{named}kubelet active")


def of(site: ClusterContext, *names: str) -> list[Host]:
    return [h for h in site.hosts if h.name in names]


ALL = ("m1", "m2", "m3", "w1", "w2")


@pytest.mark.parametrize("hosts", [ALL, ("m2",), ("w1",), ("m1", "w1")])
def test_a_healthy_clusters_own_hosts_may_go(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    site = factories.made(tmp_path)
    assert reset.foreign(site, answers(), of(site, *hosts)) == ""
    assert reset.quorum_loss(site, answers(), of(site, *hosts)) == ""


@pytest.mark.parametrize(
    ("going", "node", "why"),
    [
        (("w2",), ("w2", OTHER), "w2 and m1 belong to two clusters: the SHA-256 of their /etc/"),
        (("m2",), ("m2", OTHER), "m2 and m1 belong to two clusters: the SHA-256 of their /etc/"),
        (ALL, ("m3", OTHER), "m3 and m1 belong to two clusters: the SHA-256 of their /etc/"),
        (
            ("m2",),
            ("m2", DIGEST, "berlin"),
            "m2 belongs to another cluster: its admin.conf names 'b",
        ),
        (("w2",), ("m3", OTHER), ""),
        (
            ("w2",),
            ("w2", "garbled"),
            "w2 and m1 belong to two clusters: the SHA-256 of their /etc/",
        ),
    ],
)
def test_a_host_of_another_cluster_stays(
    tmp_path: Path, going: tuple[str, ...], node: tuple[str, ...], why: str
) -> None:
    site = factories.made(tmp_path)
    found = answers(**{node[0]: {"kubernetes.node": complete_node(*node)}})
    output = reset.foreign(site, found, of(site, *going))
    assert output.startswith(why)
    assert ("run `kubeadm reset` there" in output) == bool(why)


def test_the_name_may_be_that_of_kubeadm_extra(tmp_path: Path) -> None:
    extra = "kind: ClusterConfiguration\nclusterName: berlin\n"
    site = factories.made(tmp_path, "kubeadm_extra=extra.yaml\n", extra_yaml=extra)
    found = answers(
        **{n: {"kubernetes.node": complete_node(n, DIGEST, "berlin")} for n in ("m1", "m2", "m3")}
    )
    assert reset.foreign(site, found, site.hosts) == ""
    assert reset.foreign(site, answers(), site.hosts).startswith("m1 belongs to another cluster")


@pytest.mark.parametrize(
    ("going", "changed", "why"),
    [
        # The others' apiservers are silent: m1 may be the last one.
        (
            ("m1",),
            {n: {"nodes.nodes": SILENT, "etcd.members": NO_ETCD} for n in ("m2", "m3")},
            "no apiserver answers on m2, m3, so m1 cannot be drained and removed from the cluster; "
            "m1 may have the last copy of etcd. Start one.",
        ),
        (
            ("w1",),
            {n: {"nodes.nodes": SILENT} for n in ("m1", "m2", "m3")},
            "no apiserver answers on m1, m2, m3, so w1 cannot be drained and removed from the "
            "cluster. Start one.",
        ),
        (
            ("m1",),
            {n: {"etcd.members": NO_ETCD} for n in ("m1", "m2", "m3")},
            "no etcd answers on m2, m3, so the member of m1 cannot be removed, and may be the last "
            "healthy one. Start one.",
        ),
        # Of a cluster that was only begun, m1 has the data.
        (
            ("m1",),
            {"m1": {"nodes.nodes": SILENT, "etcd.members": NO_ETCD}, "m2": BARE, "m3": BARE},
            "no apiserver answers on m2, m3, so m1 cannot be drained and removed from the cluster; "
            "m1 may have the last copy of etcd. Start one.",
        ),
        (("m3", "w1"), {"m1": BARE, "m2": BARE, "m3": BARE}, ""),
        (
            ALL,
            {n: {"nodes.nodes": SILENT, "etcd.members": NO_ETCD} for n in ("m1", "m2", "m3")},
            "",
        ),
    ],
)
def test_nothing_goes_while_what_stays_is_silent(
    tmp_path: Path, going: tuple[str, ...], changed: dict[str, dict[str, str]], why: str
) -> None:
    site = factories.made(tmp_path)
    assert reset.quorum_loss(site, answers(**changed), of(site, *going)) == why


def refuse(site: ClusterContext, found: Observations, hosts: list[Host], options: Reset) -> None:
    module: ResetModule = command._reset_module()
    command._refuse(module, site, found, hosts, options)


def test_the_operator_may_allow_a_loss_but_no_other_cluster(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    silent = answers(**{n: {"nodes.nodes": SILENT} for n in ("m1", "m2", "m3")})
    with pytest.raises(UserError, match=r"^nothing was changed: no apiserver.*--allow-quorum-loss"):
        refuse(site, silent, of(site, "m1"), Reset())
    refuse(site, silent, of(site, "m1"), Reset(allow_quorum_loss=True))
    others = answers(w1={"kubernetes.node": complete_node("w1", OTHER)})
    with pytest.raises(UserError, match=r"^nothing was changed: w1 and m1 belong to two clusters"):
        refuse(site, others, of(site, "w1"), Reset(allow_quorum_loss=True))
    unknown = answers(w1={"kubernetes.node": "file x\n"})
    with pytest.raises(UserError, match=r"^nothing was changed: the answer is truncated"):
        refuse(site, unknown, of(site, "w1"), Reset())


ADMIN = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://api.example:16443
  name: berlin
contexts:
- context:
    cluster: other
  name: other
kind: Config
users:
- name: other
  user: {client-key-data: c2VjcmV0}
"""


@pytest.mark.parametrize(
    "text", [ADMIN, ADMIN.replace("- cluster:", "- name: berlin\n  cluster:", 1)]
)
def test_the_clusters_name_is_read_without_its_keys(host: HostHere, text: str) -> None:
    host.path("/etc/kubernetes/admin.conf").write_text(text)
    assert host.node().cluster == "berlin"
    output = host.run(kubernetes.probe(stacked=True).script).stdout
    assert "c2VjcmV0" not in output
    assert "QUJD" not in output


def test_keys_are_copied_before_anything_is_deleted(host: HostHere) -> None:
    """kubeadm's reset, as a stand-in, finds the copy made."""
    site = host.site
    none = {h.name: {"nodes.nodes": "at none\n"} for h in site.hosts}
    steps = [
        s for b in reset.batches(site, factories.observed(none, {}), site.hosts) for s in b.steps
    ]
    (first, *_) = [s for s in steps if isinstance(s, RunScript) and s.title == "kubeadm reset"]
    for name in ("ca.crt", "ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"):
        host.path(f"/etc/kubernetes/pki/{name}").write_text(PEM)
    script = first.script.replace("/run/containerd/containerd.sock", str(host.root / "none"))
    assert script.index("pki.$(date") < script.index("kubeadm reset")
    done = host.run(script)
    assert done.returncode == 0, done.stderr
    (copy,) = (host.root / "var/lib/hale/install/removed").iterdir()
    kept = {str(p.relative_to(copy)) for p in copy.rglob("*.key")}
    assert kept == {"ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"}
    assert {p.stat().st_mode & 0o077 for p in (copy.parent,)} == {0}
    assert f"note: {copy} is a copy of" in done.stdout
    # A worker has no key of a CA, and nothing is copied.
    shutil.rmtree(host.root / "etc/kubernetes")
    host.path(kubernetes.CA).write_text(PEM)
    assert host.run(script).returncode == 0
    assert list(copy.parent.iterdir()) == [copy]
