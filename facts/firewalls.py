"""Firewalls beside firewalld: what they drop now, and what they will drop after the next boot.

The rules are compared with the connections that the cluster needs: the API server's port, and that
of the VIP, from every host to every master, etcd's between masters, the kubelet's from masters to
every host, and packets from Pod to Pod, which the chains of `forward` judge. A ruleset that accepts
them complies, whatever else it drops. What the cluster's own programs have made is not judged, nor
is firewalld, which has a requirement of its own.

`persisted` reads what the services load at boot: nftables.service its script with what that
includes; netfilter-persistent, iptables and ip6tables their files; ufw is judged by whether it
starts. A command of the site's own that may load other rules at boot makes it UNKNOWN. Of what is
forwarded only a policy counts, or a rule without conditions. Not covered: rules that a program
makes at boot which is no script; tables of iptables other than `filter`; nftables' families bridge
and netdev; networks in front of the host.

Sources: nft(8); iptables-save(8); Debian's netfilter-persistent(8), Red Hat's iptables.service
(/etc/sysconfig/iptables); ufw(8), ufw-init-functions (ENABLED); kubernetes.io, "Ports and
Protocols"; the kernel's net/netfilter/x_tables.c (/proc/net/ip_tables_names).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Literal

from msgspec import Struct

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_target,
    boot_writes,
    cloud_init,
    firewall_commands,
    iptables_rules,
    nft_rules,
    packet_filter,
    systemd_units,
    unit_settings,
)
from facts.parsers.blanks import BLANKS, lowered
from facts.parsers.packet_filter import Address, Loss, Packet
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host, Inventory
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Selection,
    Unreadable,
    matches,
    select,
)
from hale.model.requirement import Case
from hale.shell import script_with

Make = Literal["ufw", "nftables", "iptables"]

NFT = "nftables.service"
NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
INCLUDED = ("/etc/nftables/*", "/etc/nftables.d/*")
UFW, UFW_FILE = "ufw.service", "/etc/ufw/ufw.conf"
# What each service restores at boot, and the IP version of it.
RESTORED = {
    "netfilter-persistent.service": {"/etc/iptables/rules.v4": 4, "/etc/iptables/rules.v6": 6},
    "iptables.service": {"/etc/sysconfig/iptables": 4},
    "ip6tables.service": {"/etc/sysconfig/ip6tables": 6},
}
UNITS = (NFT, UFW, *RESTORED)
# Files of packages with rules of their own, which are judged as such or not at all.
PACKAGED = (*UNITS, "firewalld.service", "firewalld", "netfilter-persistent", "ufw-init")
# Of a pod network, by the names of its tables; each decides itself what pods may do.
NETWORKS = ("kube-proxy", "firewalld", "calico", "cali", "cilium", "flannel", "antrea", "cni")
# An endpoint that no master has.
EXTERNAL = "external"
UFW_CHAINS = "ufw-"
FIREWALLD_CHAIN = "INPUT_ZONES"
_ENABLING = boot_writes.Interest(("enabled",))
_ENABLED = Selection(r"[[:space:]]*ENABLED=")
_FOUND = re.compile(r"@ (\S+)(?: (\S+))?", re.ASCII)


class FirewallsParameters(Struct, frozen=True):
    """make: whose rules are judged. The TCP ports: apiserver_port of masters, from every host;
    etcd_ports of masters, from masters, where etcd is stacked; kubelet_port of every host, from
    masters."""

    make: Make
    apiserver_port: int = 0
    etcd_ports: tuple[int, ...] = ()
    kubelet_port: int = 0


class FirewallsRuntime(Struct, frozen=True):
    """drops: the rules that drop what the cluster needs, in sentences. state: what was judged."""

    drops: tuple[str, ...]
    state: str
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(self.drops) or self.state


class FirewallsPersisted(FirewallsRuntime, frozen=True):
    """The same after a boot."""


def probes(host: Host, cases: Sequence[Case[FirewallsParameters]]) -> tuple[Probe, ...]:
    """The rules in the kernel, and the services with the files that they load."""
    makes = {"iptables" if c.parameters.make == "ufw" else c.parameters.make for c in cases}
    restored = [path for files in RESTORED.values() for path in files]
    return (
        FileProbe(
            *NFT_FILES,
            *INCLUDED,
            *restored,
            *select(_ENABLED, UFW_FILE),
            *boot_target.FILES,
            *(p for unit in UNITS for p in unit_settings.patterns(unit)),
            *cloud_init.FILES,
        ),
        boot_files.PROBE,
        boot_commands.probe(),
        *(
            CommandProbe(make, PRELUDE + script_with(Path(__file__).with_suffix(".sh"), make=make))
            for make in sorted(makes)
        ),
    )


def needed(case: Case[FirewallsParameters]) -> list[Packet]:
    """The packets that the cluster needs, of this host."""
    me, wanted = case.host, case.parameters
    if me is None:
        return []
    packets = [
        *(Packet(f"packets from Pod to Pod (IPv{v})", "forward", v) for v in _versions(case)),
    ]
    for other in case.inventory.hosts:
        if other.name == me.name:
            continue
        packets += _between(other, me, "input", f"from {other.name}", case.inventory, wanted)
        packets += _between(me, other, "output", f"to {other.name}", case.inventory, wanted)
    return packets


def _versions(case: Case[FirewallsParameters]) -> tuple[int, ...]:
    network = case.inventory.cluster.pod_cidr
    return (network.version,) if network is not None else (4,)


def _between(
    source: Host,
    target: Host,
    hook: str,
    whom: str,
    inventory: Inventory,
    wanted: FirewallsParameters,
) -> Iterator[Packet]:
    ports = [wanted.apiserver_port] if target.is_master else []
    if source.is_master:
        ports.append(wanted.kubelet_port)
    if source.is_master and target.is_master and inventory.etcd_kind == "stacked":
        ports += wanted.etcd_ports
    start, end = _address(source), _address(target)
    version = (end or start or ip_address("0.0.0.0")).version
    endpoint = inventory.endpoint
    if target.is_master and endpoint.kind != EXTERNAL:
        what = f"TCP port {endpoint.port} of the VIP {whom}"
        yield Packet(what, hook, version, start, _literal(endpoint.vip), endpoint.port)
    for port in ports:
        yield Packet(f"TCP port {port} {whom}", hook, version, start, end, port)


def _address(host: Host) -> Address | None:
    """The planned address; None for a name, whose address is not known here."""
    return _literal(host.address or "")


def _literal(address: str) -> Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def read_runtime(readings: HostView, case: Case[FirewallsParameters]) -> FirewallsRuntime:
    """What the rules in the kernel drop.

    Raises Unreadable where rules cannot be listed, or may or may not drop something.
    """
    make = case.parameters.make
    listings = _listings(readings, "nftables" if make == "nftables" else "iptables")
    packets = needed(case)
    if make == "nftables":
        text = "\n".join("\n".join(lines) for _, lines in listings)
        return FirewallsRuntime(
            _judged(_by_nft(nft_rules.read_ruleset(text), packets)),
            "no rule of nftables drops what the cluster needs",
        )
    found: list[Loss] = []
    for version, lines in listings:
        chains = iptables_rules.read_filter(lines)
        ufws = iptables_rules.jumps(chains, UFW_CHAINS)
        if make == "ufw":
            # `ufw disable` leaves the jumps to its chains, which are empty then.
            if ufws and iptables_rules.reaches_rules(chains, UFW_CHAINS):
                return FirewallsRuntime((f"ufw is active: {ufws}",), "")
        elif not ufws and FIREWALLD_CHAIN not in chains:
            found += packet_filter.losses(chains, [p for p in packets if p.version == version])
    if make == "ufw":
        return FirewallsRuntime((), "ufw is not active: the kernel has none of its rules")
    return FirewallsRuntime(_judged(found), "no rule of iptables drops what the cluster needs")


def _listings(readings: HostView, probe: str) -> list[tuple[int, list[str]]]:
    """The IP version and the lines of each listing. Raises Unreadable."""
    found: list[tuple[int, list[str]]] = []
    ended = False
    for line in readings.output(probe).lines:
        if header := _FOUND.fullmatch(line):
            ended = header[1] == "end"
            found.append((6 if header[2] == "ip6" else 4, []))
        elif found:
            found[-1][1].append(line)
    if not ended:
        raise Unreadable("the list of rules is truncated")
    return found[:-1]


def _by_nft(tables: Sequence[nft_rules.NftChains], packets: Sequence[Packet]) -> Iterator[Loss]:
    for table in tables:
        if table.by_iptables or table.name.startswith(NETWORKS):
            continue
        yield from packet_filter.losses(
            table.chains,
            [p for p in packets if table.sees(p.version)],
        )


def _judged(found: Iterator[Loss] | Sequence[Loss]) -> tuple[str, ...]:
    """The sentences of what is certainly dropped. Raises Unreadable for what may be dropped."""
    every = list(found)
    if drops := packet_filter.sentences([loss for loss in every if loss.sure]):
        return drops
    if doubts := packet_filter.sentences(every):
        raise Unreadable(f"perhaps: {'; '.join(doubts)}. Whether its conditions hold is not known")
    return ()


def read_persisted(readings: HostView, case: Case[FirewallsParameters]) -> FirewallsPersisted:
    """What the rules drop that a boot loads. Raises Unreadable."""
    readers: Mapping[Make, Callable[[HostView, Case[FirewallsParameters]], FirewallsPersisted]] = {
        "ufw": _ufw,
        "nftables": _nftables,
        "iptables": _iptables,
    }
    fact = readers[case.parameters.make](readings, case)
    make = case.parameters.make
    if not fact.drops:
        units = _startable(readings, make)
        lines = chain(
            firewall_commands.loading(readings, make, PACKAGED) if make != "ufw" else (),
            boot_writes.writes(readings, UFW_FILE, _ENABLING) if make == "ufw" and units else (),
            firewall_commands.starting(
                readings, units, by_service=make != "ufw" or _ufw_is_on(readings)
            ),
        )
        for line in lines:
            raise Unreadable(
                f"{line} may load rules after a boot that are not read here: {line.text[:160]}"
            )
    return fact


def _startable(readings: HostView, make: Make) -> list[str]:
    """The services with rules of this make that a boot does not start by itself."""
    units = {"ufw": (UFW,), "nftables": (NFT,), "iptables": tuple(RESTORED)}[make]
    return [
        unit
        for unit in units
        if unit in systemd_units.in_force(readings, unit)
        and not systemd_units.mask(readings, unit)
        and (make == "ufw" or boot_target.boot_problems(readings, unit))
    ]


def _ufw_setting(readings: HostView) -> tuple[ConfigLine | None, bool]:
    """The line of ufw's file that counts, and whether it enables ufw."""
    file = readings.file(UFW_FILE)
    last: ConfigLine | None = None
    value = ""
    for number, line in enumerate(file.lines if file else (), 1):
        name, equals, text = line.strip(BLANKS).partition("=")
        if name == "ENABLED" and equals:
            last = ConfigLine(UFW_FILE, number, line.strip(BLANKS), wins=True)
            value = text.partition("#")[0].strip(BLANKS).strip("\"'")
    return last, last is not None and lowered(value) == "yes"


def _ufw_is_on(readings: HostView) -> bool:
    """Whether ufw's service loads rules when something starts it, or may do so after a boot."""
    line, enabled = _ufw_setting(readings)
    return enabled or line is None or bool(boot_files.losses(readings, readings.files(UFW_FILE)))


def _ufw(readings: HostView, case: Case[FirewallsParameters]) -> FirewallsPersisted:
    if problems := boot_target.boot_problems(readings, UFW):
        return FirewallsPersisted((), problems[0])
    last, enabled = _ufw_setting(readings)
    sources = (last,) if last else ()
    if last and enabled:
        boot_files.refuse(readings, sources)
        return FirewallsPersisted(
            (f"{UFW} starts at boot, and {last} has {last.text}",), "", sources
        )
    return FirewallsPersisted(
        (), f"{UFW} starts at boot, and {UFW_FILE} does not enable ufw", sources
    )


def _nftables(readings: HostView, case: Case[FirewallsParameters]) -> FirewallsPersisted:
    if problems := boot_target.boot_problems(readings, NFT):
        return FirewallsPersisted((), problems[0])
    commands = unit_settings.commands(unit_settings.files(readings, NFT))
    scripts = [path for command in commands if (path := _script_of(command.words))]
    if not scripts:
        raise Unreadable(
            f"{NFT} starts at boot, and which script it loads is not known (`systemctl cat {NFT}`)"
        )
    found: list[Loss] = []
    for path in scripts:
        file = _script(readings, path)
        boot_files.refuse_files(readings, [file])
        tables = nft_rules.read_ruleset(
            "\n".join(file.lines), path, lambda pattern: _included(readings, pattern)
        )
        found += _by_nft(tables, needed(case))
    return FirewallsPersisted(
        _judged(found), f"nothing of {', '.join(scripts)} drops what the cluster needs"
    )


def _script_of(words: Sequence[str]) -> str:
    """The script of `nft -f PATH`; empty for other commands."""
    if not words or words[0].rpartition("/")[2] != "nft":
        return ""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return next((path for word, path in pairs if word in ("-f", "--file")), "")


def _script(readings: HostView, path: str) -> File:
    if path not in NFT_FILES:
        raise Unreadable(f"{NFT} loads {path} at boot, which is not read here")
    file = readings.file(path)
    if file is None or file.kind != "f":
        raise Unreadable(f"{NFT} loads {path} at boot, which is not a file")
    return file


def _included(readings: HostView, pattern: str) -> list[tuple[str, str]]:
    """The files of an `include`, in the order of their names; a pattern may have none."""
    folders = tuple(p.rpartition("/")[0] for p in INCLUDED)
    path = pattern if pattern.startswith("/") else f"/etc/{pattern.removeprefix('./')}"
    if path.rpartition("/")[0] not in folders:
        raise Unreadable(f"nftables' script includes {pattern}, which is not read here")
    found = [f for f in readings.files(*INCLUDED) if f.kind == "f" and matches(f.path, path)]
    if not found and not any(c in path for c in "*?["):
        raise Unreadable(f"nftables' script includes {pattern}, which is not a file")
    boot_files.refuse_files(readings, found)
    return [(f.path, "\n".join(f.lines)) for f in sorted(found, key=lambda f: f.path)]


def _iptables(readings: HostView, case: Case[FirewallsParameters]) -> FirewallsPersisted:
    packets = needed(case)
    states: list[str] = []
    found: list[Loss] = []
    for unit, files in RESTORED.items():
        if not systemd_units.in_force(readings, unit):
            continue
        if problems := boot_target.boot_problems(readings, unit):
            states.append(problems[0])
            continue
        for path, version in files.items():
            file = readings.file(path)
            if file is None or file.kind != "f":
                continue
            boot_files.refuse_files(readings, [file])
            chains = iptables_rules.read_filter(file.lines, f"{path}:")
            found += packet_filter.losses(chains, [p for p in packets if p.version == version])
            states.append(f"{path}, which {unit} loads, drops nothing that the cluster needs")
    services = " and ".join(", ".join(RESTORED).rsplit(", ", 1))
    state = "; ".join(states) or f"none of {services} is installed"
    return FirewallsPersisted(_judged(found), state)
