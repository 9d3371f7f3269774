"""haproxy's configuration file. Not a subject: facts/load_balancer.py uses it.

Parsed as far as needed to find the servers behind one port: sections, `bind`, `default_backend`,
`use_backend` and `server` lines.

Source: haproxy's Configuration Manual, 2.1 "Configuration file format", 2.2 "Quoting and
escaping", 4.2 (bind, default_backend, server, use_backend), 5.2 (disabled).
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from hale.model.evidence import ConfigLine, File

FILE = "/etc/haproxy/haproxy.cfg"
_SECTIONS = (
    "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global",
    "http-errors", "listen", "log-forward", "mailers", "peers", "program", "resolvers", "ring",
    "traces", "userlist",
)  # fmt: skip


class Server(Struct, frozen=True):
    """A server of a backend. disabled: it starts out of service."""

    name: str
    address: str
    port: int
    disabled: bool
    source: ConfigLine


class _Section(Struct):
    kind: str
    name: str
    ports: list[int] = []
    backends: list[str] = []
    servers: list[Server] = []


class PortRoute(Struct, frozen=True):
    """The destination of a port: the names of the backends, and their servers."""

    backends: tuple[str, ...]
    servers: tuple[Server, ...]


def route_of_port(file: File, port: int) -> PortRoute | None:
    """The destination of the port's connections; None where no line binds it. Raises Unreadable."""
    sections = list(_sections(file))
    fronts = [s for s in sections if s.kind in ("frontend", "listen") and port in s.ports]
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


def _sections(file: File) -> Iterator[_Section]:
    section: _Section | None = None
    for number, line in enumerate(file.lines, 1):
        words = _words(line)
        if not words:
            continue
        if words[0] in _SECTIONS:
            if section:
                yield section
            section = _Section(words[0], words[1] if len(words) > 1 else "")
        elif section:
            _setting(
                section, words, ConfigLine(file.path, number, line.strip(), True, file.changed)
            )
    if section:
        yield section


def _words(line: str) -> list[str]:
    """The words of the line, without comments and quotes."""
    found = re.findall(r"""(?:\\.|"[^"]*"|'[^']*'|[^\s#"'\\])+|#.*""", line)
    return [re.sub(r"[\"']", "", word) for word in found if not word.startswith("#")]


def _setting(section: _Section, words: Sequence[str], source: ConfigLine) -> None:
    match words[0]:
        case "bind" if len(words) > 1:
            for address in words[1].split(","):
                first, _, last = address.rpartition(":")[2].partition("-")
                if first.isdecimal() and (last.isdecimal() or not last):
                    section.ports += range(int(first), int(last or first) + 1)
        case "default_backend" | "use_backend" if len(words) > 1:
            section.backends.append(words[1])
        case "server" if len(words) > 2:
            address, _, port = words[2].rpartition(":")
            if not port.isdecimal():
                address, port = words[2], "0"
            section.servers.append(
                Server(words[1], address.strip("[]"), int(port), "disabled" in words[3:], source)
            )
        case _:
            pass
