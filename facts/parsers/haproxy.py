"""haproxy's configuration file. Not a subject: facts/load_balancer.py uses it.

Parsed as far as needed to find the servers behind one port, and how they are checked: sections,
`bind`, `default_backend`, `use_backend`, `server`, `server-template`, `default-server` and
`disabled` lines, the kinds of check with their requests and connections, and the `defaults` section
that a section takes its settings from. Several files are read as one.

Source: haproxy's Configuration Manual, 2.1 "Configuration file format", 2.2 "Quoting and escaping",
4 "Proxies" (defaults, from), 4.2 (bind, default_backend, default-server, disabled, server,
server-template, use_backend, option httpchk, http-check, http-check connect, tcp-check,
external-check), 5.1 (v6only, transparent), 5.2 (addr, check, check-ssl, no-check, port, ssl, track,
disabled, enabled, init-addr, resolvers), 11 "Address formats".
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers.blanks import BLANKS, is_decimal
from hale.model.evidence import ConfigLine, File, Selection

# The apiserver's own reports of its health; /healthz is the older name.
HEALTH_PATHS = ("/readyz", "/livez", "/healthz")
FILE = "/etc/haproxy/haproxy.cfg"
# Letters, digits, dots, hyphens and underscores, with at least one letter.
HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_][A-Za-z0-9._-]{0,252}", re.ASCII)
# `option NAME`, which chooses the kind of check of the section's servers.
_CHECKS = {
    "httpchk": "http",
    "tcp-check": "tcp-check",
    "external-check": "program",
    **dict.fromkeys(("ssl-hello-chk", "smtpchk", "ldap-check", "mysql-check"), "tcp"),
    **dict.fromkeys(("pgsql-check", "redis-check", "spop-check"), "tcp"),
}
_SECTIONS = (
    "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global",
    "http-errors", "listen", "log-forward", "mailers", "peers", "program", "resolvers", "ring",
    "traces", "userlist",
)  # fmt: skip
_SETTINGS = (
    "bind",
    "default_backend",
    "default-server",
    "disabled",
    "enabled",
    "server",
    "server-template",
    "use_backend",
)
# Of checks, their kind, their connections and what they ask for: what else they send may be a
# password.
LINES = Selection(
    rf"[[:space:]]*([\"']?({'|'.join((*_SECTIONS, *_SETTINGS))})[\"']?([[:space:]]|$)"
    rf"|(no[[:space:]]+)?option[[:space:]]+({'|'.join(_CHECKS)})([[:space:]]|$)"
    r"|(http|tcp)-check[[:space:]]+connect([[:space:]]|$)"
    r"|http-check[[:space:]]+send[[:space:]](.*[[:space:]])?uri(-lf)?[[:space:]]"
    rf"|tcp-check[[:space:]]+send.*({'|'.join(HEALTH_PATHS)}))"
)


class Server(Struct, frozen=True):
    """A server of a backend.

    address: an IP address in its normal form, a host name, or another form as it is written. port:
    0 for the port that the client connected to. disabled: it starts out of service. count: the
    number of servers that a `server-template` makes, else 0. by_dns: haproxy's own resolver
    follows the name, each server of a template with an address of its own. check: how it is
    checked.
    """

    name: str
    address: str
    port: int
    disabled: bool
    source: ConfigLine
    count: int = 0
    by_dns: bool = False
    check: "Check | None" = None

    @property
    def by_name(self) -> bool:
        """Whether its address is a host name."""
        return bool(HOST_NAME.fullmatch(self.address)) and not normal_address(self.address)


class Check(Struct, frozen=True):
    """A server's health check. kind: none, tcp, http, or program for one of the site's own.

    path: what an HTTP request asks for. tracks: the server whose check counts, `backend/server`.
    tls: whether it speaks TLS, as an API server does. elsewhere: the address and port that it
    connects to, where these are not the server's own.
    """

    kind: str
    path: str = ""
    tracks: str = ""
    tls: bool = False
    elsewhere: str = ""

    @property
    def fault(self) -> str:
        """What an apiserver's failure it does not find; empty where it finds it, or is unknown."""
        if self.kind == "none":
            return "is not checked: it stays in service when its API server is lost"
        if self.kind == "tcp":
            return "is checked by a connection alone, which an API server that hangs accepts"
        if self.kind == "http" and self.elsewhere:
            return f"is checked at {self.elsewhere}, which is not its own address and port"
        if self.kind == "http" and not self.tls:
            return (
                "is checked by plain HTTP, which an API server answers with status 400: haproxy "
                "finds it down (`check-ssl` is missing)"
            )
        if self.kind == "http" and not self.path.startswith(HEALTH_PATHS):
            return f"is checked by {self.path}, which does not say whether the API server is ready"
        return ""


class Bind(Struct, frozen=True):
    """An address and ports on which a section listens. address: empty for every one of the host.

    words: the line's other ones.
    """

    address: str
    first: int
    last: int
    words: tuple[str, ...]
    source: ConfigLine


class _Section(Struct):
    kind: str
    name: str
    binds: list[Bind] = []
    backends: list[str] = []
    servers: list[Server] = []
    # Of default-server, which applies to the servers after it: its words.
    usual: list[str] = []
    # Of the section's own lines, or those of its defaults.
    disabled: ConfigLine | None = None
    check: str = "tcp"
    path: str = "/"
    # Of http-check and tcp-check; own: no longer those of its defaults.
    sends: list[str] = []
    connects: list[list[str]] = []
    own: bool = False


class PortRoute(Struct, frozen=True):
    """The destination of a port: the names of the backends, and their servers; and its binds.

    disabled: the lines that keep the sections on the way from starting.
    """

    backends: tuple[str, ...]
    servers: tuple[Server, ...]
    binds: tuple[Bind, ...] = ()
    disabled: tuple[ConfigLine, ...] = ()


def route_of_port(files: Sequence[File], port: int) -> PortRoute | None:
    """The destination of the port's connections; None where no line binds it. Raises Unreadable."""
    sections = list(_sections(files))
    binds = {
        s.name: [b for b in s.binds if b.first <= port <= b.last]
        for s in sections
        if s.kind in ("frontend", "listen")
    }
    fronts = [s for s in sections if s.kind in ("frontend", "listen") and binds[s.name]]
    if not fronts:
        return None
    # Another section may bind the port beside a disabled one.
    fronts = [s for s in fronts if not s.disabled] or fronts
    named = [n for s in fronts for n in (s.backends or ([s.name] if s.kind == "listen" else []))]
    every = {
        f"{s.name}/{server.name}": _checked(s, server)
        for s in sections
        if s.kind in ("backend", "listen")
        for server in s.servers
    }
    servers = [
        _tracked(_checked(s, server), s.name, every)
        for s in sections
        if s.kind in ("backend", "listen") and s.name in named
        for server in s.servers
    ]
    return PortRoute(
        tuple(dict.fromkeys(named)),
        tuple(servers),
        tuple(b for s in fronts for b in binds[s.name]),
        tuple(
            dict.fromkeys(
                s.disabled
                for s in sections
                if s.disabled
                and (s in fronts or (s.kind in ("backend", "listen") and s.name in named))
            )
        ),
    )


def _checked(section: _Section, server: Server) -> Server:
    """The server with the kind of check that its section has; its own words say if there is one."""
    if server.check is None or server.check.kind == "none":
        return server
    kind, path = section.check, section.path
    sends = [p for p in section.sends if p]
    if kind == "http":
        # A rule that asks for a path of health counts; haproxy sends all of them in turn.
        paths = sends or [path]
        path = next((p for p in paths if p.startswith(HEALTH_PATHS)), paths[0])
    elif kind == "tcp-check":
        found = next((p for line in sends for p in HEALTH_PATHS if p in line), "")
        kind, path = ("http", found) if found else ("tcp", "")
    check = replace(server.check, kind=kind, path=path)
    # `connect` takes over what the server's line says only with `default`.
    each = [
        replace(
            check if "default" in words else Check(""),
            tls="ssl" in words or ("default" in words and check.tls),
            elsewhere=_elsewhere(server, words) or (check.elsewhere if "default" in words else ""),
        )
        for words in section.connects
    ]
    if each:
        best = next((c for c in each if c.tls and not c.elsewhere), each[0])
        check = replace(check, tls=best.tls, elsewhere=best.elsewhere)
    return replace(server, check=check)


def _elsewhere(server: Server, words: Sequence[str]) -> str:
    """Where `addr` and `port` lead, if not to the server itself."""
    given = dict(pairwise(words))
    address, port = given.get("addr", ""), given.get("port", "")
    address = normal_address(address) or address or server.address
    port = port or str(server.port)
    same = (address, port) == (server.address, str(server.port))
    return "" if same else f"{address}:{port}"


def _tracked(server: Server, section: str, every: Mapping[str, Server]) -> Server:
    """The server with the check of the one that it tracks, which may track a further one."""
    at, visited = server, set[str]()
    while at.check and (to := at.check.tracks):
        name = to if "/" in to else f"{section}/{to}"
        section = name.rpartition("/")[0]
        if name in visited or name not in every:
            return server
        visited.add(name)
        at = every[name]
    return replace(server, check=at.check)


def normal_address(text: str) -> str:
    """The IP address in its normal form; empty where the text is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _lines(files: Sequence[File]) -> Iterator[tuple[ConfigLine, list[str]]]:
    for file in files:
        for number, line in enumerate(file.lines, 1):
            yield (
                ConfigLine(file.path, number, line.strip(BLANKS), True, file.changed),
                _words(line),
            )


def _sections(files: Sequence[File]) -> Iterator[_Section]:
    section: _Section | None = None
    last = _Section("defaults", "")
    named: dict[str, _Section] = {}
    for source, words in _lines(files):
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
                section.usual, section.disabled = list(before.usual), before.disabled
                section.path, section.check = before.path, before.check
                section.sends, section.connects = list(before.sends), list(before.connects)
            if words[0] == "defaults":
                named[name] = last = section
            elif words[0] in ("frontend", "listen") and len(words) > 2 and not parent:
                _bind(section, words[2:], source)  # before 2.1 a section's own line could bind
        elif section:
            _setting(section, words, source)
    if section:
        yield section


def _words(line: str) -> list[str]:
    """The words of the line, without comments and quotes."""
    found = re.findall(r"""(?:\\.|"[^"]*"|'[^']*'|[^\s#"'\\])+|#.*""", line, re.ASCII)
    return [re.sub(r"[\"']", "", word) for word in found if not word.startswith("#")]


def _setting(section: _Section, words: Sequence[str], source: ConfigLine) -> None:
    match words[0]:
        case "bind" if len(words) > 1:
            _bind(section, words[1:], source)
        case "default_backend" | "use_backend" if len(words) > 1:
            section.backends.append(words[1])
        case "default-server":
            section.usual = [*section.usual, *words[1:]]
        case "disabled":
            section.disabled = source
        case "enabled":
            section.disabled = None
        case "option" if len(words) > 1 and words[1] in _CHECKS:
            section.check = _CHECKS[words[1]]
            # `option httpchk [[METHOD] URI [VERSION]]`
            section.path = (words[3:4] or words[2:3] or ["/"])[0]
        case "no" if len(words) > 2 and words[1] == "option" and words[2] in _CHECKS:
            section.check = "tcp"
        case "http-check" | "tcp-check" if len(words) > 1:
            if not section.own:  # the first one replaces all of the defaults
                section.sends, section.connects, section.own = [], [], True
            if words[1].startswith("send"):
                section.sends = [*section.sends, _sent(words)]
            elif words[1] == "connect":
                section.connects = [*section.connects, list(words[2:])]
        case "server" if len(words) > 2:
            section.servers.append(_server(section, words, source))
        case "server-template" if len(words) > 3:
            first, _, last = words[2].partition("-")
            if is_decimal(first) and (is_decimal(last) or not last):
                count = int(last) - int(first) + 1 if last else int(first)
                section.servers.append(_server(section, [*words[:2], *words[3:]], source, count))
        case _:
            pass


def _sent(words: Sequence[str]) -> str:
    """The URI of `http-check send … uri URI`; the text of `tcp-check send TEXT`."""
    if words[0] == "tcp-check":
        return " ".join(words[2:])
    return next((value for name, value in pairwise(words) if name in ("uri", "uri-lf")), "")


def _bind(section: _Section, words: Sequence[str], source: ConfigLine) -> None:
    for text in words[0].split(","):
        address, _, ports = text.rpartition(":")
        first, _, last = ports.partition("-")
        if is_decimal(first) and (is_decimal(last) or not last):
            address = re.sub(r"^ipv[46]@", "", address).strip("[]")
            address = normal_address(address) or address
            address = "" if address in ("*", "0.0.0.0", "::") else address
            section.binds.append(
                Bind(address, int(first), int(last or first), tuple(words[1:]), source)
            )


def _server(section: _Section, words: Sequence[str], source: ConfigLine, count: int = 0) -> Server:
    address, _, port = words[2].rpartition(":")
    if not is_decimal(port):
        address, port = (words[2] if port else address), "0"
    address = re.sub(r"^ipv[46]@", "", address).strip("[]")
    given = [*section.usual, *words[3:]]
    server = Server(
        words[1],
        normal_address(address) or address,
        int(port),
        _last_of(given, "disabled", "enabled"),
        source,
        count,
        "resolvers" in given,
    )
    return replace(server, check=_check(server, given))


def _check(server: Server, words: Sequence[str]) -> Check:
    """The check that the words of a server ask for; its kind is the section's."""
    tracks = next((value for name, value in pairwise(words) if name == "track"), "")
    checked = _last_of(words, "check", "no-check")
    # The TLS of the traffic is the check's, too, unless that has an address or port of its own.
    same = _last_of(words, "ssl", "no-ssl") and not {"addr", "port", "no-check-ssl"} & {*words}
    return Check(
        "" if checked or tracks else "none",
        tracks=tracks,
        tls=same or _last_of(words, "check-ssl", "no-check-ssl"),
        elsewhere=_elsewhere(server, words),
    )


def _last_of(words: Sequence[str], on: str, off: str) -> bool:
    """The last of both counts."""
    return next((word == on for word in reversed(words) if word in (on, off)), False)
