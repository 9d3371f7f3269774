"""The VIP's names: their entries in /etc/hosts, and the resolver's answers.

Lines are read as glibc's `files` service reads them: ASCII white space separates fields (a CR too;
a no-break space belongs to its word), `#` ends the line, an invalid address voids it, and names
are case-insensitive. getaddrinfo collects the addresses of all lines with the name, so a second
line adds a second address and is as wrong as a first.

Sources: hosts(5), host.conf(5) (`multi`), nsswitch.conf(5), getent(1); glibc's
nss/nss_files/files-hosts.c; cloud-init's "Update Etc Hosts".
"""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_writes,
    cloud_init,
    kubeadm_membership,
)
from facts.parsers.blanks import BLANKS, lowered, split_words
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import arguments, load_script

HOSTS = "/etc/hosts"
ORDER = "/etc/nsswitch.conf"
PRIVATE = "private"  # a line of the resolver's answer: others than root cannot read HOSTS


class HostsFileParameters(Struct, frozen=True):
    """None: the inventory has the VIP and its names."""


class ResolverAnswer(Struct, frozen=True):
    """The addresses to which the resolver resolves a name; empty where there are none."""

    name: str
    addresses: tuple[str, ...]


class HostsEntry(Struct, frozen=True):
    """A line that must change: its address and names as written, and those it must not have.

    wrong: the VIP's names on another address, a host's own name on the VIP, and the VIP's names
    where an earlier line has them already.
    """

    source: ConfigLine
    address: str
    names: tuple[str, ...]
    wrong: tuple[str, ...]


class HostsFileRuntime(Struct, frozen=True):
    """The resolver's answer for each name. file_right: whether /etc/hosts is correct, None where
    it could not be read, or not by every user."""

    vip: str
    answers: tuple[ResolverAnswer, ...]
    sources: tuple[ConfigLine, ...] = ()
    file_right: bool | None = None

    @property
    def actual(self) -> str:
        text = "; ".join(
            f"{a.name} resolves to {' and '.join(a.addresses) or 'nothing'}" for a in self.answers
        )
        return "; ".join([text, *(f"{s}: {s.text}" for s in self.sources)])


class HostsFilePersisted(Struct, frozen=True):
    """The lines of /etc/hosts that concern the VIP, by their effect.

    counts: for each name, the number of lines that map it to the VIP. contradicting: lines that
    map a name of the VIP to another address, or a host's name to the VIP. rewritten: cloud-init's
    setting, where it regenerates the file at boot. lost: why a boot does not find the file as it
    is now (facts/parsers/boot_files.py). entries: the lines that must change. joined: the evidence
    that the host is in a cluster (facts/parsers/kubeadm_membership.py). private: users other than
    root cannot read it.
    """

    vip: str
    counts: Mapping[str, int]
    contradicting: tuple[ConfigLine, ...] = ()
    rewritten: ConfigLine | None = None
    sources: tuple[ConfigLine, ...] = ()
    entries: tuple[HostsEntry, ...] = ()
    joined: str = ""
    lost: tuple[ConfigLine, ...] = ()
    private: bool = False

    @property
    def right(self) -> bool:
        """Whether the file itself is correct now."""
        return not (self.missing or self.entries)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names that no line maps to the VIP."""
        return tuple(name for name, count in self.counts.items() if not count)

    @property
    def repeated(self) -> tuple[str, ...]:
        """Names that more than one line maps to the VIP."""
        return tuple(name for name, count in self.counts.items() if count > 1)

    @property
    def actual(self) -> str:
        lines = ", ".join(str(s) for s in self.sources if s.wins)
        parts = []
        if mapped := [name for name, count in self.counts.items() if count]:
            parts.append(f"{lines} maps {self.vip} to {' and '.join(mapped)}")
        if self.repeated:
            parts.append(f"more than once: {', '.join(self.repeated)}")
        if self.missing:
            parts.append(f"no line of {HOSTS} maps {self.vip} to {' or '.join(self.missing)}")
        parts += [f"{s} contradicts it: {s.text}" for s in self.contradicting]
        if self.rewritten:
            parts.append(
                f"cloud-init rewrites {HOSTS} at every boot: {self.rewritten} says "
                f"{self.rewritten.text}"
            )
        if self.lost:
            parts.append(boot_files.sentence(self.lost))
        if self.private:
            parts.append(f"users other than root cannot read {HOSTS}, nor can their programs")
        return "; ".join(parts)


def probes(host: Host, cases: Sequence[Case[HostsFileParameters]]) -> tuple[Probe, ...]:
    """The file, what rewrites it, and the resolver's answer for each name.

    The resolver may query name servers that do not answer, so it gets a timeout of a few seconds.
    """
    names = {name: None for case in cases for name in case.inventory.endpoint.names}
    return (
        FileProbe(HOSTS, ORDER, *cloud_init.FILES, *kubeadm_membership.FILES),
        boot_files.PROBE,
        boot_commands.probe(),
        CommandProbe("resolver", _script(tuple(names)), timeout=20, slow=True),
    )


def read_runtime(readings: HostView, case: Case[HostsFileParameters]) -> HostsFileRuntime:
    """The resolver's answers. Raises Unreadable where it could not be queried."""
    found: dict[str, list[str]] = {}
    for line in readings.output("resolver").lines:
        kind, *words = split_words(line) or [""]
        if line == PRIVATE:
            continue
        if kind == "name" and len(words) == 1:
            found[words[0]] = []
        elif kind == "is" and words and found:
            addresses = next(reversed(found.values()))
            if words[0] not in addresses:
                addresses.append(words[0])
        else:
            raise Unreadable(f"the resolver's answer is garbled: {line!r}")
    endpoint = case.inventory.endpoint
    if missing := [name for name in endpoint.names if name not in found]:
        raise Unreadable(f"the resolver was not queried for {', '.join(missing)}")
    return HostsFileRuntime(
        endpoint.vip,
        tuple(
            ResolverAnswer(name, tuple(_plain(a) or a for a in found[name]))
            for name in endpoint.names
        ),
        _order(readings),
        _file_right(readings, case),
    )


def _file_right(readings: HostView, case: Case[HostsFileParameters]) -> bool | None:
    try:
        return _of_file(readings, case).right and not _private(readings)
    except Unreadable:
        return None


def read_persisted(readings: HostView, case: Case[HostsFileParameters]) -> HostsFilePersisted:
    """The file's content, and whether a boot keeps it. Raises Unreadable."""
    fact = _of_file(readings, case)
    if fact.right and not (fact.rewritten or fact.lost):
        if _private(readings):
            return replace(fact, private=True)
        endpoint = case.inventory.endpoint
        words = (endpoint.vip, *map(lowered, endpoint.names))
        boot_writes.refuse(readings, (HOSTS,), boot_writes.Interest(words))
    return fact


def _private(readings: HostView) -> bool:
    return PRIVATE in readings.output("resolver").lines


def _of_file(readings: HostView, case: Case[HostsFileParameters]) -> HostsFilePersisted:
    endpoint = case.inventory.endpoint
    vip = _plain(endpoint.vip)
    wanted = {lowered(name): name for name in endpoint.names}
    hosts = {lowered(host.name) for host in case.inventory.hosts}
    counts = dict.fromkeys(endpoint.names, 0)
    file = readings.file(HOSTS)
    lines: list[ConfigLine] = []
    contradicting: list[ConfigLine] = []
    entries: list[HostsEntry] = []
    for source, address, written, spelled in _lines(file) if file else ():
        names = {lowered(name) for name in spelled}
        meant = [wanted[name] for name in wanted if name in names]
        wrong = set(map(lowered, meant))
        if address == vip:
            wrong = {lowered(n) for n in meant if counts[n]} | names & (hosts - set(wanted))
        if wrong:
            given = tuple(name for name in spelled if lowered(name) in wrong)
            entries.append(HostsEntry(source, written, spelled, given))
        if address == vip:
            for name in meant:
                counts[name] += 1
            if meant:
                lines.append(replace(source, wins=True))
            if names & (hosts - set(wanted)):
                contradicting.append(replace(source, wins=False))
        elif meant:
            contradicting.append(source)
    rewritten = None
    if cloud_init.runs_at_boot(readings):
        managed = cloud_init.setting(readings, "manage_etc_hosts")
        known = managed and managed[0].lower() in (*cloud_init.TRUE, "template")
        if managed and known and cloud_init.module_runs(readings, "update_etc_hosts"):
            rewritten = managed[1]
    lost = boot_files.losses(readings, [file] if file else [])
    losers = (*contradicting, *([rewritten] if rewritten else []), *lost)
    return HostsFilePersisted(
        vip,
        counts,
        tuple(contradicting),
        rewritten,
        (*lines, *losers),
        tuple(entries),
        kubeadm_membership.membership_file(readings),
        lost,
    )


def _lines(file: File) -> list[tuple[ConfigLine, str, str, tuple[str, ...]]]:
    """Lines with an address: line, address (normalized and as written), names."""
    found = []
    for number, line in enumerate(file.lines, 1):
        words = split_words(line.partition("#")[0])
        address = _plain(words[0]) if words else ""
        if address and len(words) > 1:
            source = ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed)
            found.append((source, address, words[0], tuple(words[1:])))
    return found


def _plain(text: str) -> str:
    """The address, normalized; empty if invalid, as glibc treats one with a scope."""
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else ""
    except ValueError:
        return ""


def _order(readings: HostView) -> tuple[ConfigLine, ...]:
    """The `hosts:` line of nsswitch.conf, which sets the order of the sources of names."""
    try:
        file = readings.file(ORDER)
    except Unreadable:  # the answers count, and not who gave them
        return ()
    return tuple(
        ConfigLine(ORDER, number, line.strip(BLANKS), changed=file.changed)
        for number, line in enumerate(file.lines if file else (), 1)
        if line.strip(BLANKS).startswith("hosts:") and file
    )


def _script(names: Sequence[str]) -> str:
    return arguments(*names) + load_script(Path(__file__).with_suffix(".sh"))
