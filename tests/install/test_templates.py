"""The configuration files, byte for byte as golden/ has them: HALE_GOLDEN=1 writes them anew.

That haproxy, keepalived and containerd take them is proven by every install on the lab, where each
file is validated by the program that will read it before it replaces the old one; and for other
versions of haproxy and keepalived by test_load_balancer_binaries.py.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from facts.cluster.load_balancer_host import Ipv6
from remediate.cluster import load_balancer, templates
from tests.install import load_balancer_files

GOLDEN = Path(__file__).parent / "golden"
CONTAINERD = {"sandbox_image": "registry.example:5000/k8s/pause:3.10.1", "certs": "/etc/certs.d"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "haproxy-unit.conf": ("haproxy.conf.j2", {}),
    "check-before-init.sh": ("check-apiserver.j2", {"port": 16443, "name": "a.example", "ca": ""}),
    "check.sh": (
        "check-apiserver.j2",
        {"port": 16443, "name": "a.example", "ca": load_balancer.CA},
    ),
    "containerd-1.toml": (
        "containerd.toml.j2",
        {**CONTAINERD, "three": False, "systemd_cgroup": True, "restrict_oom_score_adj": False},
    ),
    "containerd-2.toml": (
        "containerd.toml.j2",
        {**CONTAINERD, "three": True, "systemd_cgroup": False, "restrict_oom_score_adj": True},
    ),
    "hosts.toml": ("hosts.toml.j2", {"registry": "registry.example:5000"}),
}


# The lab's versions: a cluster that is up keeps its files.
TEXTS = {
    **{name: templates.render(template, **values) for name, (template, values) in CASES.items()},
    **{
        name: load_balancer_files.haproxy(name, (2, 6, 12), Ipv6.ENABLED)
        for name in load_balancer_files.HAPROXY
    },
    **{
        name: load_balancer_files.keepalived(name, (2, 2, 7))
        for name in load_balancer_files.KEEPALIVED
    },
    "keepalived-alone-2.3.conf": load_balancer_files.keepalived("keepalived-alone.conf", (2, 3, 3)),
    "haproxy-1.8.cfg": load_balancer_files.haproxy("haproxy.cfg", (1, 8, 27), Ipv6.ENABLED),
    "haproxy-no-ipv6.cfg": load_balancer_files.haproxy("haproxy.cfg", (2, 6, 12), Ipv6.ABSENT),
}


@pytest.mark.parametrize("name", TEXTS)
def test_template(name: str) -> None:
    made = TEXTS[name]
    path = GOLDEN / name
    if os.environ.get("HALE_GOLDEN"):
        path.write_text(made)
    assert made == path.read_text()
    assert made.endswith("\n")
    assert not made.endswith("\n\n")


def test_every_golden_file_has_a_case() -> None:
    assert {p.name for p in GOLDEN.iterdir()} == set(TEXTS)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        templates.render("hosts.toml.j2")


def test_the_adverts_are_between_the_masters_alone() -> None:
    text = TEXTS["keepalived.conf"]
    assert "vrrp_version 3" in text
    assert "nopreempt" in text
    assert "state BACKUP" in text
    assert "auth_pass" not in text, "version 3 has none"
    assert "unicast_src_ip 10.0.0.1" in text
