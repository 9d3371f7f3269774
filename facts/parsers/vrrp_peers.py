"""Whether control-plane nodes with these keepalived instances act as one.

Not a subject: facts/vip_owner.py uses it. Sources: keepalived.conf(5), vrrp_instance; RFC 3768 and
RFC 5798, 7.1 "Receiving VRRP Packets".
"""

from collections.abc import Callable, Collection, Mapping

from facts.parsers import address_setting
from facts.parsers.vip_config import Instance

# What all must have in common, or they do not understand each other's adverts; an empty value does
# not matter.
_COMMON: tuple[tuple[str, Callable[[Instance], str]], ...] = (
    ("virtual_router_id", lambda i: i.router_id),
    ("vrrp_version", lambda i: i.version),
    ("advert_int", lambda i: i.advert if i.version == "2" else ""),
    ("auth_type", lambda i: i.auth or "none"),
    ("adverts by", lambda i: "unicast" if i.peers else "multicast"),
)


def disagreements(
    instances: Mapping[str, Instance],
    addresses: Mapping[str, str],
    senders: Mapping[str, Collection[str]],
) -> list[tuple[str, str]]:
    """Why the nodes, once started with these files, do not act as one: (host, fault).

    addresses: each node's address in the inventory. senders: the addresses from which a node's
    adverts may come; empty where they are not known.
    """
    return [
        *_different_settings(instances),
        *_missing_peers(instances, addresses, senders),
        *_unmoved(instances),
    ]


def _different_settings(instances: Mapping[str, Instance]) -> list[tuple[str, str]]:
    """The nodes with a setting unlike that of most."""
    faults = []
    for name, value in _COMMON:
        values = [v for instance in instances.values() if (v := value(instance))]
        usual = max(values, key=lambda v: (values.count(v), -values.index(v)), default="")
        others = " and ".join(h for h, i in instances.items() if value(i) == usual)
        faults += [
            (
                host,
                f"has {name} {value(instance)}, unlike {others} ({usual}): it does not hear "
                "their adverts at its next start, and takes the VIP beside them",
            )
            for host, instance in instances.items()
            if value(instance) not in ("", usual)
        ]
    return faults


def _missing_peers(
    instances: Mapping[str, Instance],
    addresses: Mapping[str, str],
    senders: Mapping[str, Collection[str]],
) -> list[tuple[str, str]]:
    """The nodes whose unicast adverts leave out another one."""
    faults = []
    for host, instance in instances.items():
        peers = {address_setting.plain(peer) for peer in instance.peers}
        for other, address in addresses.items():
            sends = senders.get(other, ())
            if peers and sends and other != host and not peers & {address, *sends}:
                faults.append(
                    (
                        host,
                        f"has no unicast_peer {address} ({other}): {other} does not "
                        "hear its adverts, and takes the VIP beside it",
                    )
                )
    return faults


def _unmoved(instances: Mapping[str, Instance]) -> list[tuple[str, str]]:
    """The master that keeps the VIP whichever of its scripts fails, by its priority."""
    gains = {h: sum(max(w, 0) for _, w in i.scripts) for h, i in instances.items()}
    best = {h: i.priority + gains[h] for h, i in instances.items()}
    if len(best) < 2:
        return []
    first = max(best, key=lambda host: best[host])
    most = max(value for host, value in best.items() if host != first)
    weights = [abs(weight) for _, weight in instances[first].scripts]
    if any(not weight or best[first] - weight < most for weight in weights):
        return []
    return [
        (
            first,
            f"keeps a priority of {best[first] - abs(weight)} when its script {name} fails "
            f"(weight {weight}), and the others have at most {most}: the VIP stays",
        )
        for name, weight in instances[first].scripts
    ]
