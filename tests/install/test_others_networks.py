"""A reset leaves the networks of podman, nerdctl, CRI-O, LXC and docker."""

import re
import subprocess
from pathlib import Path

import pytest

from facts.cluster import leftovers
from hale.ssh.remote import ATOMIC_WRITE
from remediate.cluster import scripts

FILES = {
    "10-flannel.conflist": '{"name": "cbr0", "plugins": [{"type": "flannel"}]}',
    "87-podman-bridge.conflist": '{"name": "podman", "plugins": [{"bridge": "cni-podman0"}]}',
    # As `podman network create shop` names it.
    "shop.conflist": '{"args":{"podman_labels":{}},"name":"shop","plugins":[{"bridge":"cni9"}]}',
    "100-crio-bridge.conf": '{"name" : "crio", "bridge" : "cni0"}',
}
OTHERS = {name for name in FILES if "flannel" not in name}
STATE = {
    "networks/cbr0/10.244.1.2": False,
    "networks/podman/10.88.0.2": True,
    "results/shop-1a2b-eth0": True,
    "results/cbr0-3c4d-eth0": False,
    "flannel/5e6f": False,
}
RULES = """*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-1a2b - [0:0]
:KUBE-SERVICES - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -s 10.1.0.0/16 -m comment --comment "beside KUBE-SERVICES" -j ACCEPT
-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \\"podman\\" id: \\"1a2b\\"" -j CNI-1a2b
-A CNI-1a2b -d 10.88.0.0/16 -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-1
-A DOCKER -i docker0 -j RETURN
COMMIT
"""
TABLES = """table ip nat
table ip kube-proxy
table ip flannel-ipv4
table inet flannel-of-the-site
table inet cni_hostport
table inet site
"""


class Swept:
    """A host's folders and stand-ins for its programs, and what sweep.sh makes of them."""

    def __init__(self, tmp_path: Path, files: set[str]) -> None:
        self.conf, self.state = tmp_path / "net.d", tmp_path / "cni"
        self.restored, self.deleted = tmp_path / "restored", tmp_path / "deleted"
        self.conf.mkdir()
        for name in files:
            (self.conf / name).write_text(FILES[name])
        for name in STATE:
            (self.state / name).parent.mkdir(parents=True, exist_ok=True)
            (self.state / name).touch()
        (tmp_path / "rules").write_text(RULES)
        (tmp_path / "tables").write_text(TABLES)
        self.programs = tmp_path / "bin"
        self.programs.mkdir()
        self.program("iptables-save", f"cat {tmp_path}/rules")
        self.program("iptables-restore", f"cat >{self.restored}")
        self.program("ip6tables-save", "exit 1")
        nft = f'case $1 in list) cat {tmp_path}/tables;; *) echo "$*" >>{self.deleted};; esac'
        self.program("nft", nft)

    def program(self, name: str, body: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.programs / name).chmod(0o755)

    def run(self, script: str) -> str:
        given = (
            f"cni_conf={self.conf}\ncni_state={self.state}\nothers_cni='{leftovers.OTHERS_CNI}'\n"
            f"{leftovers.OTHERS_NETWORKS}"
        )
        done = subprocess.run(
            ["/bin/sh", "-c", f"{ATOMIC_WRITE}set -eu\n{given}{script}"],
            capture_output=True,
            text=True,
            env={"PATH": f"{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin"},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sweep(self) -> None:
        """What of sweep.sh is not about containers, nor about folders of this machine."""
        script = scripts.load("sweep", pods="", chains=leftovers.CHAINS, tables=leftovers.TABLES)
        kept = script.index("for t in iptables")
        given = script[: script.index("if [ -S /run")]
        body = re.sub(
            r"(?m)^(rm -rf --one-file-system /run|find /var/lib/kubelet).*\n", "", script[kept:]
        )
        assert "/etc/" not in body
        self.run(given + body)


def test_files_and_state_of_others_stay(tmp_path: Path) -> None:
    swept = Swept(tmp_path, set(FILES))
    swept.sweep()
    assert {p.name for p in swept.conf.iterdir()} == OTHERS
    remaining = {str(p.relative_to(swept.state)) for p in swept.state.rglob("*") if p.is_file()}
    assert remaining == {name for name, stays in STATE.items() if stays}
    assert swept.run("of_others name; of_others bridge").split() == [
        *("crio", "podman", "shop"),
        *("cni0", "cni-podman0", "cni9"),
    ]


def test_without_others_nothing_stays(tmp_path: Path) -> None:
    swept = Swept(tmp_path, {"10-flannel.conflist"})
    swept.sweep()
    assert list(swept.conf.iterdir()) == []
    assert not swept.state.exists()


@pytest.mark.parametrize("others", [True, False])
def test_rules_and_tables_of_others_stay(tmp_path: Path, others: bool) -> None:
    swept = Swept(tmp_path, set(FILES) if others else {"10-flannel.conflist"})
    swept.sweep()
    kubes = [line for line in RULES.splitlines() if re.search("^:KUBE|-A KUBE|-j KUBE", line)]
    plugins = [line for line in RULES.splitlines() if re.search("^:CNI|-A CNI|-j CNI", line)]
    gone = kubes if others else kubes + plugins
    assert len(kubes) == 3
    assert len(plugins) == 5
    assert swept.restored.read_text().splitlines() == [
        line for line in RULES.splitlines() if line not in gone
    ]
    tables = ["ip kube-proxy", "ip flannel-ipv4", *(() if others else ("inet cni_hostport",))]
    assert swept.deleted.read_text().splitlines() == [f"delete table {t}" for t in tables]


@pytest.mark.parametrize(
    ("name", "clusters"),
    [
        ("cni0", True),
        ("flannel.1", True),
        ("lxc_health", True),
        ("lxc0123456789ab", True),
        ("kube-ipvs0", True),
        ("ovn-k8s-mp0", True),
        ("cni-podman0", False),
        ("lxcbr0", False),
        ("lxdbr0", False),
        ("docker0", False),
        ("ovnbr-site", False),
    ],
)
def test_whose_an_interface_is(name: str, clusters: bool) -> None:
    assert bool(re.fullmatch(leftovers.INTERFACES, name)) is clusters


def test_a_network_namespace_in_which_something_runs_stays(tmp_path: Path) -> None:
    """Podman's were named as containerd's are."""
    swept = Swept(tmp_path, set())
    assert swept.run("is_used /proc/self/ns/net && echo used").strip() == "used"
    (tmp_path / "empty").touch()
    assert swept.run(f"is_used {tmp_path}/empty || echo unused").strip() == "unused"


def test_what_stays_is_no_leftover(tmp_path: Path) -> None:
    swept = Swept(tmp_path, set(FILES))
    found = swept.run(
        f"chains='{leftovers.CHAINS}'\ntables='{leftovers.TABLES}'\n"
        'own_chains "$(iptables-save)"\nown_tables\n'
    ).splitlines()
    assert found == [
        leftovers.CHAINS.replace("CNI-|", ""),
        "table ip kube-proxy",
        "table ip flannel-ipv4",
    ]
