"""The servers that a line of haproxy's configuration makes, and whose they are. Not a subject."""

import ipaddress
from typing import Any

from facts.parsers.blanks import is_decimal, split_words
from facts.parsers.haproxy import PortRoute, Server, normal_address
from facts.parsers.haproxy_stats import Backend
from hale.model.evidence import HostView, Unreadable
from hale.model.requirement import Case

NO_SUCH_NAME = 2  # of getent(1)


def at_boot(server: Server, readings: HostView, case: Case[Any]) -> tuple[list[Backend], str]:
    """The servers that a start of haproxy makes of this line, and its fault. Raises Unreadable."""

    def backend(name: str, address: str, host_name: str = "") -> Backend:
        why = f"{server.source} starts it disabled"
        missed = server.check.fault if server.check else ""
        unproven = f"{missed} ({server.source})" if missed else ""
        return Backend(name, address, server.port, not server.disabled, why, host_name, unproven)

    if "$" in server.address:
        raise Unreadable(
            f"{server.source}: {server.name} has its address from haproxy's environment, which is "
            "not read"
        )
    if not server.by_name:
        return [backend(server.name, server.address)], ""
    if server.count and server.address.startswith("_"):
        raise Unreadable(
            f"{server.source}: {server.address} is an SRV record: the C library has no answer"
        )
    found = resolved(readings, server.address)
    if not found:
        return [], f"{server.source} names {server.address}, which resolves to nothing on this host"
    if server.count and server.by_dns:
        fault = ""
        if len(found) > server.count:
            fault = f"{server.source} makes {server.count} servers of {len(found)} addresses"
        each = enumerate(found[: server.count], 1)
        return [backend(f"{server.name}{n}", a, server.address) for n, a in each], fault
    family = [a for a in found if (":" in a) == (":" in found[0])]
    owners = {owner_of(a, readings, case) for a in family}
    if len(owners) > 1:
        several = " and ".join(family)
        return [], (
            f"{server.source} names {server.address}, which resolves to {several}: haproxy takes "
            "one of them"
        )
    return [backend(server.name, found[0], server.address)], ""


def resolved(readings: HostView, name: str) -> tuple[str, ...]:
    """The name's addresses by this host's resolver, in its order. Raises Unreadable."""
    lines = readings.output("names").lines
    if not lines or lines[-1] != "end":
        raise Unreadable("the answer of the host names is truncated")
    words = next((split_words(line) for line in lines if line.startswith(f"name {name} ")), [])
    if len(words) < 3 or not is_decimal(words[2]):
        raise Unreadable(f"{name}: the name was not looked up")
    if int(words[2]) not in (0, NO_SUCH_NAME):
        raise Unreadable(f"{name}: the resolver gives no answer (getent: status {words[2]})")
    found = [normal_address(word.partition("%")[0]) for word in words[3:]]
    return tuple(dict.fromkeys(address for address in found if address))


def owner_of(address: str, readings: HostView, case: Case[Any], name: str = "") -> str:
    """The master that has the address; empty: none. Raises Unreadable.

    name: the server's own, which counts where the inventory has a name for the master, and that
    does not resolve here.
    """
    if case.host and is_loopback(address):
        return case.host.name
    for host in case.inventory.masters:
        wanted = host.address or host.name
        if address == wanted:
            return host.name
        if not normal_address(wanted):
            known = [a for a in resolved(readings, wanted) if not is_loopback(a)]
            if address in known or (name == wanted and not known):
                return host.name
    return ""


def is_loopback(address: str) -> bool:
    """Whether it is an address of every host itself."""
    return bool(normal_address(address)) and ipaddress.ip_address(address).is_loopback


def is_of_line(server: Server, running: Backend) -> bool:
    """Whether this line of the file is that server of the running haproxy."""
    if server.count:
        return running.name.rstrip("0123456789") == server.name and running.port == server.port
    if not server.by_name:
        return (server.address, server.port) == (running.address, running.port)
    return (server.name, server.address.lower(), server.port) == (
        running.name,
        running.host_name.lower(),
        running.port,
    )


def is_of_template(name: str, route: PortRoute) -> bool:
    """Whether a `server-template` makes it, which may make more servers than there are masters."""
    return any(s.count and name.rstrip("0123456789") == s.name for s in route.servers)
