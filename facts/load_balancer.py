"""The load balancer in front of the apiservers: haproxy on every master.

Now: the running haproxy's own report over its stats socket, which is only read: every server
behind the VIP's port, whether its health check finds it up, and if not, why. These must be the
masters and no other hosts, and the process must be newer than its configuration file: a haproxy
that has not been reloaded still uses the old configuration.

At boot: the service is enabled, and the file names every master.

A load balancer outside this inventory (`endpoint_kind=external`), and kube-vip, which needs no
load balancer, are not judged here; HA-APISERVER-VIP applies to them.

Sources: haproxy's Management Guide, 9.3 "Unix Socket commands" (show info, show servers state,
show stat), 4 "Stopping and restarting"; systemd.unit(5); facts/parsers/haproxy.py.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import haproxy, systemd_units
from facts.parsers.haproxy import FILE
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import script_with

RUNNING = "2"  # SRV_ST_RUNNING, of srv_op_state
SHOWN = "LoadState,ActiveState,SubState"


class LoadBalancerParameters(Struct, frozen=True):
    """The service's unit, and the port of each master's apiserver."""

    unit: str
    apiserver_port: int


class Backend(Struct, frozen=True):
    """A server of the running haproxy. why: the result of its last health check."""

    name: str
    address: str
    port: int
    up: bool
    why: str = ""


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
    """Whether a boot starts the service, and the faults of its configuration."""

    unit: str
    enabled: bool
    faults: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(self.faults) or (
            f"{self.unit} starts at boot, and {FILE} names every master"
        )


def probes(host: Host, cases: Sequence[Case[LoadBalancerParameters]]) -> tuple[Probe, ...]:
    """The file, the unit's links, and one exchange over the stats socket."""
    if not cases or cases[0].inventory.endpoint.kind != "keepalived":
        return ()
    unit = cases[0].parameters.unit
    return (
        FileProbe(FILE, *systemd_units.file_patterns(unit), *systemd_units.pull_patterns(unit)),
        CommandProbe("socket", _script(unit)),
    )


def _script(unit: str) -> str:
    file = Path(__file__).with_suffix(".sh")
    return PRELUDE + script_with(file, unit=unit, shown=SHOWN, config=FILE)


def read_runtime(readings: HostView, case: Case[LoadBalancerParameters]) -> LoadBalancerRuntime:
    """The running haproxy's servers. Raises Unreadable, NotApplicable."""
    _applies(case)
    unit, endpoint = case.parameters.unit, case.inventory.endpoint
    lines = readings.output("socket").lines
    state = dict(line.split("=", 1) for line in lines if line.startswith(tuple(SHOWN.split(","))))
    if "ActiveState" not in state:
        raise Unreadable(f"systemctl show {unit} prints no ActiveState")
    if state.get("LoadState") == "not-found":
        return LoadBalancerRuntime(
            unit, (), (f"{unit} is not installed: no load balancer on this master",)
        )
    if state["ActiveState"] != "active":
        now = f"{state['ActiveState']} ({state.get('SubState')})"
        return LoadBalancerRuntime(unit, (), (f"{unit} does not run: systemd says {now}",))
    file = readings.file(FILE)
    if file is None:
        return LoadBalancerRuntime(unit, (), (f"{unit} runs, and there is no {FILE}",))
    found = haproxy.route_of_port(file, endpoint.port)
    if found is None:
        return LoadBalancerRuntime(
            unit, (), (f"{FILE}: no line binds the VIP's port {endpoint.port}",)
        )
    if "socket " in lines:
        raise Unreadable(
            f"{FILE} has no line `stats socket /…`: the running haproxy cannot be queried"
        )
    if gone := next((line for line in lines if line.startswith("nothing at ")), ""):
        raise Unreadable(
            f"{FILE} names a stats socket, and there is {gone}: does haproxy run with this file?"
        )
    faults = []
    started = _started(lines)
    if file.changed > started + 1:
        faults.append(
            f"haproxy runs an old configuration: {FILE} was changed after it was started; "
            f"reload it (`systemctl reload {unit}`)"
        )
    running = [b for name in found.backends for b in _servers(lines).get(name, [])]
    if not running:
        faults.append(
            f"the running haproxy has no server in {' '.join(found.backends) or 'any backend'}, "
            f"to which the VIP's port {endpoint.port} leads"
        )
    faults += _unknown(running, case)
    names = {(b.address, b.port) for b in running}
    for server in found.servers:
        if (server.address, server.port) not in names and not server.disabled:
            faults.append(f"{server.source} names {server.name}, which the running haproxy has not")
    return LoadBalancerRuntime(unit, tuple(running), tuple(dict.fromkeys(faults)))


def read_persisted(readings: HostView, case: Case[LoadBalancerParameters]) -> LoadBalancerPersisted:
    """The service and servers after a boot, by its files. Raises Unreadable, NotApplicable."""
    _applies(case)
    unit, endpoint = case.parameters.unit, case.inventory.endpoint
    faults = list(systemd_units.boot_problems(readings, unit))
    enabled = not faults
    sources: tuple[ConfigLine, ...] = ()
    file = readings.file(FILE)
    if file is None:
        faults.append(f"there is no {FILE}")
    elif (found := haproxy.route_of_port(file, endpoint.port)) is None:
        faults.append(f"{FILE}: no line binds the VIP's port {endpoint.port}")
    else:
        sources = tuple(server.source for server in found.servers)
        named = [
            Backend(s.name, s.address, s.port, not s.disabled, f"{s.source} says disabled")
            for s in found.servers
        ]
        faults += _unknown(named, case)
    return LoadBalancerPersisted(unit, enabled, tuple(dict.fromkeys(faults)), sources)


def _applies(case: Case[LoadBalancerParameters]) -> None:
    kind = case.inventory.endpoint.kind
    if kind == "external":
        raise NotApplicable("the endpoint is external: its load balancer is not in this inventory")
    if kind == "kube-vip":
        raise NotApplicable("the endpoint is kube-vip: there is no load balancer in front")


def _unknown(servers: Sequence[Backend], case: Case[LoadBalancerParameters]) -> list[str]:
    """What is wrong with these servers, which must be exactly the masters' apiservers."""
    port = case.parameters.apiserver_port
    faults = []
    left = list(servers)
    for host in case.inventory.masters:
        mine = [b for b in left if b.port == port and host.address in (None, b.address, b.name)]
        mine = [b for b in mine if host.address or host.name in (b.name, b.address)]
        if not mine:
            faults.append(
                f"{host.name} ({host.address or host.name}:{port}) is not among its servers"
            )
        for server in mine:
            left.remove(server)
            if not server.up:
                faults.append(f"{host.name} is down for it ({server.why})")
    faults += [
        f"{b.name} ({b.address}:{b.port}) is among its servers, and is no master" for b in left
    ]
    return faults


def _started(lines: Sequence[str]) -> float:
    """When the running process started, in seconds since the epoch, by the host's clock.

    Raises Unreadable.
    """
    info = dict(line.split(": ", 1) for line in lines if ": " in line)
    now = next((line.removeprefix("now ") for line in lines if line.startswith("now ")), "")
    up = info.get("Uptime_sec", "")
    if not now.isdecimal() or not up.isdecimal():
        raise Unreadable("haproxy's `show info` has no Uptime_sec: its answer is truncated")
    return float(now) - float(up)


def _servers(lines: Sequence[str]) -> Mapping[str, list[Backend]]:
    """Each backend's servers. Raises Unreadable where a table is missing."""
    states = _table(lines, "# be_id ", " ")
    checks = {(row["pxname"], row["svname"]): row for row in _table(lines, "# pxname,", ",")}
    found: dict[str, list[Backend]] = {}
    for row in states:
        try:
            check = checks.get((row["be_name"], row["srv_name"]), {})
            health = " ".join(
                check.get(k, "") for k in ("status", "check_status", "last_chk")
            ).strip()
            up = row["srv_op_state"] == RUNNING and row["srv_admin_state"] == "0"
            found.setdefault(row["be_name"], []).append(
                Backend(row["srv_name"], row["srv_addr"], int(row["srv_port"]), up, health)
            )
        except (KeyError, ValueError) as error:
            raise Unreadable(f"haproxy's table has an unknown format: {error!r}") from None
    return found


def _table(lines: Sequence[str], head: str, between: str) -> list[dict[str, str]]:
    start = next((i for i, line in enumerate(lines) if line.startswith(head)), None)
    if start is None:
        raise Unreadable(f"haproxy's answer has no table `{head.strip()}`: it is truncated")
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), len(lines))
    rows = [line.removeprefix("# ") for line in lines[start:end]]
    return [dict(row) for row in csv.DictReader(rows, delimiter=between)]
