"""The variants of haproxy.cfg and keepalived.conf, by the name of their golden file."""

from pathlib import Path
from typing import Any

from facts.cluster.load_balancer_host import Ipv6, Version
from hale.inventory.cluster_spec import INGRESS_PORTS
from hale.inventory.ini import Host
from hale.model.errors import Location
from remediate.cluster import load_balancer, load_balancer_config

_WHERE = Location(Path("inventory.ini"))
FOUR = [Host(f"m{n}", f"10.0.0.{n}", frozenset(), {}, _WHERE) for n in (1, 2, 3)]
WORKERS = [Host(f"w{n}", f"10.0.0.{n}", frozenset(), {}, _WHERE) for n in (1, 12)]
SIX = [Host(f"m{n}", f"fd00::{n}", frozenset(), {}, _WHERE) for n in (1, 2, 3)]

HAPROXY: dict[str, tuple[list[Host], str]] = {
    "haproxy-before-init.cfg": (FOUR, ""),
    "haproxy.cfg": (FOUR, load_balancer.CA),
    "haproxy-ipv6.cfg": (SIX, load_balancer.CA),
    "haproxy-ingress.cfg": (FOUR, load_balancer.CA),
}
_KEEPALIVED = {
    "check": load_balancer.CHECK,
    "interface": "eth0",
    "vrrp_id": 51,
    "priority": 103,
    "advert": load_balancer.ADVERT,
}
KEEPALIVED: dict[str, dict[str, Any]] = {
    "keepalived.conf": {
        **_KEEPALIVED, "address": "10.0.0.1", "peers": ["10.0.0.2", "10.0.0.3"], "vip": "10.0.0.9"
    },
    "keepalived-alone.conf": {
        **_KEEPALIVED, "address": "10.0.0.1", "peers": [], "vip": "10.0.0.9"
    },
}  # fmt: skip


def haproxy(name: str, version: Version, ipv6: Ipv6) -> str:
    """The text of that variant for a version of haproxy."""
    masters, ca = HAPROXY[name]
    return load_balancer_config.haproxy_config(
        version,
        ipv6,
        port=16443,
        apiserver_port=6443,
        masters=masters,
        name="api.example",
        ca=ca,
        ingress_ports=INGRESS_PORTS if name == "haproxy-ingress.cfg" else (),
        workers=WORKERS,
    )


def keepalived(name: str, version: Version) -> str:
    """The text of that variant for a version of keepalived."""
    return load_balancer_config.keepalived_config(version, **KEEPALIVED[name])
