"""A host's identity: machine-id, hardware UUID and MAC addresses, which cloned machines share.

The engine reads this from every host in every run, to know which machine answered and since when
it has been running: `read` returns all that could be read, and None for the rest.

Sources: machine-id(5); kubeadm, "Before you begin" and "Verify the MAC address and
product_uuid are unique for every node"; proc_pid_stat(5), proc_stat(5), systemctl(1) and
org.freedesktop.systemd1(5), UserspaceTimestamp; the kernel's
Documentation/ABI/testing/sysfs-class-net. cadvisor (the kubelet's Node.status.nodeInfo) takes
the machine-id where there is no product_uuid.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from facts import os_release
from facts.parsers.blanks import BLANKS, split_words
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case

MACHINE_ID = "/etc/machine-id"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
KERNEL = "/proc/sys/kernel/osrelease"
OS = ("/etc/os-release", "/usr/lib/os-release")
PRODUCT_UUID = "/sys/class/dmi/id/product_uuid"
PID1 = "/proc/1/stat"
ROUTES = "/proc/net/route"
ADDRESSES = "/sys/class/net/*/address"
KINDS = "/sys/class/net/*/type"
MADE = "/sys/class/net/*/uevent"  # DEVTYPE: bridge, vlan, vxlan, bond, macvlan, …
HARDWARE = "/sys/class/net/*/device/uevent"  # exists for devices with a driver, virtio too

ETHERNET = "1"  # ARPHRD_ETHER
UNSET = ("", "uninitialized", "0" * 32)  # machine-id(5), "First Boot Semantics"

# /proc/stat is long (all interrupts of all CPUs), and only one of its lines is needed.
WHO = CommandProbe(
    "who",
    "id -un && grep '^btime ' /proc/stat && { getconf CLK_TCK 2>/dev/null || echo 100; }",
)

What = Literal["machine_id", "product_uuid", "mac"]
WORDS: Mapping[What, str] = {
    "machine_id": "machine-id",
    "product_uuid": "product_uuid",
    "mac": "MAC address",
}


class IdentityParameters(Struct, frozen=True):
    """The identifier that must be unique among the cluster's hosts."""

    what: What


class Identity(Struct, frozen=True):
    """One host's identity; None for what could not be read."""

    machine_id: str | None
    boot_id: str | None
    os: str | None  # PRETTY_NAME
    kernel: str | None
    effective_user: str | None
    boot_time: float | None  # when PID 1 started, seconds since the epoch, by the host's clock
    product_uuid: str | None  # None also where the machine has none
    macs: tuple[str, ...]


class Shared(Struct, frozen=True):
    """A value that several hosts share, and those hosts."""

    value: str
    hosts: tuple[str, ...]


class IdentityRuntime(Struct, frozen=True):
    """The values that hosts share, and the hosts without a valid one."""

    what: What
    count: int
    shared: tuple[Shared, ...] = ()
    unset: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def word(self) -> str:
        """The identifier's name for messages."""
        return WORDS[self.what]

    @property
    def actual(self) -> str:
        word = self.word
        parts = [f"{' and '.join(s.hosts)} have the same {word} {s.value}" for s in self.shared]
        parts += [f"{host} has no valid {word}" for host in self.unset]
        parts = parts or [f"{self.count} hosts, each with a {word} of its own"]
        return "; ".join([*parts, *self.unread])


def probes(host: Host, cases: Sequence[Case[IdentityParameters]]) -> tuple[Probe, ...]:
    """All of it on every host, because the engine always checks which machine answered."""
    return (
        FileProbe(
            MACHINE_ID,
            BOOT_ID,
            KERNEL,
            *OS,
            PRODUCT_UUID,
            PID1,
            ROUTES,
            ADDRESSES,
            KINDS,
            MADE,
            HARDWARE,
        ),
        WHO,
    )


def read(readings: HostView) -> Identity:
    """Everything that could be read. Never raises."""
    who = _who(readings)
    product_uuid = _first(readings, PRODUCT_UUID)
    try:
        macs = tuple(sorted({mac for mac, _ in _macs(readings)}))
    except Unreadable:
        macs = ()
    return Identity(
        machine_id=_first(readings, MACHINE_ID),
        boot_id=_first(readings, BOOT_ID),
        os=_pretty_name(readings),
        kernel=_first(readings, KERNEL),
        effective_user=who[0] if who else None,
        boot_time=_boot_time(readings, who),
        product_uuid=product_uuid.lower() if product_uuid else None,
        macs=macs,
    )


def read_runtime(readings: ClusterView, case: Case[IdentityParameters]) -> IdentityRuntime:
    """The values that hosts share. A proven clone counts even where other hosts did not answer.

    Raises Unreadable where a host gave no answer and the others prove no fault, NotApplicable
    where no machine of the cluster has such an identifier.
    """
    what = case.parameters.what
    holders: dict[str, list[str]] = {}
    sources: list[ConfigLine] = []
    unset: list[str] = []
    unread = [f"{h.name}: not audited" for h in case.inventory.hosts if h.name not in readings]
    read_of = 0
    for host, its in readings.items():
        try:
            found = dict(_values(its, what))
        except Unreadable as error:
            unread.append(f"{host}: {error}")
            continue
        read_of += 1
        if what == "machine_id" and not found:
            unset.append(host)
        for value, path in found.items():
            holders.setdefault(value, []).append(host)
            sources.append(ConfigLine(path, 1, value, note=host))
    shared = tuple(Shared(v, tuple(hosts)) for v, hosts in holders.items() if len(hosts) > 1)
    if unread and not shared and not unset:
        raise Unreadable("; ".join(unread))
    if not holders and not unset:
        raise NotApplicable(f"no host has a {WORDS[what]}: their machines have no {PRODUCT_UUID}")
    return IdentityRuntime(what, read_of, shared, tuple(unset), tuple(unread), tuple(sources))


def _values(readings: HostView, what: What) -> Iterator[tuple[str, str]]:
    """The host's values, with the file of each. Raises Unreadable."""
    if what == "mac":
        found = list(_macs(readings))
        if not found:
            raise Unreadable("no network interface with an address of its own was found")
        yield from found
        return
    if not readings.files(ADDRESSES):
        # Every kernel has lo: without it /sys is not mounted, and a missing DMI proves nothing.
        raise Unreadable("/sys is not mounted")
    path = MACHINE_ID if what == "machine_id" else PRODUCT_UUID
    file = readings.file(path)
    value = file.lines[0].strip(BLANKS).lower() if file and file.lines else ""
    if what == "machine_id":
        if value not in UNSET and re.fullmatch(r"[0-9a-f]{32}", value):
            yield value, path
    elif value:
        yield value, path


def _macs(readings: HostView) -> Iterator[tuple[str, str]]:
    """The addresses of the interfaces that connect the machine to its network, and their files.

    These are the interfaces with a driver (`device`). A container has none; there, they are the
    Ethernet interfaces without a DEVTYPE (which marks software interfaces) that carry a network's
    route. That excludes the ends of pods' links, to which Calico gives one address on all hosts,
    and bridges, VLANs and keepalived's macvlan, which share addresses on purpose.
    """
    kinds = {_interface(f): f for f in readings.files(KINDS)}
    hardware = {_interface(f) for f in readings.files(HARDWARE)}
    if not hardware:
        routed = set(_routed(readings))
        made = {_interface(f) for f in readings.files(MADE) if _has_devtype(f)}
        hardware = routed - made
    for file in readings.files(ADDRESSES):
        name = _interface(file)
        if name not in hardware or name not in kinds or _line(kinds[name]) != ETHERNET:
            continue
        mac = _line(file).lower()
        if mac.strip("0:"):
            yield mac, file.path


def _routed(readings: HostView) -> Iterator[str]:
    """Interfaces with a route to more than one address."""
    file = readings.file(ROUTES)
    for line in file.lines[1:] if file else ():
        fields = split_words(line)
        if len(fields) > 7 and fields[7].upper() != "FFFFFFFF":
            yield fields[0]


def _has_devtype(file: File) -> bool:
    return any(line.startswith("DEVTYPE=") for line in file.lines)


def _interface(file: File) -> str:
    return file.path.split("/")[4]


def _line(file: File) -> str:
    return file.lines[0].strip(BLANKS) if file.lines else ""


def _first(readings: HostView, path: str) -> str | None:
    try:
        file = readings.file(path)
        return (_line(file) or None) if file else None
    except Unreadable:
        return None


def _who(readings: HostView) -> tuple[str, int, int] | None:
    """The user, the kernel's boot in seconds since the epoch, and clock ticks per second."""
    try:
        user, btime, ticks = readings.output("who").lines
        return user, int(split_words(btime)[1]), int(ticks)
    except (Unreadable, ValueError, IndexError):
        return None


def _boot_time(readings: HostView, who: tuple[str, int, int] | None) -> float | None:
    """PID 1's start in seconds since the epoch; in a container, later than the kernel's."""
    stat = _first(readings, PID1)
    if not who or not stat or who[2] <= 0:
        return None
    fields = split_words(stat.rpartition(")")[2])  # the command's name may hold spaces and brackets
    try:
        return who[1] + int(fields[19]) / who[2]  # field 22, starttime
    except (ValueError, IndexError):
        return None


def _pretty_name(readings: HostView) -> str | None:
    try:
        return os_release.fields(readings, OS).get("PRETTY_NAME")
    except Unreadable:
        return None
