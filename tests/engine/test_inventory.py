"""Inventories, one small file a case: what a valid one means, what is said of a malformed one.

inventory/valid/<name>.toml has `inventory`, and of each host its exact `groups`, its `address`
and some `variables`; inventory/malformed/<name>.toml has the `error`, which begins with the
line. The endpoint's variables are put behind each, unless it is `whole`.

All valid ones were compared with what `ansible-inventory --list` of ansible-core 2.19.14 makes
of them: the same hosts, groups and values (a number or list is its text here); only a byte
order mark it does not take.
"""

import os
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from hale.inventory import ini
from hale.inventory.cluster_spec import AptSource, ClusterSpec
from hale.model.errors import UserError
from hale.standard import loader

HERE = Path(__file__).parent / "inventory"
ROOT = Path(__file__).parents[2]
TAIL = "\n[all:vars]\nvip=10.0.0.100\nvip_port=16443\nvip_names=api.example\n"


def cases(folder: str) -> list[Path]:
    return sorted((HERE / folder).glob("*.toml"))


def load(case: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    given = tomllib.loads(case.read_text())
    path = folder / "inventory.ini"
    path.write_bytes((given["inventory"] + ("" if given.get("whole") else TAIL)).encode())
    return given, path


@pytest.mark.parametrize("case", cases("valid"), ids=lambda p: p.stem)
def test_valid(case: Path, tmp_path: Path) -> None:
    given, path = load(case, tmp_path)
    known = ini.load_inventory(path)
    assert [h.name for h in known.hosts] == list(given["hosts"])
    for host in known.hosts:
        wanted = given["hosts"][host.name]
        assert host.address == wanted.get("address")
        assert sorted(host.groups) == wanted["groups"]
        for name, value in wanted.get("variables", {}).items():
            assert host.get(name) == value, name
        for group in host.groups:
            assert host.name in known.groups.get(group, ()) or group == "ungrouped"


@pytest.mark.parametrize("case", cases("malformed"), ids=lambda p: p.stem)
def test_malformed(case: Path, tmp_path: Path) -> None:
    given, path = load(case, tmp_path)
    with pytest.raises(UserError) as error:
        ini.load_inventory(path)
    message = str(error.value)
    assert message.startswith(f"{path}:")
    assert given["error"] in message
    if given["error"].startswith(":"):
        assert message.startswith(f"{path}{given['error'].partition(' ')[0]}")


def test_the_documents_inventory() -> None:
    known = ini.load_inventory(ROOT / "inventory.ini")
    assert {h.name: h.address for h in known.hosts} == {
        "k8s-master-01": "10.208.1.191",
        "k8s-master-02": "10.208.1.192",
        "k8s-master-03": "10.208.1.195",
        "k8s-node-01": "10.208.1.196",
        "k8s-node-02": "10.208.1.198",
    }
    assert [h.name for h in known.masters] == [f"k8s-master-0{n}" for n in (1, 2, 3)]
    assert known.groups["workers"] == ("k8s-node-01", "k8s-node-02")
    endpoint = known.endpoint
    assert (endpoint.vip, endpoint.port, endpoint.kind) == ("10.208.1.190", 16443, "keepalived")
    assert endpoint.names == ("master.k8s.io", "k8s-vip")
    assert (known.etcd_kind, known.environment) == ("stacked", "site")


def test_the_environment_may_have_the_name_of_earlier_releases(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    text = (ROOT / "tests/engine/data/inventory.ini").read_text()
    assert "hale_site=lab" in text
    for lines, expected in (
        ("hale_site=old", "old"),
        ("hale_environment=new", "new"),
        ("hale_site=old\nhale_environment=new", "new"),
    ):
        path.write_text(text.replace("hale_site=lab", lines))
        assert ini.load_inventory(path).environment == expected
        loader.check_overrides(loader.load_standard(ROOT / "standard"), ini.load_inventory(path))


def test_a_byte_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_bytes(b"[masters]\nm1\n# caf\xe9\n" + TAIL.encode())
    with pytest.raises(UserError, match=r"inventory.ini:3: byte 0xe9 is not UTF-8"):
        ini.load_inventory(path)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent.ini", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/zero", "it is a character device"),
        ("/dev/null", "it is a character device"),
        ("\0", "embedded null byte"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_file(tmp_path: Path, name: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        ini.load_inventory(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_text("[masters]\nm1\n" + TAIL)
    path.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        ini.load_inventory(path)


def test_very_many_hosts(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_text("[masters]\nm[1:3]\n[workers]\nn[0001:2000]\n" + TAIL)
    assert len(ini.load_inventory(path).hosts) == 2003


def test_a_chain_of_groups_longer_than_pythons_stack(tmp_path: Path) -> None:
    chain = "".join(f"[g{n}:children]\ng{n + 1}\n" for n in range(3000))
    path = tmp_path / "inventory.ini"
    path.write_text(f"[masters]\nm1\n[g3000]\nm1\n{chain}{TAIL}")
    assert len(ini.load_inventory(path).hosts[0].groups) == 3003
    path.write_text(f"[masters]\nm1\n[g3000]\nm1\n{chain}[g3000:children]\ng0\n{TAIL}")
    with pytest.raises(UserError, match="contains itself"):
        ini.load_inventory(path)


def test_variables_remember_where_they_were_set(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_text("[masters]\nm1 a=host\nm2\n[masters:vars]\na=group\nb=site\n" + TAIL)
    known = ini.load_inventory(path)
    reported = [(h.name, h.variables["a"].scope, str(h.variables["a"].where)) for h in known.hosts]
    assert reported == [("m1", "m1", f"{path}:2"), ("m2", "masters", f"{path}:5")]
    assert known.variables["b"].scope == "masters"
    assert "a" not in known.variables


def test_every_case_has_a_name_of_its_own() -> None:
    names = [p.stem for folder in ("valid", "malformed") for p in cases(folder)]
    assert len(names) == len(set(names))
    texts = [p.read_text() for folder in ("valid", "malformed") for p in cases(folder)]
    assert len(texts) == len(set(texts))


CLUSTER = """
[masters]
m1 ansible_host=10.0.0.1
[k8s:children]
masters
[k8s:vars]
cluster_name=berlin
kubernetes_version=1.34.4
apt_repository="http://10.208.1.1:8080/apt ./"
apt_key=keys/apt.asc
image_repository=10.208.1.1:5000/k8s
image_registry_plain_http=True
pod_cidr=10.244.0.0/16
service_cidr=10.96.0.0/16
network_manifest=network.yaml
addons="one.yaml 'the second.yaml'"
vrrp_id=51
kubeadm_extra=extra.yaml
cgroup_driver=cgroupfs
"""


def test_the_clusters_variables(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("keys/apt.asc", "network.yaml", "one.yaml", "the second.yaml", "extra.yaml"):
        (tmp_path / name).touch()
    path = tmp_path / "inventory.ini"
    path.write_text(CLUSTER + TAIL)
    assert ini.load_inventory(path).cluster == ClusterSpec(
        name="berlin",
        kubernetes_version="1.34.4",
        apt_repository=AptSource("http://10.208.1.1:8080/apt", "./"),
        apt_key=tmp_path / "keys/apt.asc",
        image_repository="10.208.1.1:5000/k8s",
        plain_http=True,
        pod_cidr=ip_network("10.244.0.0/16"),
        service_cidr=ip_network("10.96.0.0/16"),
        network_manifest=tmp_path / "network.yaml",
        addons=(tmp_path / "one.yaml", tmp_path / "the second.yaml"),
        vrrp_id=51,
        kubeadm_extra=tmp_path / "extra.yaml",
        cgroup_driver="cgroupfs",
    )


def test_without_the_clusters_variables(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    # The host lies in the default range of the services: nothing is installed here.
    path.write_text("[masters]\nm1 ansible_host=10.100.0.1\n" + TAIL)
    assert ini.load_inventory(path).cluster == ClusterSpec()
