"""kubeadm's configuration: what the inventory says, what the site adds, and where secrets go."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hale.install import cluster_context
from hale.install.executor import InstallStepExecutor
from hale.install.phase import RunScript
from hale.install.secrets import Secret, Secrets
from hale.inventory import ini
from hale.model.errors import UserError
from hale.ssh import remote
from lab.machine import Lab
from remediate.cluster import init, kubeadm, masters
from tests.install import factories

EXTRA = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
apiServer:
  certSANs: [10.9.9.9, api.example]
  extraArgs: [{name: audit-log-path, value: /var/log/audit.log}]
networking: {dnsDomain: berlin.local}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
"""


def documents(secret: Secret) -> dict[str, Any]:
    return {d["kind"]: d for d in yaml.safe_load_all(secret.reveal())}


def test_init_says_what_the_inventory_says(tmp_path: Path) -> None:
    site = factories.made(tmp_path, "hale_site=lab\n")
    found = documents(kubeadm.init(site))
    assert found["InitConfiguration"] == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": "10.0.0.1", "bindPort": 6443},
        "nodeRegistration": {
            "name": "m1",
            "criSocket": "unix:///run/containerd/containerd.sock",
            "kubeletExtraArgs": [{"name": "node-ip", "value": "10.0.0.1"}],
        },
        "bootstrapTokens": [{"token": site.secrets.token.reveal(), "ttl": "2h0m0s"}],
        "certificateKey": site.secrets.certificate_key.reveal(),
    }
    assert found["ClusterConfiguration"] == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": "kubernetes",
        "kubernetesVersion": "v1.34.4",
        "controlPlaneEndpoint": "api.example:16443",
        "imageRepository": "registry.example:5000/k8s",
        "apiServer": {
            "certSANs": [
                "api.example", "k8s-vip", "10.0.0.100",
                "m1", "10.0.0.1", "m2", "10.0.0.2", "m3", "10.0.0.3",
            ]
        },
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12"},
    }  # fmt: skip
    assert found["KubeletConfiguration"]["cgroupDriver"] == "systemd"
    assert found["KubeProxyConfiguration"]["mode"] == site.kube_proxy_mode == "ipvs"


def test_the_sites_documents_are_merged_by_kind(tmp_path: Path) -> None:
    site = factories.made(tmp_path, "kubeadm_extra=extra.yaml\n", extra_yaml=EXTRA)
    found = documents(kubeadm.init(site))
    cluster = found["ClusterConfiguration"]
    assert cluster["apiServer"]["certSANs"][-2:] == ["10.0.0.3", "10.9.9.9"]
    assert cluster["apiServer"]["certSANs"].count("api.example") == 1
    assert cluster["apiServer"]["extraArgs"][0]["name"] == "audit-log-path"
    assert cluster["networking"]["dnsDomain"] == "berlin.local"
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16"
    assert site.kube_proxy_mode == found["KubeProxyConfiguration"]["mode"] == "nftables"


def test_a_site_without_kube_proxy_gets_none(tmp_path: Path) -> None:
    site = factories.made(tmp_path, "hale_cmp_kube_proxy__mode=none\n")
    found = documents(kubeadm.init(site))
    assert found["ClusterConfiguration"]["proxy"] == {"disabled": True}
    assert "KubeProxyConfiguration" not in found
    assert [o.name for o in kubeadm.addons(site)] == ["coredns"]


@pytest.mark.parametrize(
    ("extra", "addons"),
    [
        ("kind: InitConfiguration\nskipPhases: [addon/kube-proxy]\n", ["coredns"]),
        ("kind: InitConfiguration\nskipPhases: [addon/coredns, preflight]\n", ["kube-proxy"]),
        ("kind: InitConfiguration\nskipPhases: [addon]\n", []),
        ("kind: ClusterConfiguration\nproxy: {disabled: true}\n", ["coredns"]),
        ("kind: ClusterConfiguration\ndns: {disabled: true}\n", ["kube-proxy"]),
        ("kind: ClusterConfiguration\ndns: {disabled: false}\n", ["coredns", "kube-proxy"]),
    ],
)
def test_addons_that_the_site_skips_are_never_made(
    tmp_path: Path, extra: str, addons: list[str]
) -> None:
    site = factories.made(tmp_path, "kubeadm_extra=extra.yaml\n", extra_yaml=extra)
    assert [o.name for o in kubeadm.addons(site)] == addons


def test_a_join_carries_the_key_for_masters_alone(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    key = site.secrets.certificate_key.reveal()
    master = documents(kubeadm.join(site, site.masters[1], "sha256:ab", master=True))
    worker = documents(kubeadm.join(site, site.workers[0], "sha256:ab", master=False))
    discovery = master["JoinConfiguration"]["discovery"]["bootstrapToken"]
    assert discovery == {
        "token": site.secrets.token.reveal(),
        "apiServerEndpoint": "api.example:16443",
        "caCertHashes": ["sha256:ab"],
    }
    assert master["JoinConfiguration"]["controlPlane"] == {
        "localAPIEndpoint": {"advertiseAddress": "10.0.0.2", "bindPort": 6443},
        "certificateKey": key,
    }
    assert "controlPlane" not in worker["JoinConfiguration"]
    assert key not in str(worker)


def test_what_lists_images_knows_no_secret(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    text = kubeadm.public_config(site)
    for secret in (site.secrets.token, site.secrets.certificate_key):
        assert secret.reveal() not in text
    assert "InitConfiguration" not in text


def test_no_step_shows_a_secret(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    steps: list[RunScript] = [
        masters.token(site, site.first_control_plane),
        masters.certificates(site, site.first_control_plane),
    ]
    none = {"kubernetes.node": "kubelet inactive\n", "nodes.nodes": "at none\n"}
    for wave in init.KubeadmInit().batches(
        site, factories.observed({h.name: none for h in site.hosts}, {})
    ):
        steps += [s for s in wave.steps if isinstance(s, RunScript)]
    assert len(steps) == 3
    for secret in (site.secrets.token, site.secrets.certificate_key):
        assert secret.reveal() not in repr(steps) + repr(site) + str(steps)
        assert all(
            secret.reveal() in s.stdin.reveal() for s in steps if isinstance(s.stdin, Secret)
        )
        assert all(secret.reveal() not in s.script for s in steps)


def test_output_of_a_host_is_reported_without_secrets() -> None:
    secrets = Secrets()
    doer = InstallStepExecutor(None, secrets)  # type: ignore[arg-type]  # nothing is asked of a host
    token, key = secrets.token.reveal(), secrets.certificate_key.reveal()
    output = doer.tail(
        f"join with {token}\nor {token.split('.')[1]}\nUsing certificate key:\n{key}\n"
    )
    assert token not in output
    assert token.split(".")[1] not in output
    assert key not in output
    assert output.splitlines()[0] == "join with ********"


def test_tokens_are_kubernetes_own_form() -> None:
    first, second = Secrets(), Secrets()
    import re

    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", first.token.reveal())
    assert re.fullmatch(r"[0-9a-f]{64}", first.certificate_key.reveal())
    assert first.token != second.token


@pytest.mark.parametrize(
    ("more", "extra", "error"),
    [
        ("etcd_kind=external\n", "", "etcd_kind=external needs kubeadm_extra"),
        (
            "kubeadm_extra=extra.yaml\n",
            "kind: ClusterConfiguration\netcd: {external: {endpoints: [a]}}\n",
            "but the inventory says etcd_kind=stacked",
        ),
        ("kubeadm_extra=extra.yaml\n", "kind: Pod\n", "kind Pod: known are"),
        ("kubeadm_extra=extra.yaml\n", "kind: [\n", "extra.yaml:2: invalid YAML"),
        ("kubeadm_extra=extra.yaml\n", "a: b\n", "a document without `kind`"),
        (
            "kubeadm_extra=extra.yaml\n",
            "kind: KubeletConfiguration\ncgroupDriver: cgroupfs\n",
            "contradicts cgroup_driver=systemd",
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, more: str, extra: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        factories.made(tmp_path, more, extra_yaml=extra)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("kubernetes_version=1.34.4", "kubernetes_version is missing"),
        ("pod_cidr=10.244.0.0/16", "pod_cidr is missing"),
        ("network_manifest=network.yaml", "network_manifest is missing"),
        ("apt_key=key.asc", "apt_repository needs apt_key"),
        ("dnf_key=key.asc", "dnf_repository needs dnf_key"),
        ('apt_repository="http://mirror.example/apt ./"', "apt_key belongs to apt_repository"),
        ("m1 ansible_host=10.0.0.1", "nothing"),
    ],
)
def test_settings_without_a_default_are_required(tmp_path: Path, line: str, error: str) -> None:
    assert line in factories.INVENTORY
    if error == "nothing":
        complete = factories.INVENTORY.replace("[masters]", "[others]")
        with pytest.raises(UserError, match=r"\[masters\] has no host"):
            factories.made(tmp_path, complete=complete.replace("\nmasters\n", "\nothers\n"))
        return
    with pytest.raises(UserError, match=error):
        factories.made(tmp_path, complete=factories.INVENTORY.replace(f"{line}\n", ""))


@pytest.mark.parametrize("kind", ["keepalived", "kube-vip", "external"])
def test_haproxy_and_the_apiserver_need_two_ports(tmp_path: Path, kind: str) -> None:
    """Refused before any host is touched. What was begun with it can be removed all the same."""
    more = "" if kind == "keepalived" else f"endpoint_kind={kind}\n"
    complete = factories.INVENTORY.replace("vip_port=16443", "vip_port=6443") + more
    if kind != "keepalived":
        assert factories.made(tmp_path, complete=complete).endpoint == "api.example:6443"
        return
    line = complete.splitlines().index("vip_port=6443") + 1
    with pytest.raises(
        UserError, match=rf":{line}: vip_port=6443 is .* Set another, such as 16443"
    ):
        factories.made(tmp_path, complete=complete)
    found = ini.load_inventory(tmp_path / "inventory.ini")
    assert cluster_context.load_cluster_context(found).endpoint == "api.example:6443"


@pytest.mark.lab
@pytest.mark.parametrize(("kind", "stays"), [("kube-vip", "ours\n"), ("keepalived", "")])
def test_kube_vips_manifest_stays(lab: Lab, tmp_path: Path, kind: str, stays: str) -> None:
    """The site has put it there; without it the next init would wait for a VIP in vain."""
    site = factories.made(tmp_path, f"endpoint_kind={kind}\n")
    host = lab["k8s-master-01"]
    manifest = "/etc/kubernetes/manifests/kube-vip.yaml"
    try:
        host.run(f"mkdir -p {manifest.rpartition('/')[0]}")
        host.run(f"(umask 077; echo ours >{manifest}); echo other >/etc/kubernetes/kubelet.conf")
        script = kubeadm.preserving(site, "rm -rf /etc/kubernetes")
        host.run(f"{remote.PRELUDE}{remote.ATOMIC_WRITE}set -eu\n{script}")
        remaining = host.run(
            "find /etc/kubernetes -type f -printf '%p %m\\n' 2>/dev/null", check=False
        )
        assert remaining.stdout.decode() == (f"{manifest} 600\n" if stays else "")
        assert host.run(f"cat {manifest}", check=False).stdout.decode() == stays
        assert host.run("ls -A /var/lib/hale/install", check=False).stdout == b""
    finally:
        host.run("rm -rf /etc/kubernetes /var/lib/hale/install")
