"""The host name: the kernel's now, and the one that systemd will set at boot.

The kubelet uses the kernel's full name in lower case, so `k8s-master-01.example.org` is a
different node from `k8s-master-01`.

Sources: hostname(5), systemd(1) (`systemd.hostname=`), machine-info(5); systemd's
hostname_setup() and read_etc_hostname(); cloud-init's cc_update_hostname; the kubelet's
`--hostname-override`.
"""

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_writes,
    cloud_init,
    kubeadm_membership,
    name_commands,
)
from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model.evidence import (
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case

KERNEL = "/proc/sys/kernel/hostname"
STATIC = "/etc/hostname"
INFO = "/etc/machine-info"
ARGUMENTS = "/proc/cmdline"
NEXT_ARGUMENTS = ("/etc/kernel/cmdline", "/etc/default/grub", "/etc/default/grub.d/*.cfg")
WRITTEN_BY_CLOUD_INIT = "/var/lib/cloud/data/previous-hostname"

LONGEST = 64  # HOST_NAME_MAX


class HostnameParameters(Struct, frozen=True):
    """None: the inventory has the names."""


class HostnameRuntime(Struct, frozen=True):
    """The kernel's name, the planned one, and other names that tools may display.

    joined: the evidence that the host is in a cluster (kubeadm_membership).
    """

    name: str
    planned: str
    static: str | None = None
    pretty: str | None = None
    sources: tuple[ConfigLine, ...] = ()
    joined: str = ""

    @property
    def actual(self) -> str:
        text = f"the running hostname is {self.name or 'empty'}"
        if self.static is not None and self.static != self.name:
            text += f"; {STATIC} says {self.static or 'nothing'}"
        if self.pretty and self.pretty != self.name:
            text += f"; {INFO} shows people {self.pretty!r}"
        return text


class HostnamePersisted(Struct, frozen=True):
    """The name after a boot (None where nothing sets it), the planned one, and what sets it.

    joined: the evidence that the host is in a cluster (kubeadm_membership). static: the line of
    /etc/hostname that is read, valid or not. strange: its path where it is not a file.
    arguments: kernel arguments that set another name. rewritten: cloud-init's line that sets
    another name, or would once the file has the planned one. preserve: the line that controls
    whether cloud-init may do that. later: lines of sysctl.d, and commands that a boot runs, that
    set another name afterwards.
    """

    name: str | None
    planned: str
    sources: tuple[ConfigLine, ...] = ()
    joined: str = ""
    static: ConfigLine | None = None
    strange: str = ""
    arguments: tuple[ConfigLine, ...] = ()
    rewritten: ConfigLine | None = None
    preserve: ConfigLine | None = None
    later: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        winner = next((s for s in self.sources if s.wins), None)
        if winner is None:
            return f"nothing sets the hostname at boot: {STATIC} has no valid name"
        losers = ", ".join(f"{s} ({s.text})" for s in self.sources if not s.wins)
        behind = f" (wins over {losers})" if losers else ""
        return f"{winner} sets the hostname to {self.name}{behind}"


def probes(host: Host, cases: Sequence[Case[HostnameParameters]]) -> tuple[Probe, ...]:
    """Files only; no tool is run."""
    return (
        FileProbe(
            KERNEL,
            STATIC,
            INFO,
            ARGUMENTS,
            *select(Selection(r".*systemd\.hostname="), *NEXT_ARGUMENTS),
            WRITTEN_BY_CLOUD_INIT,
            *cloud_init.FILES,
            *kubeadm_membership.FILES,
            *name_commands.PARAMETERS,
        ),
        boot_files.PROBE,
        boot_commands.probe(),
    )


def read_runtime(readings: HostView, case: Case[HostnameParameters]) -> HostnameRuntime:
    """The kernel's host name. Raises Unreadable, NotApplicable."""
    planned = _planned(case)
    file = readings.file(KERNEL)
    if file is None:
        raise Unreadable(f"there is no {KERNEL}")
    static = _etc_hostname(readings)
    return HostnameRuntime(
        file.lines[0].strip(BLANKS) if file.lines else "",
        planned,
        static[0] if static else None,
        _pretty(readings),
        joined=kubeadm_membership.membership_file(readings),
    )


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[HostnameParameters]) -> HostnamePersisted:
    """The name after a boot: from a kernel argument, else /etc/hostname, unless cloud-init
    overwrites it. Raises Unreadable, NotApplicable."""
    planned = _planned(case)
    named = _arguments(readings)
    file = readings.file(STATIC)
    after, preserve = _rewriting(readings, planned)
    fact = HostnamePersisted(
        None,
        planned,
        joined=kubeadm_membership.membership_file(readings),
        static=_first_line(readings),
        strange=STATIC if file and file.kind != "f" else "",
        arguments=tuple(source for name, source in named if name != planned),
        rewritten=after,
        preserve=preserve,
    )
    static = _etc_hostname(readings)
    if static:
        named.append(static)
    if not named:
        return fact
    rewritten = _rewritten(readings, named[0][0], planned)
    if rewritten:
        named.insert(0, rewritten)
    later = _later(readings, planned, named[0][0] == planned)
    if later:
        named.insert(0, later[-1])
    (name, winner), *losers = named
    return replace(
        fact,
        name=name,
        sources=(replace(winner, wins=True), *(source for _, source in losers)),
        rewritten=rewritten[1] if rewritten else fact.rewritten,
        later=tuple(source for _, source in later),
    )


def _later(readings: HostView, planned: str, right: bool) -> list[tuple[str, ConfigLine]]:
    """What names the host otherwise once systemd has named it, in the order of a boot.

    right: whether the name is the planned one without that. Raises Unreadable where a command may
    do so.
    """
    parameter = name_commands.by_parameter(readings)
    namings = [parameter] if parameter else []
    try:
        namings += name_commands.by_command(readings)
        writes = list(boot_writes.writes(readings, STATIC, boot_writes.Interest(())))
    except Unreadable:
        if right and not namings:
            raise
        writes = []
    others = [naming for naming in namings if naming.name != planned]
    if right and not any(naming.certain for naming in others):
        for naming in others:
            raise Unreadable(
                f"{naming.source} may name the host otherwise after a boot: {naming.source.text}"
            )
        for line in writes:
            raise Unreadable(boot_writes.sentence(line, STATIC))
    return [(n.name, n.source) for n in others if n.certain and n.name is not None]


def _planned(case: Case[HostnameParameters]) -> str:
    if case.host is None or not case.host.in_inventory:
        raise NotApplicable("the inventory does not name this host, so no name is planned for it")
    return case.host.name


def _arguments(readings: HostView) -> list[tuple[str, ConfigLine]]:
    """`systemd.hostname=` of the current and the next boot; the last one on a line counts."""
    found = []
    for file in readings.files(ARGUMENTS, *NEXT_ARGUMENTS):
        for number, line in enumerate(file.lines, 1):
            if line.lstrip(BLANKS).startswith("#"):
                continue
            for name in re.findall(r"(?:^|[\s\"'=])systemd\.hostname=([^\s\"']+)", line, re.ASCII)[
                -1:
            ]:
                if valid(name):
                    source = ConfigLine(
                        file.path, number, f"systemd.hostname={name}", changed=file.changed
                    )
                    found.append((name, source))
    return found


def _etc_hostname(readings: HostView) -> tuple[str, ConfigLine] | None:
    """The name in the line that is read, cleaned, and that line; None if it is not valid."""
    source = _first_line(readings)
    name = cleaned(source.text) if source else ""
    return (name, source) if source and valid(name) else None


def _first_line(readings: HostView) -> ConfigLine | None:
    """The first line that is neither blank nor a comment."""
    file = readings.file(STATIC)
    if file is None or file.kind != "f":
        return None
    for number, line in enumerate(file.lines, 1):
        text = line.strip(" \t\r\n")
        if text and not text.startswith("#"):
            return ConfigLine(STATIC, number, text, changed=file.changed)
    return None


def cleaned(text: str) -> str:
    """As systemd's hostname_cleanup(): invalid characters are dropped, not the line.

    Raises Unreadable for an underscore, which older releases keep and newer ones drop.
    """
    if "_" in text:
        raise Unreadable(f"{STATIC}: systemd's releases differ about the underscore in {text!r}")
    kept = ""
    for char in text:
        if len(kept) == LONGEST:
            break
        if char == ".":
            kept += char if kept and kept[-1] not in ".-" else ""
        elif char == "-":
            kept += char if kept and kept[-1] != "." else ""
        elif char.isascii() and char.isalnum():
            kept += char
    return kept[:-1] if kept.endswith((".", "-")) else kept


def valid(name: str) -> bool:
    """As systemd's hostname_is_valid(), except for a trailing dot, which that function drops."""
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    return len(name) <= LONGEST and bool(re.fullmatch(rf"{label}(?:\.{label})*", name))


def _rewritten(readings: HostView, name: str, planned: str) -> tuple[str, ConfigLine] | None:
    """The name that cloud-init writes at boot, where it still manages the file.

    It keeps the name with preserve_hostname, and where the file no longer has the name that it
    wrote. A name from the cloud's metadata was written at the current boot already; one in the
    configuration may be newer than that.
    """
    if not cloud_init.runs_at_boot(readings):
        return None
    preserve = cloud_init.setting(readings, "preserve_hostname")
    if preserve and preserve[0].lower() in cloud_init.TRUE:
        return None
    if not cloud_init.module_runs(readings, "update_hostname"):
        return None
    written = readings.file(WRITTEN_BY_CLOUD_INIT)
    last = written.lines[0].strip(BLANKS) if written and written.lines else ""
    if last != name:
        return None
    settings = [s for k in ("hostname", "fqdn") if (s := cloud_init.setting(readings, k))]
    if not settings or any(value in (name, planned) for value, _ in settings):
        return None
    value, source = settings[0]
    return value, replace(source, note="cloud-init writes it at boot")


def _rewriting(readings: HostView, planned: str) -> tuple[ConfigLine | None, ConfigLine | None]:
    """The line that will overwrite the planned name in the file, and the line that allows it."""
    try:
        rewritten = _rewritten(readings, planned, planned)
        preserve = cloud_init.setting(readings, "preserve_hostname")
    except Unreadable:
        return None, None
    return rewritten[1] if rewritten else None, preserve[1] if preserve else None


def _pretty(readings: HostView) -> str | None:
    file = readings.file(INFO)
    for line in file.lines if file else ():
        if line.strip(BLANKS).startswith("PRETTY_HOSTNAME="):
            return line.strip(BLANKS).partition("=")[2].strip("\"'") or None
    return None
