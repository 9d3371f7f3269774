"""The text of haproxy's and keepalived's configuration, by the version that will read it.

haproxy from 1.8 (CentOS and RHEL 8) to 3.2, keepalived from 1.3.5 (CentOS 7) to 2.3. A newer one
gets the text of the newest here, and validates it before it replaces the old file. What differs:

- `http-check send` exists from haproxy 2.2. Before, the check's Host header is part of the version
  string of `option httpchk`, a form that 2.2 calls deprecated.
- `bind :::PORT v4v6` needs a socket of IPv6, which a kernel with `ipv6.disable=1` refuses.
- Where a single master has no peers, keepalived has always sent by multicast. From 2.2.5 it calls
  unicast keywords without peers deprecated, and `keepalived -t` of 2.3 refuses the file. 2.2.7
  keeps the old lines: it takes them, and other ones would restart it where it runs.
- `keepalived -t` exists from 2.0.4; an older one cannot validate a file. All keywords of
  keepalived.conf here exist in 1.3.5.

Sources: HAProxy's configuration manuals 1.8 to 3.2, 4.2 `option httpchk` and `http-check send`, 5.1
`v4v6`; keepalived.conf(5) and keepalived(8) of 1.3.5 to 2.3; keepalived's ChangeLog, 2.0.4. The
keywords of all versions: tests/install/load_balancer_keywords.toml.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from facts.cluster.load_balancer_host import Ipv6, LoadBalancerHost, Program, Version
from hale.inventory.ini import Host
from remediate.cluster import scripts, templates

OLDEST: Mapping[str, Version] = MappingProxyType({"haproxy": (1, 8, 0), "keepalived": (1, 3, 5)})
HTTP_CHECK_SEND: Version = (2, 2, 0)  # of haproxy
CONFIG_TEST: Version = (2, 0, 4)  # of keepalived: -t
NO_UNICAST_ALONE: Version = (2, 2, 8)  # of keepalived: from here on, no unicast without peers


def haproxy_config(
    version: Version,
    ipv6: Ipv6,
    *,
    port: int,
    apiserver_port: int,
    masters: Sequence[Host],
    name: str,
    ca: str,
    ingress_ports: Sequence[int] = (),
    workers: Sequence[Host] = (),
) -> str:
    """haproxy.cfg. name: the control plane's. ca: the path of its CA; empty before there is one.

    ingress_ports: those that it forwards to the same ports of the workers.
    """
    return templates.render(
        "haproxy.cfg.j2",
        http_check_send=version >= HTTP_CHECK_SEND,
        ipv6=ipv6 is not Ipv6.ABSENT,
        port=port,
        apiserver_port=apiserver_port,
        masters=masters,
        name=name,
        ca=ca,
        ingress_ports=ingress_ports,
        workers=workers,
    )


def keepalived_config(
    version: Version,
    *,
    check: str,
    interface: str,
    vrrp_id: int,
    priority: int,
    advert: float,
    address: str | None,
    peers: Sequence[str | None],
    vip: str,
) -> str:
    """keepalived.conf. check: the path of the script. advert: seconds between two adverts.

    address, peers: those of this master and of the others.
    """
    return templates.render(
        "keepalived.conf.j2",
        multicast=not peers and version >= NO_UNICAST_ALONE,
        check=check,
        interface=interface,
        vrrp_id=vrrp_id,
        priority=priority,
        advert=advert,
        address=address,
        peers=peers,
        vip=vip,
    )


def keepalived_check(version: Version) -> str:
    """The command that validates `$new`; empty for a keepalived that has none."""
    return scripts.load("check_keepalived") if version >= CONFIG_TEST else ""


def problems(host: Host, found: LoadBalancerHost, vip: str) -> Iterator[str]:
    """Why there can be no load balancer on this host, each with the next step.

    A program without a known version is none: it becomes known once it is installed.
    """
    for name, program in (("haproxy", found.haproxy), ("keepalived", found.keepalived)):
        if program is not None and program.version < OLDEST[name]:
            yield _too_old(host, name, program)
    if ":" in vip and found.ipv6 is not Ipv6.ENABLED:
        how = "ipv6.disable=1" if found.ipv6 is Ipv6.ABSENT else "net.ipv6.conf.all.disable_ipv6=1"
        yield (
            f"{host.name}: the VIP {vip} is an IPv6 address, and IPv6 is off there ({how}). "
            "Remove that setting, or use an IPv4 address as vip."
        )


def _too_old(host: Host, name: str, program: Program) -> str:
    oldest = ".".join(map(str, OLDEST[name])).removesuffix(".0")
    state = "is installed" if program.installed else "would be installed"
    return (
        f"{host.name}: {name} {program} {state}, and Hale's configuration needs {oldest} or later. "
        f"Give the host a package source with a newer {name}, or use a load balancer of your own: "
        "endpoint_kind=external (docs/install.md)."
    )
