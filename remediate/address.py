"""A host's addresses are set by people, from a console: a mistake cuts the host off.

A node whose address changes does not come back into its cluster: etcd's members and the
certificates name it by that.

Sources: ip-address(8), ip-link(8); interfaces(5), ifup(8); netplan-try(8); networkctl(1);
nmcli(1); keepalived.conf(5), virtual_ipaddress.
"""

from collections.abc import Sequence

from facts.address import AddressParameters, AddressPersisted, AddressRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.evidence import ConfigLine
from hale.model.requirement import Case

APPLY = (
    "ifupdown: /etc/network/interfaces, `ifquery --list`, `ifup <interface>`; netplan: a file of "
    "/etc/netplan, `netplan try`, which goes back by itself; systemd-networkd: a .network file, "
    "`networkctl reload`; NetworkManager: `nmcli connection modify <profile> ipv4.method manual "
    "ipv4.addresses <address>/<prefix>`, `nmcli connection up <profile>`"
)


def runtime(fact: AddressRuntime, case: Case[AddressParameters]) -> tuple[Remedy, ...]:
    """The planned address on an interface that is up, and the VIP off this one."""
    changes: list[Remedy] = []
    if not fact.up and fact.down:
        interface = fact.down[0]
        changes.append(
            ManualStep(
                f"{fact.planned} is on {' and '.join(fact.down)}, which is not up or does not "
                f"work: see why (`ip -d addr show dev {interface}`, where `dadfailed` means that "
                f"somebody else has the address; `journalctl -b -g {interface}`), then `ip link "
                f"set dev {interface} up`."
            )
        )
    elif not fact.up:
        ask = "ndisc6 {} <interface>" if ":" in fact.planned else "arping -D -I <interface> {}"
        changes.append(
            ManualStep(
                f"no interface has {fact.planned}: see which one should (`ip -br addr`), be sure "
                f"that nobody else has it (`{ask.format(fact.planned)}`), and, from a "
                f"console, `ip addr add {fact.planned}/<prefix> dev <interface>`. If the host has "
                "another address on purpose, correct ansible_host in the inventory; a node of a "
                "cluster does not change its address, it leaves and joins anew."
            )
        )
    if fact.vip_on and not fact.may_hold_vip:
        on = fact.vip_on[0]
        changes.append(
            ManualStep(
                f"the VIP {fact.vip} is on {' and '.join(fact.vip_on)}, and nothing may put it on "
                "this host: see who did (`systemctl status keepalived`, a static pod in "
                "/etc/kubernetes/manifests, the network's configuration), and end that first, or "
                f"it comes back. Then, while the VIP answers elsewhere, `ip addr del {fact.vip}"
                f"/<prefix> dev {on}`."
            )
        )
    return tuple(changes)


def persisted(fact: AddressPersisted, case: Case[AddressParameters]) -> tuple[Remedy, ...]:
    """The network's configuration: which lines are at fault, and how each manager is told."""
    changes: list[Remedy] = []
    if not fact.setters:
        if fact.idle:
            said = "; ".join(f"{s} would set {fact.planned}, but {s.note}" for s in fact.idle)
        elif fact.dhcp:
            said = (
                f"{_lines(fact.dhcp)}: DHCP may give another address than {fact.planned}. Set it "
                "in the file, or, where the server holds it by a reservation, waive this"
            )
        else:
            said = f"nothing on this host sets {fact.planned} at boot"
        changes.append(
            ManualStep(
                f"{said}. From a console, and with a copy of the file kept: {APPLY}. Then boot "
                "once while the host is drained."
            )
        )
    if fact.vip_setters:
        changes.append(
            ManualStep(
                f"{_lines(fact.vip_setters)}: the host sets the VIP {fact.vip} for itself at boot. "
                "Take it out of there, for the VIP's manager to put it where it belongs; what has "
                "it now keeps it until the network is restarted."
            )
        )
    return tuple(changes)


def _lines(sources: Sequence[ConfigLine]) -> str:
    return "; ".join(f"{s} says `{s.text}`" for s in sources)
