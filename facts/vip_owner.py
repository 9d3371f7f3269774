"""Which masters hold the VIP, and what moves it from one to another.

Two holders are worse than none: hosts split between the two, and each half has a cluster that
appears to work. So the interfaces of every master are read, and a single holder is a PASS only
when all masters have answered.

keepalived: its service runs on every master now, and starts at boot with the VIP in its
configuration. The masters must also understand each other's adverts then, or each takes the VIP:
one virtual_router_id, version, kind of authentication (its password is masked, and not compared)
and, with version 2, interval, and each a unicast_peer of the others where adverts are unicast. The
interfaces that the configuration names must exist, as must the programs of the scripts that it
tracks. One of these, when it fails, must move the VIP: by its weight, which lowers the priority
below another master's, or by weight 0, with which keepalived gives the VIP up. kube-vip: the same
applies to its static pod, whose process is found by its control group. An external endpoint has no
holder among these hosts.

Sources: ip-address(8); keepalived.conf(5), vrrp_script, vrrp_instance (unicast_src_ip: by default
the interface's primary address); RFC 3768 and RFC 5798, 6.4.2 "Backup" (an advert of an equal
priority keeps it so), 7.1 "Receiving VRRP Packets" (an interval that differs is dropped by version
2, and adopted by version 3); kube-vip's "Static Pods".
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from facts.address import USELESS
from facts.parsers import (
    address_setting,
    boot_commands,
    boot_files,
    boot_target,
    boot_writes,
    service_commands,
    systemd_units,
    unit_command,
    unit_settings,
    vip_config,
    vrrp_peers,
)
from facts.parsers.blanks import split_words
from facts.parsers.combined import read_each, view_of
from facts.parsers.probe_prelude import PRELUDE
from facts.parsers.vip_config import Instance
from hale.inventory.ini import Host
from hale.model.drill import FaultKind, Measurement
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import PROCESSES, load_script

# The drills that inject a fault into the VIP's owner.
DRILLS = (FaultKind.VIP, FaultKind.APISERVER, FaultKind.MASTER)
LINKS = PRELUDE + load_script(Path(__file__).with_name("vip_owner_links.sh"))


class VipOwnerParameters(Struct, frozen=True):
    """The unit that moves the VIP, where the endpoint's kind is keepalived.

    failover_seconds: the maximum downtime through the VIP when its owner has a fault.
    """

    unit: str
    failover_seconds: float


class VipOwnerRuntime(Struct, frozen=True):
    """The masters that hold the VIP. idle: masters whose manager does not run, and its state."""

    vip: str
    owners: tuple[str, ...]
    idle: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        match self.owners:
            case ():
                text = f"no master holds the VIP {self.vip}"
            case (one,):
                text = f"{one} holds the VIP {self.vip}"
            case _:
                text = f"{' and '.join(self.owners)} hold the VIP {self.vip} at once"
        return "; ".join([text, *self.idle, *self.unread])


class VipOwnerPersisted(Struct, frozen=True):
    """Why a master's boot does not start the VIP's manager, or starts it without the VIP."""

    faults: tuple[str, ...]
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        parts = self.faults or ("the VIP's manager starts at boot on every master",)
        return "; ".join([*parts, *self.unread])


class Wait(Struct, frozen=True):
    """The component that was lost, and the longest downtime after that, in seconds."""

    lost: str
    seconds: float

    def __str__(self) -> str:
        return f"downtime of {self.seconds:.2f} s after the loss of {self.lost}"


class VipOwnerDrill(Struct, frozen=True):
    """The downtime through the VIP in each drill that injected a fault into its owner."""

    waits: tuple[Wait, ...]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(map(str, self.waits))


def probes(host: Host, cases: Sequence[Case[VipOwnerParameters]]) -> tuple[Probe, ...]:
    """ip(8) for the VIP, its manager's state, and the files that start the manager."""
    if not cases or not host.is_master:
        return ()
    endpoint, unit = cases[0].inventory.endpoint, cases[0].parameters.unit
    if endpoint.kind == "external":
        return ()
    if endpoint.kind == "kube-vip":
        state = f'{PROCESSES}[ -n "$(static_pids kube-vip)" ]; echo manager $?'
        files: tuple[str, ...] = vip_config.KUBE_VIP_FILES
    else:
        state = f"systemctl show --property=LoadState,ActiveState,SubState -- {shlex.quote(unit)}"
        files = (
            *unit_command.patterns(unit),
            *unit_settings.condition_patterns(unit),
            *systemd_units.existence(unit),
            *boot_target.FILES,
            *vip_config.FILES,
        )
    vip = shlex.quote(endpoint.vip)
    links = () if endpoint.kind == "kube-vip" else (CommandProbe("links", LINKS),)
    return (
        *links,
        FileProbe(*files),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("holder", f"echo of {vip}\nip -o addr show to {vip} || exit\n{state}"),
    )


def read_runtime(readings: ClusterView, case: Case[VipOwnerParameters]) -> VipOwnerRuntime:
    """The masters that hold it. Raises NotApplicable where the endpoint is external.

    Raises Unreadable where a master gave no answer and the others prove no fault.
    """
    endpoint = case.inventory.endpoint
    _applies(case)
    answers, unread = read_each(readings, case.inventory.masters, lambda its: _observed(its, case))
    owners = [host for host, (holds, _) in answers.items() if holds]
    idle = [f"{host}: {state}" for host, (_, state) in answers.items() if state]
    if not case.inventory.masters:
        raise Unreadable("the inventory names no master")
    fact = VipOwnerRuntime(endpoint.vip, tuple(owners), tuple(idle), tuple(unread))
    if unread and len(owners) < 2 and not idle:
        raise Unreadable("; ".join(unread))
    return fact


def read_persisted(readings: ClusterView, case: Case[VipOwnerParameters]) -> VipOwnerPersisted:
    """Why a boot does not start the VIP's manager. Raises NotApplicable, Unreadable."""
    _applies(case)
    faults: list[str] = []
    unread: list[str] = []
    instances: dict[str, Instance] = {}
    for host in case.inventory.masters:
        try:
            found = _lacking(view_of(readings, host), case)
            if isinstance(found, Instance):
                instances[host.name] = found
                found = _unfit(view_of(readings, host), found)
            if not found:
                _refuse_losses(view_of(readings, host), case, instances.get(host.name))
        except Unreadable as error:
            unread.append(f"{host.name}: {error}")
            continue
        faults += [f"{host.name}: {fault}" for fault in found]
    for name, fault in _disagreements(readings, instances, case):
        try:
            if why := vip_config.doubt(readings[name], case.parameters.unit):
                raise Unreadable(f"{why}, so it is not known whether it {fault}")
            faults.append(f"{name}: {instances[name].file} {fault}")
        except Unreadable as error:
            unread.append(f"{name}: {error}")
    if unread and not faults:
        raise Unreadable("; ".join(unread))
    if not case.inventory.masters:
        raise Unreadable("the inventory names no master")
    return VipOwnerPersisted(tuple(faults), tuple(unread))


def _applies(case: Case[VipOwnerParameters]) -> None:
    if case.inventory.endpoint.kind == "external":
        raise NotApplicable("the endpoint is external: no host of this inventory holds the VIP")


def _lacking(its: HostView, case: Case[VipOwnerParameters]) -> list[str] | Instance:
    """Why this master could not hold the VIP after its next boot; keepalived's instance where it
    could. Raises Unreadable."""
    endpoint, unit = case.inventory.endpoint, case.parameters.unit
    if endpoint.kind == "kube-vip":
        return vip_config.kube_vip(its, endpoint.vip)
    if found := boot_target.boot_problems(its, unit):
        return found
    if unit != vip_config.SERVICE:  # another one's files are not known
        return []
    instance = vip_config.keepalived(its, unit, endpoint.vip)
    return [instance] if isinstance(instance, str) else instance


def _refuse_losses(
    its: HostView, case: Case[VipOwnerParameters], instance: Instance | None
) -> None:
    """Raises Unreadable where a boot does not find these files, or the unit has conditions."""
    if case.inventory.endpoint.kind == "kube-vip":
        boot_files.refuse_files(its, its.files(vip_config.KUBE_VIP))
        return
    unit = case.parameters.unit
    used = list(unit_settings.files(its, unit))
    if instance:
        used += its.files(*vip_config.OPTIONS)
        used += [f for f in its.files(*vip_config.INCLUDED) if f.path in instance.paths]
    present = [file.path for file in used if file.kind == "f" and file.content]
    unit_settings.refuse_conditions(its, unit, present)
    boot_files.refuse_files(its, used)
    boot_writes.refuse_files(its, instance.paths if instance else ())
    service_commands.refuse_stops(its, unit)


def _unfit(its: HostView, instance: Instance) -> list[str]:
    """What this host lacks of what the instance names. Raises Unreadable."""
    lines = [line.partition(" ")[::2] for line in its.output("links").lines]
    links = {name for kind, name in lines if kind == "link"}
    addresses = _addresses(its)
    absent = {
        words[1]: words[2]
        for kind, text in lines
        if kind == "program" and (words := split_words(text))[:1] == ["no"] and len(words) > 2
    }
    if not links or not addresses:
        raise Unreadable("the interfaces of this host are missing in the answer")
    file = instance.file
    faults = [
        f"{file} names the interface {device}, which this host has not: keepalived stays in FAULT"
        for device in instance.devices
        if device not in links
    ]
    if instance.devices[:1] == ("lo",):
        faults.append(f"{file} sends its adverts on lo: no other master hears them")
    if instance.origin and address_setting.plain(instance.origin) not in addresses:
        faults.append(f"{file} sends from {instance.origin}, which is not an address of this host")
    for name, _ in instance.scripts:
        if name not in instance.defined:
            faults.append(f"{file} tracks the script {name}, which nothing defines")
        elif name in absent:
            faults.append(
                f"{file} tracks the script {name}, and there is no program {absent[name]}: "
                "the VIP stays where the load balancer is lost"
            )
    return faults


def _addresses(its: HostView) -> set[str]:
    """This host's addresses. Raises Unreadable."""
    lines = [line.partition(" ")[::2] for line in its.output("links").lines]
    return {address_setting.plain(text) for kind, text in lines if kind == "address"}


def _disagreements(
    readings: ClusterView, instances: Mapping[str, Instance], case: Case[VipOwnerParameters]
) -> list[tuple[str, str]]:
    """Why masters, once started with these files, do not act as one: (host, fault)."""
    addresses = {
        host.name: address_setting.plain(host.address)
        for host in case.inventory.masters
        if host.address
    }
    senders = {host: _sent_from(readings[host], i, case) for host, i in instances.items()}
    return vrrp_peers.disagreements(instances, addresses, senders)


def _sent_from(its: HostView, instance: Instance, case: Case[VipOwnerParameters]) -> set[str]:
    """The addresses from which its adverts may come; empty where its own are not known."""
    if instance.origin:
        return {address_setting.plain(instance.origin)}
    with suppress(Unreadable):
        return _addresses(its) - {case.inventory.endpoint.vip}
    return set()


def _observed(its: HostView, case: Case[VipOwnerParameters]) -> tuple[bool, str]:
    """Whether this master holds the VIP, and its manager's fault, if any. Raises Unreadable."""
    vip = case.inventory.endpoint.vip
    lines = its.output("holder").lines
    if lines[:1] != [f"of {vip}"]:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    holds = False
    state: dict[str, str] = {}
    for line in lines[1:]:
        words = split_words(line)
        if "=" in line and len(words) == 1:
            name, _, value = line.partition("=")
            state[name] = value
        elif words[:1] == ["manager"] and len(words) == 2:
            state["ActiveState"] = "active" if words[1] == "0" else "inactive"
        elif len(words) > 3 and words[2] in ("inet", "inet6"):
            useless = any(word in words for word in USELESS)
            holds = holds or (address_setting.plain(words[3]) == vip and not useless)
        elif words:
            raise Unreadable(f"ip: {line!r} is not an address")
    if "ActiveState" not in state:
        raise Unreadable("the state of the VIP's manager is missing in the answer")
    unit = "kube-vip" if case.inventory.endpoint.kind == "kube-vip" else case.parameters.unit
    if state.get("LoadState") == "not-found":
        return holds, f"{unit} is not installed"
    if state["ActiveState"] != "active":
        return holds, f"{unit} does not run ({state['ActiveState']})"
    return holds, ""


def read_drill(measured: Sequence[Measurement], case: Case[VipOwnerParameters]) -> VipOwnerDrill:
    """What this run's drills measured. Raises Unreadable where one of them proves nothing."""
    waits = []
    for one in measured:
        if one.kind in DRILLS:
            if one.invalid_because:
                raise Unreadable(f"{one.kind}: {one.invalid_because}")
            waits.append(Wait(one.title, one.longest_downtime))
    return VipOwnerDrill(tuple(waits))
