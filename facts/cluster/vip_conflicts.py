"""Claims to the VIP: this host's interfaces, other hosts that answer for it, and VRRP speakers.

Not a subject: the install observes it before it sets up a VIP. To detect speakers, a raw socket of
socat joins VRRP's multicast group for LISTEN seconds; it also receives unicast adverts to this
host. The only packets sent are one echo request to the VIP and the ARP request for it.

Sources: RFC 9568 (VRRP: group 224.0.0.18, protocol 112, the router's id is the second byte);
socat(1), IP4-RECVFROM; ip-neighbour(8); arp(7).
"""

import shlex

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "vip_claims"
LISTEN = 2.5  # seconds: two adverts of VRRP's default interval and the slack of a busy host

_OWN = """\
vip=%s me=%s
command -v ip >/dev/null || { echo "ip (iproute2) is missing" >&2; exit 127; }
ip -o addr show | while read -r _ i _ a _; do
  [ "${a%%/*}" != "$me" ] || { echo "interface $i"; echo "mac $(cat "/sys/class/net/$i/address")"; }
  [ "${a%%/*}" != "$vip" ] || echo "held $i"
done
"""
_STRANGERS = """\
vip=%s me=%s
ask() {
  # The last holder may be gone: the entry is flushed, so that the kernel asks again.
  ip neigh flush to "$vip" >/dev/null 2>&1 || :
  ping -c 1 -W 1 -- "$vip" >/dev/null 2>&1 && echo "answered"
  mac=$(ip neigh show to "$vip" 2>/dev/null |
    sed -n 's/.* lladdr \\([0-9a-f:]*\\).*/\\1/p' | head -n 1)
  [ -z "$mac" ] || echo "neighbour $mac"
}
listen() {
  ! grep -qs 'written by Hale' /etc/keepalived/keepalived.conf || { echo "deaf ours"; return; }
  case $me in *:*) echo "deaf IPv6"; return ;; esac
  command -v socat >/dev/null || { echo "deaf socat is not installed"; return; }
  timeout %s socat -u "IP4-RECVFROM:112,ip-add-membership=224.0.0.18:$me,fork" \\
    SYSTEM:'echo "heard $SOCAT_PEERADDR $(od -An -v -tx1 -N28 | tr -d "\\n")"' 2>/dev/null | sort -u
}
command -v ip >/dev/null || { echo "ip (iproute2) is missing" >&2; exit 127; }
ip -o addr show | grep -qF " $vip/" || ask &
listen
wait
exit 0
"""


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
    return CommandProbe("own", _OWN % (shlex.quote(vip), shlex.quote(address)))


def conflict_probe(vip: str, address: str) -> CommandProbe:
    """The probe that sends and listens, in parallel with others."""
    script = _STRANGERS % (shlex.quote(vip), shlex.quote(address), LISTEN)
    return CommandProbe("strangers", script, timeout=15, slow=True)


def interface(readings: HostView) -> str:
    """The interface with the host's planned address; empty without one. Raises Unreadable."""
    words = (line.partition(" ") for line in readings.output("own").lines)
    return next((name for word, _, name in words if word == "interface"), "")


def read(readings: HostView) -> Claims:
    """The claims, as observed from this host. Raises Unreadable."""
    values: dict[str, str] = {}
    speakers: set[tuple[str, int]] = set()
    for line in (*readings.output("own").lines, *readings.output("strangers").lines):
        word, _, rest = line.partition(" ")
        if word == "heard":
            peer, *octets = rest.split()
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
