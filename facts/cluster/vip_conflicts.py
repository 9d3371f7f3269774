"""Claims to the VIP: this host's interfaces, other hosts that answer for it, and VRRP speakers.

Not a subject: the install observes it before it sets up a VIP. To detect speakers, a raw socket of
socat joins VRRP's multicast group for LISTEN seconds; it also receives unicast adverts to this
host. The only packets sent are one echo request to the VIP and the ARP request for it.

Sources: RFC 9568 (VRRP: group 224.0.0.18, protocol 112, the router's id is the second byte);
socat(1), IP4-RECVFROM; ip-neighbour(8); arp(7).
"""

from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import split_words
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import script_with

SUBJECT = "vip_claims"
LISTEN = 2.5  # seconds: two adverts of VRRP's default interval and the slack of a busy host


class Claims(Struct, frozen=True):
    """interface, mac: of the host's planned address. held: the host's interface with the VIP.
    answered: another host answers for the VIP; neighbour: its MAC. speakers: (address, VRID) of
    the adverts received. deaf: why this host did not listen; `ours` where keepalived is Hale's
    already, so that an earlier run did."""

    interface: str = ""
    mac: str = ""
    held: str = ""
    answered: bool = False
    neighbour: str = ""
    speakers: tuple[tuple[str, int], ...] = ()
    deaf: str = ""


def own_state_probe(vip: str, address: str) -> CommandProbe:
    """The probe of this host's interfaces."""
    script = script_with(Path(__file__).with_name("vip_conflicts_own.sh"), vip=vip, me=address)
    return CommandProbe("own", script)


def conflict_probe(vip: str, address: str) -> CommandProbe:
    """The probe that sends and listens, in parallel with others."""
    file = Path(__file__).with_name("vip_conflicts_strangers.sh")
    script = script_with(file, vip=vip, me=address, seconds=str(LISTEN))
    return CommandProbe("strangers", script, timeout=15, slow=True)


@parsed
def interface(readings: HostView) -> str:
    """The interface with the host's planned address; empty without one. Raises Unreadable."""
    words = (line.partition(" ") for line in readings.output("own").lines)
    return next((name for word, _, name in words if word == "interface"), "")


@parsed
def read(readings: HostView) -> Claims:
    """The claims, as observed from this host. Raises Unreadable."""
    values: dict[str, str] = {}
    speakers: set[tuple[str, int]] = set()
    for line in (*readings.output("own").lines, *readings.output("strangers").lines):
        word, _, rest = line.partition(" ")
        if word == "heard":
            peer, *octets = split_words(rest)
            if not octets:
                continue  # listening ended while it arrived; another advert is complete
            speakers.add((peer, _router_id(octets)))
        else:
            values.setdefault(word, rest)
    return Claims(
        values.get("interface", ""),
        values.get("mac", ""),
        values.get("held", ""),
        "answered" in values,
        values.get("neighbour", ""),
        tuple(sorted(speakers)),
        values.get("deaf", ""),
    )


def _router_id(octets: list[str]) -> int:
    """The VRID of an advert, which a raw socket delivers with its IP header."""
    try:
        raw = [int(o, 16) for o in octets]
        start = (raw[0] & 15) * 4 if raw[0] >> 4 == 4 else 0
        return raw[start + 1]
    except (ValueError, IndexError):
        raise Unreadable(f"the advert is garbled: {' '.join(octets)[:80]!r}") from None
