"""One query to a DNS server, from a host that may have neither dig nor python.

Not a subject: facts/coredns.py uses it. printf builds the packet, dd collects it into one write (a
shell writes line by line, and a length byte may be a newline), and bash's /dev/udp sends it, or
socat where there is no bash; od prints the answer. (getent uses the host's own resolver, which
does not know the cluster's names.)

Sources: RFC 1035, 4.1 "Format"; bash(1), REDIRECTION; socat(1).
"""

import ipaddress
import re
from pathlib import Path

from msgspec import Struct

from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import Unreadable
from hale.shell import load_script

ID = "1234"
# `ask SERVER NAME`: prints `dns SERVER NAME HEX`. Retries once, because UDP may lose a packet.
# $patience: seconds for each answer; 2 if it is not set.
SHELL = PRELUDE + load_script(Path(__file__).with_suffix(".sh"))
RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


class Reply(Struct, frozen=True):
    """A server's answer for one name: addresses, or why there are none."""

    server: str
    name: str
    addresses: tuple[str, ...]
    trouble: str = ""


def reply(line: str) -> Reply:
    """The answer in a line `dns SERVER NAME HEX`. Raises Unreadable for any other line."""
    matched = re.fullmatch(r"dns (\S+) (\S+) (silent|(?:[0-9a-f]{2})+)", line, re.ASCII)
    if not matched:
        raise Unreadable(f"the answer is garbled: {line[:80]!r}")
    server, name = matched[1], matched[2]
    if matched[3] == "silent":
        return Reply(server, name, (), f"{server} gives no answer for {name}")
    data = bytes.fromhex(matched[3])
    try:
        if data[:2].hex() != ID or not data[2] & 0x80:
            raise Unreadable(f"{server}: the response does not answer the query")
        if code := data[3] & 0x0F:
            return Reply(server, name, (), f"{server} says {RCODES.get(code, code)} for {name}")
        found = _addresses(data)
    except IndexError:
        raise Unreadable(f"{server}: its answer for {name} is truncated") from None
    if not found:
        return Reply(server, name, (), f"{server} knows no address of {name}")
    return Reply(server, name, tuple(sorted(found)))


def _addresses(data: bytes) -> list[str]:
    """The A records among the answers. Raises IndexError where the packet is truncated."""
    questions, answers = (int.from_bytes(data[at : at + 2], "big") for at in (4, 6))
    at = 12
    for _ in range(questions):
        at = _behind_name(data, at) + 4
    found = []
    for _ in range(answers):
        at = _behind_name(data, at)
        kind, length = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (0, 8))
        value = data[at + 10 : at + 10 + length]
        if len(value) < length or at + 10 > len(data):
            raise IndexError
        if kind == 1 and length == 4:
            found.append(str(ipaddress.IPv4Address(value)))
        at += 10 + length
    return found


def _behind_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:  # a pointer ends it
            return at + 2
        at += 1 + data[at]
    return at + 1
