"""Which masters hold the VIP, and what moves it from one to another.

Two holders are worse than none: hosts split between the two, and each half has a cluster that
appears to work. So the interfaces of every master are read, and a single holder is a PASS only
when all masters have answered.

keepalived: its service runs on every master now, and starts at boot with the VIP in its
configuration. kube-vip: the same applies to its static pod, whose process is found by its control
group. An external endpoint has no holder
among these hosts.

Sources: ip-address(8); keepalived.conf(5), virtual_ipaddress; kube-vip's "Static Pods".
"""

import shlex
from collections.abc import Sequence

from msgspec import Struct

from facts.address import USELESS
from facts.parsers import boot_network, boot_target, systemd_units, vip_config
from facts.parsers.blanks import split_words
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
from hale.shell import PROCESSES

# The drills that inject a fault into the VIP's owner.
DRILLS = (FaultKind.VIP, FaultKind.APISERVER, FaultKind.MASTER)
KEEPALIVED = "keepalived.service"


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
            *systemd_units.existence(unit),
            *boot_target.FILES,
            *vip_config.FILES,
        )
    vip = shlex.quote(endpoint.vip)
    return (
        FileProbe(*files),
        CommandProbe("holder", f"echo of {vip}\nip -o addr show to {vip} || exit\n{state}"),
    )


def read_runtime(readings: ClusterView, case: Case[VipOwnerParameters]) -> VipOwnerRuntime:
    """The masters that hold it. Raises NotApplicable where the endpoint is external.

    Raises Unreadable where a master gave no answer and the others prove no fault.
    """
    endpoint = case.inventory.endpoint
    _applies(case)
    owners: list[str] = []
    idle: list[str] = []
    unread: list[str] = []
    for host in case.inventory.masters:
        try:
            holds, state = _observed(_of(readings, host), case)
        except Unreadable as error:
            unread.append(f"{host.name}: {error}")
            continue
        owners += [host.name] if holds else []
        idle += [f"{host.name}: {state}"] if state else []
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
    for host in case.inventory.masters:
        try:
            found = _lacking(_of(readings, host), case)
        except Unreadable as error:
            unread.append(f"{host.name}: {error}")
            continue
        faults += [f"{host.name}: {fault}" for fault in found]
    if unread and not faults:
        raise Unreadable("; ".join(unread))
    if not case.inventory.masters:
        raise Unreadable("the inventory names no master")
    return VipOwnerPersisted(tuple(faults), tuple(unread))


def _applies(case: Case[VipOwnerParameters]) -> None:
    if case.inventory.endpoint.kind == "external":
        raise NotApplicable("the endpoint is external: no host of this inventory holds the VIP")


def _lacking(its: HostView, case: Case[VipOwnerParameters]) -> list[str]:
    """Why this master could not hold the VIP after its next boot. Raises Unreadable."""
    endpoint, unit = case.inventory.endpoint, case.parameters.unit
    if endpoint.kind == "kube-vip":
        return vip_config.kube_vip(its, endpoint.vip)
    found = boot_target.boot_problems(its, unit)
    if not found and unit == KEEPALIVED:  # another one's files are not known
        found = vip_config.keepalived(its, endpoint.vip)
    return found


def _of(readings: ClusterView, host: Host) -> HostView:
    if host.name not in readings:
        raise Unreadable("not asked")
    return readings[host.name]


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
            holds = holds or (boot_network.plain(words[3]) == vip and not useless)
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
