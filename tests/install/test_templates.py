"""The configuration files, byte for byte as golden/ has them: HALE_GOLDEN=1 writes them anew.

That haproxy, keepalived and containerd take them is proven by every install on the lab, where each
file is validated by the program that will read it before it replaces the old one.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from remediate.cluster import load_balancer, templates

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Master:
    name: str
    address: str


FOUR = [Master(f"m{n}", f"10.0.0.{n}") for n in (1, 2, 3)]
SIX = [Master(f"m{n}", f"fd00::{n}") for n in (1, 2, 3)]
HAPROXY = {"port": 16443, "apiserver_port": 6443, "name": "api.example"}
KEEPALIVED = {
    "check": load_balancer.CHECK,
    "interface": "eth0",
    "vrrp_id": 51,
    "priority": 103,
    "advert": load_balancer.ADVERT,
}
CONTAINERD = {"sandbox_image": "registry.example:5000/k8s/pause:3.10.1", "certs": "/etc/certs.d"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "haproxy-before-init.cfg": ("haproxy.cfg.j2", {**HAPROXY, "masters": FOUR, "ca": ""}),
    "haproxy.cfg": ("haproxy.cfg.j2", {**HAPROXY, "masters": FOUR, "ca": load_balancer.CA}),
    "haproxy-ipv6.cfg": ("haproxy.cfg.j2", {**HAPROXY, "masters": SIX, "ca": load_balancer.CA}),
    "haproxy-unit.conf": ("haproxy.conf.j2", {}),
    "keepalived.conf": (
        "keepalived.conf.j2",
        {**KEEPALIVED, "address": "10.0.0.1", "peers": ["10.0.0.2", "10.0.0.3"], "vip": "10.0.0.9"},
    ),
    "keepalived-alone.conf": (
        "keepalived.conf.j2",
        {**KEEPALIVED, "address": "10.0.0.1", "peers": [], "vip": "10.0.0.9"},
    ),
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


@pytest.mark.parametrize("name", CASES)
def test_template(name: str) -> None:
    made = templates.render(CASES[name][0], **CASES[name][1])
    path = GOLDEN / name
    if os.environ.get("HALE_GOLDEN"):
        path.write_text(made)
    assert made == path.read_text()
    assert made.endswith("\n")
    assert not made.endswith("\n\n")


def test_every_golden_file_has_a_case() -> None:
    assert {p.name for p in GOLDEN.iterdir()} == set(CASES)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        templates.render("hosts.toml.j2")


def test_the_adverts_are_between_the_masters_alone() -> None:
    text = templates.render(*CASES["keepalived.conf"][:1], **CASES["keepalived.conf"][1])
    assert "vrrp_version 3" in text
    assert "nopreempt" in text
    assert "state BACKUP" in text
    assert "auth_pass" not in text, "version 3 has none"
    assert "unicast_src_ip 10.0.0.1" in text
