"""Who owns the socket that answers at an address. Not a subject.

A process's name proves nothing, and a component that makes its certificate in memory can be
verified by no CA. The kernel tells whose socket it is: one that a component's own process holds,
found by its control group, is that component's.

Sources: proc_net_tcp(5), proc_pid_fd(5); the kernel's net/ipv4/tcp_ipv4.c (the form of addresses).
"""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from facts.parsers.blanks import BLANKS, is_decimal
from hale.model.evidence import Unreadable
from hale.shell import load_script

# Defines `listeners`; after the prelude.
LISTENERS = load_script(Path(__file__).with_suffix(".sh"))

_SOCKET = re.compile(r"socket ([0-9A-F]+):([0-9A-F]+) (?:(own)|(\d+) (\w+) ?(.*))", re.ASCII)


def foreign_owner(lines: Sequence[str], address: str, port: int) -> str:
    """The process that answers at the address and is none of the component's; empty: none does.

    lines: with the output of `listeners`. Raises Unreadable where no socket is listed for it.
    """
    found = {m[1]: m for line in lines if (m := _SOCKET.fullmatch(line)) and int(m[2], 16) == port}
    for wanted in spellings(address):
        if match := found.get(wanted):
            if match[3]:
                return ""
            who = f"process {match[5]}" if is_decimal(match[5]) else "an unknown process"
            name = f" ({match[6].strip(BLANKS)!r})" if match[6].strip(BLANKS) else ""
            return f"{who}{name} of the user {match[4]}"
    raise Unreadable(f"the owner of port {port} on {address} is not in the answer")


def spellings(address: str) -> list[str]:
    """The address as /proc/net/tcp and tcp6 have it, then the addresses that mean all of them."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise Unreadable(f"{address!r} is not an address") from None
    every = ["0" * 8, "0" * 32]
    if ip.version == 6:
        return [_words(ip.packed), every[1]]
    return [_words(ip.packed), _words(b"\0" * 10 + b"\xff\xff" + ip.packed), *every]


def _words(packed: bytes) -> str:
    """Words of 32 bits in the byte order of x86 and ARM."""
    return "".join(packed[n : n + 4][::-1].hex().upper() for n in range(0, len(packed), 4))
