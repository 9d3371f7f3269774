"""The load balancer in front of the apiservers: haproxy on every master.

Now: the running haproxy's own report over its stats socket, which is only read: every server
behind the VIP's port, whether its health check finds it up, and if not, why. These must be the
masters and no other hosts, and the process must be newer than its configuration files, which its
command line names: a haproxy that has not been reloaded still uses the old configuration. A server
without a check does not count: haproxy reports it up for ever.

At boot: the service is enabled, and the files with which systemd will start it name every master,
each checked by a request for the API server's health (/readyz, /livez or /healthz): a connection
alone succeeds where an API server hangs, and plain HTTP finds every API server down. That is read
from the files alone, because it is no reason to change no control-plane node: one that is restarted
refuses connections. A server by host name is the master to whose address the name resolves on this
host, as haproxy resolves it when it starts: by the C library, which returns one address of several.
A loopback address is this host's own. The VIP's port must be bound on all addresses, or on the
VIP's; the latter needs net.ipv4.ip_nonlocal_bind, or haproxy does not start where the VIP is not.

With `ingress_on_vip` ports 80 and 443 must lead to the same ports of every worker, each checked
and in service, and of no other host, now and at boot. A worker that is down for haproxy is no fault
here: CMP-INGRESS requests the ingress itself.

A load balancer outside this inventory (`endpoint_kind=external`), and kube-vip, which needs no
load balancer, are not judged here; HA-APISERVER-VIP applies to them.

Sources: haproxy's Management Guide, 3 "Starting HAProxy" (-f), 4 "Stopping and restarting", 9.3
"Unix Socket commands" (show info, show servers state, show stat); its Configuration Manual, 5.3
"Server IP address resolution using DNS", init-addr; getent(1); the kernel's ip-sysctl.rst
(ip_nonlocal_bind); facts/parsers/haproxy.py, facts/parsers/unit_command.py.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts import sysctl
from facts.parsers import (
    boot_commands,
    boot_files,
    boot_target,
    boot_writes,
    conf_dirs,
    haproxy,
    haproxy_ingress,
    service_commands,
    sysctl_table,
    systemd_units,
    unit_command,
    unit_settings,
)
from facts.parsers.haproxy import FILE, PortRoute, normal_address
from facts.parsers.haproxy_backends import at_boot, is_of_line, is_of_template, owner_of
from facts.parsers.haproxy_stats import Backend, running_servers, started_at
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
    matches,
    select,
)
from hale.model.requirement import Case
from hale.shell import arguments, script_with

SHOWN = "LoadState,ActiveState,SubState"
MOST_NAMES = 64
CONFIGS = ("/etc/haproxy/*.cfg", "/etc/haproxy/*/*.cfg")
OPTIONS = ("/etc/default/haproxy", "/etc/sysconfig/haproxy")
NONLOCAL = "net/ipv4/ip_nonlocal_bind"


class LoadBalancerParameters(Struct, frozen=True):
    """The service's unit, and the port of each master's apiserver."""

    unit: str
    apiserver_port: int


class LoadBalancerRuntime(Struct, frozen=True):
    """The servers behind the VIP's port, and the faults."""

    unit: str
    backends: tuple[Backend, ...]
    faults: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        up = ", ".join(b.name for b in self.backends if b.up)
        text = f"up behind the VIP's port: {up or 'none'}" if self.backends else ""
        return "; ".join(part for part in (*self.faults, text) if part)


class LoadBalancerPersisted(Struct, frozen=True):
    """Whether a boot starts the service, and the faults of its configuration, and its files."""

    unit: str
    enabled: bool
    faults: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()
    files: tuple[str, ...] = (FILE,)

    @property
    def actual(self) -> str:
        return "; ".join(self.faults) or (
            f"{self.unit} starts at boot, and {' and '.join(self.files)} names every master"
        )


def probes(host: Host, cases: Sequence[Case[LoadBalancerParameters]]) -> tuple[Probe, ...]:
    """The file, the unit's links, its servers' names, and one exchange over the stats socket."""
    if not cases or cases[0].inventory.endpoint.kind != "keepalived":
        return ()
    unit = cases[0].parameters.unit
    names = [n for h in cases[0].inventory.masters if not normal_address(n := h.address or h.name)]
    return (
        FileProbe(
            *select(haproxy.LINES, FILE, *CONFIGS),
            *unit_command.patterns(unit, *OPTIONS),
            *unit_settings.condition_patterns(unit),
            *systemd_units.existence(unit),
            *sysctl.PATTERNS,
            *boot_target.FILES,
        ),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("socket", _script(unit)),
        CommandProbe("names", arguments(*names) + _NAMES, timeout=20, slow=True),
    )


_NAMES = PRELUDE + script_with(
    Path(__file__).with_name("load_balancer_names.sh"), config=FILE, most=str(MOST_NAMES)
)


def _script(unit: str) -> str:
    file = Path(__file__).with_suffix(".sh")
    return PRELUDE + script_with(file, unit=unit, shown=SHOWN, config=FILE)


def read_runtime(readings: HostView, case: Case[LoadBalancerParameters]) -> LoadBalancerRuntime:
    """The running haproxy's servers. Raises Unreadable, NotApplicable."""
    _applies(case)
    unit, endpoint = case.parameters.unit, case.inventory.endpoint
    lines = readings.output("socket").lines
    names = tuple(f"{name}=" for name in SHOWN.split(","))
    state = dict(line.split("=", 1) for line in lines if line.startswith(names))
    if "ActiveState" not in state:
        raise Unreadable(f"systemctl show {unit} prints no ActiveState")
    if state.get("LoadState") == "not-found":
        return LoadBalancerRuntime(
            unit, (), (f"{unit} is not installed: no load balancer on this master",)
        )
    if state["ActiveState"] != "active":
        now = f"{state['ActiveState']} ({state.get('SubState')})"
        return LoadBalancerRuntime(unit, (), (f"{unit} does not run: systemd says {now}",))
    paths = [line.removeprefix("config ") for line in lines if line.startswith("config ")]
    paths = paths or [FILE]
    files, gone = _named_files(readings, paths, "the running haproxy")
    if gone:
        return LoadBalancerRuntime(unit, (), (f"{unit} runs, and there is no {gone}",))
    found = haproxy.route_of_port(files, endpoint.port)
    named_files = " and ".join(paths)
    if found is None:
        return LoadBalancerRuntime(
            unit, (), (f"{named_files}: no line binds the VIP's port {endpoint.port}",)
        )
    if "socket " in lines:
        raise Unreadable(
            f"{named_files} has no line `stats socket /…`: the running haproxy cannot be queried"
        )
    if gone := next((line for line in lines if line.startswith("nothing at ")), ""):
        raise Unreadable(
            f"{named_files} names a stats socket, and there is {gone}: does haproxy run with this "
            "file?"
        )
    started = started_at(lines)
    faults = [
        f"haproxy runs an old configuration: {file.path} was changed after it was started; "
        f"reload it (`systemctl reload {unit}`)"
        for file in files
        if file.changed > started + 1
    ]
    running = [
        b
        for name in found.backends
        for b in running_servers(lines).get(name, [])
        if b.address or not is_of_template(b.name, found)
    ]
    if not running:
        faults.append(
            f"the running haproxy has no server in {' '.join(found.backends) or 'any backend'}, "
            f"to which the VIP's port {endpoint.port} leads"
        )
    faults += [
        f"haproxy has no address for {b.name} ({b.host_name}): the name did not resolve"
        for b in running
        if not b.address
    ]
    faults += _unknown([b for b in running if b.address], readings, case)
    faults += [
        f"{server.source} names {server.name}, which the running haproxy has not"
        for server in found.servers
        if not server.disabled and not any(is_of_line(server, b) for b in running)
    ]
    faults += _disabled(found)
    faults += _not_on_vip(found, endpoint.vip)
    faults += haproxy_ingress.now(files, running_servers(lines), case.inventory)
    return LoadBalancerRuntime(unit, tuple(running), tuple(dict.fromkeys(faults)))


def read_persisted(readings: HostView, case: Case[LoadBalancerParameters]) -> LoadBalancerPersisted:
    """The service and servers after a boot, by its files. Raises Unreadable, NotApplicable."""
    _applies(case)
    unit, endpoint = case.parameters.unit, case.inventory.endpoint
    faults = list(boot_target.boot_problems(readings, unit))
    enabled = not faults
    sources: tuple[ConfigLine, ...] = ()
    paths, why, missing = _next_start(readings, unit)
    faults += missing
    files, gone = _named_files(readings, paths, f"the next start of {unit}{why}")
    if gone:
        faults.append(f"there is no {gone}{why}")
    elif (found := haproxy.route_of_port(files, endpoint.port)) is None:
        faults.append(f"{' and '.join(paths)}: no line binds the VIP's port {endpoint.port}{why}")
    else:
        sources = tuple(server.source for server in found.servers)
        named: list[Backend] = []
        for server in found.servers:
            backends, fault = at_boot(server, readings, case)
            named += backends
            faults += [fault] if fault else []
        faults += [f"{fault}{why}" for fault in _unknown(named, readings, case)]
        faults += _disabled(found)
        faults += _not_on_vip(found, endpoint.vip)
        faults += _cannot_bind(found, endpoint.vip, readings)
        faults += haproxy_ingress.at_boot(files, case.inventory)
        programs = [s for s in found.servers if s.check and s.check.kind == "program"]
        if programs and not faults:
            raise Unreadable(
                f"{programs[0].source}: {programs[0].name} is checked by a program of the site's: "
                "look whether it asks for /readyz"
            )
    if not faults:
        used = [*files, *readings.files(*OPTIONS), *unit_settings.files(readings, unit)]
        present = [file.path for file in used if file.kind == "f" and file.content]
        unit_settings.refuse_conditions(readings, unit, present)
        boot_files.refuse_files(readings, used)
        boot_writes.refuse_files(readings, [file.path for file in files])
        service_commands.refuse_stops(readings, unit)
    return LoadBalancerPersisted(unit, enabled, tuple(dict.fromkeys(faults)), sources, tuple(paths))


def _next_start(readings: HostView, unit: str) -> tuple[list[str], str, tuple[str, ...]]:
    """The files with which systemd starts haproxy, the place that names them if not the package's,
    and why systemd does not start it.

    Raises Unreadable where the command is none of haproxy's, or depends on a file not read.
    """
    command = unit_command.start_command(readings, unit, *OPTIONS)
    if command is None:
        return [FILE], "", ()
    paths = command.option("-f")
    if not paths:
        raise Unreadable(
            f"{command.sources[0]}: {' '.join(command.words)[:80]!r} names no configuration (-f): "
            "look at what it starts"
        )
    if paths[0] == FILE:
        return paths, "", command.missing
    source = next((s for s in command.sources if paths[0] in s.text), command.sources[0])
    return paths, f" ({source} starts haproxy with {paths[0]})", command.missing


def _named_files(readings: HostView, paths: Sequence[str], who: str) -> tuple[list[File], str]:
    """The files, those of a folder included; and the first path at which there is none.

    Raises Unreadable for a path elsewhere.
    """
    read = {file.path: file for file in readings.files(FILE, *CONFIGS)}
    files: list[File] = []
    for path in paths:
        if not path.startswith("/"):
            raise Unreadable(
                f"{who} has its configuration in {path!r}, which is no path: look there"
            )
        inside = [f for name, f in sorted(read.items()) if name.startswith(f"{path.rstrip('/')}/")]
        if path in read:
            files.append(read[path])
        elif path == FILE or any(matches(path, pattern) for pattern in CONFIGS):
            return files, path
        elif inside or matches(f"{path.rstrip('/')}/x.cfg", CONFIGS[1]):
            files += inside
        else:
            raise Unreadable(
                f"{who} has its configuration in {path}, which is not read: look there"
            )
    return files, ""


def _disabled(route: PortRoute) -> list[str]:
    """The faults of sections that haproxy reads and does not start."""
    return [
        f"{line} disables a section on the way from the VIP's port to the masters"
        for line in route.disabled
    ]


def _not_on_vip(route: PortRoute, vip: str) -> list[str]:
    """The fault of a port that is bound on other addresses alone."""
    known = [b for b in route.binds if not b.address or normal_address(b.address)]
    if len(known) < len(route.binds) or any(_takes(b.address, b.words, vip) for b in known):
        return []
    others = " and ".join(b.address or "IPv6" for b in known)
    return [f"{known[0].source} binds the VIP's port on {others} alone, and not on the VIP {vip}"]


def _takes(address: str, words: Sequence[str], vip: str) -> bool:
    return address == vip or (not address and ("v6only" not in words or ":" in vip))


def _cannot_bind(route: PortRoute, vip: str, readings: HostView) -> list[str]:
    """Why haproxy does not start on a master that does not hold the VIP. Raises Unreadable."""
    own = [b for b in route.binds if b.address == vip and "transparent" not in b.words]
    if not own or ":" in vip:
        return []
    value = ""
    for file in conf_dirs.effective(conf_dirs.persistent(readings.files(*sysctl.PATTERNS))):
        for _, key, text in sysctl_table.assignments([file]):
            value = text or "" if key == NONLOCAL else value
    if value == "1":
        return []
    return [
        f"{own[0].source} binds the VIP {vip} itself, and no line of sysctl.d sets "
        f"{NONLOCAL.replace('/', '.')} to 1: haproxy does not start on a master without the VIP"
    ]


def _applies(case: Case[LoadBalancerParameters]) -> None:
    kind = case.inventory.endpoint.kind
    if kind == "external":
        raise NotApplicable("the endpoint is external: its load balancer is not in this inventory")
    if kind == "kube-vip":
        raise NotApplicable("the endpoint is kube-vip: there is no load balancer in front")


def _unknown(
    servers: Sequence[Backend], readings: HostView, case: Case[LoadBalancerParameters]
) -> list[str]:
    """What is wrong with these servers, which must be exactly the masters' apiservers.

    Raises Unreadable.
    """
    port = case.parameters.apiserver_port
    faults = []
    others = list(servers)
    for host in case.inventory.masters:
        mine = [b for b in others if b.port == port]
        mine = [b for b in mine if owner_of(b.address, readings, case, b.name) == host.name]
        if not mine:
            faults.append(
                f"{host.name} ({host.address or host.name}:{port}) is not among its servers"
            )
        for server in mine:
            others.remove(server)
            if not server.up:
                faults.append(f"{host.name} is down for it ({server.why})")
            elif server.unproven:
                faults.append(f"{host.name} {server.unproven}")
    faults += [f"{b} is among its servers, and is no master" for b in others]
    return faults
