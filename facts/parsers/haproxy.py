"""haproxy's configuration file. Not a subject: facts/load_balancer.py uses it.

Parsed as far as needed to find the servers behind one port: sections, `bind`, `default_backend`,
`use_backend`, `server`, `server-template` and `default-server` lines, and the `defaults` section
that a section takes its settings from.

Source: haproxy's Configuration Manual, 2.1 "Configuration file format", 2.2 "Quoting and
escaping", 4 "Proxies" (defaults, from), 4.2 (bind, default_backend, default-server, server,
server-template, use_backend), 5.2 (disabled, enabled, init-addr, resolvers), 11 "Address formats".
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from facts.parsers.blanks import BLANKS, is_decimal
from hale.model.evidence import ConfigLine, File, Selection, select

FILE = "/etc/haproxy/haproxy.cfg"
# Letters, digits, dots, hyphens and underscores, with at least one letter.
HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_][A-Za-z0-9._-]{0,252}", re.ASCII)
_SECTIONS = (
    "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global",
    "http-errors", "listen", "log-forward", "mailers", "peers", "program", "resolvers", "ring",
    "traces", "userlist",
)  # fmt: skip
_SETTINGS = (
    "bind",
    "default_backend",
    "default-server",
    "server",
    "server-template",
    "use_backend",
)
_ONLY = rf"[[:space:]]*[\"']?({'|'.join((*_SECTIONS, *_SETTINGS))})[\"']?([[:space:]]|$)"
LINES = select(Selection(_ONLY), FILE)


class Server(Struct, frozen=True):
    """A server of a backend.

    address: an IP address in its normal form, a host name, or another form as it is written. port:
    0 for the port that the client connected to. disabled: it starts out of service. count: the
    number of servers that a `server-template` makes, else 0. by_dns: haproxy's own resolver
    follows the name, each server of a template with an address of its own.
    """

    name: str
    address: str
    port: int
    disabled: bool
    source: ConfigLine
    count: int = 0
    by_dns: bool = False

    @property
    def by_name(self) -> bool:
        """Whether its address is a host name."""
        return bool(HOST_NAME.fullmatch(self.address)) and not normal_address(self.address)


class _Section(Struct):
    kind: str
    name: str
    ports: list[tuple[int, int]] = []
    backends: list[str] = []
    servers: list[Server] = []
    # Of default-server, which applies to the servers after it.
    disabled: bool = False
    by_dns: bool = False


class PortRoute(Struct, frozen=True):
    """The destination of a port: the names of the backends, and their servers."""

    backends: tuple[str, ...]
    servers: tuple[Server, ...]


def route_of_port(file: File, port: int) -> PortRoute | None:
    """The destination of the port's connections; None where no line binds it. Raises Unreadable."""
    sections = list(_sections(file))
    fronts = [
        s
        for s in sections
        if s.kind in ("frontend", "listen") and any(a <= port <= z for a, z in s.ports)
    ]
    if not fronts:
        return None
    named = [n for s in fronts for n in (s.backends or ([s.name] if s.kind == "listen" else []))]
    servers = [
        server
        for s in sections
        if s.kind in ("backend", "listen") and s.name in named
        for server in s.servers
    ]
    return PortRoute(tuple(dict.fromkeys(named)), tuple(servers))


def normal_address(text: str) -> str:
    """The IP address in its normal form; empty where the text is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _sections(file: File) -> Iterator[_Section]:
    section: _Section | None = None
    last = _Section("defaults", "")
    named: dict[str, _Section] = {}
    for number, line in enumerate(file.lines, 1):
        words = _words(line)
        if not words:
            continue
        if words[0] in _SECTIONS:
            if section:
                yield section
            name = words[1] if len(words) > 1 and words[1] != "from" else ""
            parent = words[words.index("from") + 1 :][:1] if "from" in words else []
            before = named.get(parent[0]) if parent else None
            if words[0] != "defaults":
                before = before or last
            section = _Section(words[0], name)
            if before:
                section.disabled, section.by_dns = before.disabled, before.by_dns
            if words[0] == "defaults":
                named[name] = last = section
            elif words[0] in ("frontend", "listen") and len(words) > 2 and not parent:
                _bind(section, words[2])  # before 2.1 a section's own line could bind
        elif section:
            _setting(
                section,
                words,
                ConfigLine(file.path, number, line.strip(BLANKS), True, file.changed),
            )
    if section:
        yield section


def _words(line: str) -> list[str]:
    """The words of the line, without comments and quotes."""
    found = re.findall(r"""(?:\\.|"[^"]*"|'[^']*'|[^\s#"'\\])+|#.*""", line, re.ASCII)
    return [re.sub(r"[\"']", "", word) for word in found if not word.startswith("#")]


def _setting(section: _Section, words: Sequence[str], source: ConfigLine) -> None:
    match words[0]:
        case "bind" if len(words) > 1:
            _bind(section, words[1])
        case "default_backend" | "use_backend" if len(words) > 1:
            section.backends.append(words[1])
        case "default-server":
            section.disabled = _disabled(words[1:], section.disabled)
            section.by_dns = section.by_dns or "resolvers" in words[1:]
        case "server" if len(words) > 2:
            section.servers.append(_server(section, words, source))
        case "server-template" if len(words) > 3:
            first, _, last = words[2].partition("-")
            if is_decimal(first) and (is_decimal(last) or not last):
                count = int(last) - int(first) + 1 if last else int(first)
                section.servers.append(_server(section, [*words[:2], *words[3:]], source, count))
        case _:
            pass


def _bind(section: _Section, addresses: str) -> None:
    for address in addresses.split(","):
        first, _, last = address.rpartition(":")[2].partition("-")
        if is_decimal(first) and (is_decimal(last) or not last):
            section.ports.append((int(first), int(last or first)))


def _server(section: _Section, words: Sequence[str], source: ConfigLine, count: int = 0) -> Server:
    address, _, port = words[2].rpartition(":")
    if not is_decimal(port):
        address, port = (words[2] if port else address), "0"
    address = re.sub(r"^ipv[46]@", "", address).strip("[]")
    return Server(
        words[1],
        normal_address(address) or address,
        int(port),
        _disabled(words[3:], section.disabled),
        source,
        count,
        section.by_dns or "resolvers" in words[3:],
    )


def _disabled(words: Sequence[str], before: bool) -> bool:
    """The last of `disabled` and `enabled` counts."""
    return next((w == "disabled" for w in reversed(words) if w in ("disabled", "enabled")), before)
