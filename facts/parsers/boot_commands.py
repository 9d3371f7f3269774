"""Commands that a boot runs beside its services: those of units, and of scripts that these name.

Not a subject. Read are units that a folder of links pulls in (or a timer, path or socket), what the
site's own of them pull in by Wants= and its like, their drop-ins, the scripts in their commands,
rc.local, cron, udev's rules of the site, commands and scripts of ifupdown, commands of wg-quick,
dispatcher scripts,
generators of the site, and cloud-init's bootcmd, boothooks and scripts of each boot; and the site's
own scripts that one of these scripts names. A program that is no text is not read.

A line of cron counts whatever its schedule: what it sets is set some time after a boot.

Paths below /etc and /proc/sys are written out (facts/parsers/script_paths.py), and scripts are
found by other names than their paths too (script_names.sh): after cd, by run-parts, and in
/usr/local/bin.

Sources: systemd.service(5), "COMMAND LINES"; systemd.timer(5), Unit=; crontab(5), anacrontab(5);
udev(7), RUN; interfaces(5), "IFACE OPTIONS"; NetworkManager-dispatcher(8); systemd.generator(7);
systemd-sysv-generator(8); wg-quick(8) (PreUp, PostUp); fstab(5), systemd.mount(5) (nofail, noauto,
_netdev, x-systemd.requires=); cloud-init's "Bootcmd" and "Scripts Per Boot".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers import cloud_init, exec_resets, idle_interfaces, script_paths
from facts.parsers.blanks import BLANKS, split_lines
from facts.parsers.idle_interfaces import FileLine
from facts.parsers.unseen import UNSEEN
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    Probe,
    Unreadable,
)
from hale.model.requirement import Aspect, Case
from hale.shell import load_script

NAME = "boot_commands"
# The lines that are read, for all subjects together: a host looks for them once.
_PROGRAMS = (
    "swapon|ip|ifconfig|ifup|ifdown|hostname|hostnamectl|firewalld|nft|ufw|netfilter-persistent"
    "|setenforce"
    "|ip6?tables(-nft|-legacy)?(-restore|-apply)?"
    "|shorewall6?(-lite)?|ferm|firehol|csf|arno-iptables-firewall"
)
_COPIES = "cp|mv|ln|install|rsync|tar|mount"
_EDITORS = f"tee|sed|perl|rm|dd|truncate|patch|ed|ex|{_COPIES}"
_BEFORE, _END = "(^|[^A-Za-z0-9_.-])", "([^A-Za-z0-9_.-]|$)"
LINES = (
    f"{_BEFORE}({_PROGRAMS})([^A-Za-z0-9_-]|$)"
    "|systemctl[\"',]*[[:blank:]].*(start|isolate|enable|stop|disable|mask|kill|--now)"
    f"|{_BEFORE}(service|invoke-rc[.]d|update-rc[.]d|chkconfig|timedatectl|pkill|killall)[\"',]*[[:blank:]]"
    "|/init[.]d/[A-Za-z0-9_.-]+[\"']?[[:blank:]]"
    f"|{_BEFORE}kill[[:blank:]].*([$][(]|`)"
    "|^[[:blank:]]*Conflicts[[:blank:]]*=.*[.]service"
    f"|{exec_resets.LINES}|{idle_interfaces.LINES}"
    "|[A-Za-z0-9_]=[\"']?[0-9a-fA-F]*[.:]"
    "|/etc/host(s|name)([^A-Za-z0-9_./-]|$)|kernel[./]hostname"
    "|/etc/(fstab|sysctl|security/limits|modules|modprobe[.]d)"
    f"|{script_paths.FOLDERS}"
    # What is copied into a folder, and what is written in the present one.
    f"|{_BEFORE}({_COPIES})[[:blank:]].*[[:blank:]=\"']/(etc(/[a-z.-]*)*)?[\"']?([[:blank:];|&)]|$)"
    f"|(>|{_BEFORE}({_EDITORS})[[:blank:]])(.*[^A-Za-z0-9_.-])?"
    f"(fstab|hosts|hostname|modules|interfaces|selinux/config|[A-Za-z0-9_-]+[.](conf|cfg|ya?ml)){_END}"
)
_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
NAMES = load_script(Path(__file__).with_name("script_names.sh"))
_LINE = re.compile(r"(/[^:]*):(\d+):(.*)", re.ASCII)
_EXEC = re.compile(r"[ \t]*Exec(?:Condition|StartPre|Start|StartPost)[ \t]*=[-@:+!]*(.*)")
_EXEC_STOP = re.compile(r"[ \t]*ExecStop(?:Post)?[ \t]*=[-@:+!]*(.*)")
_KEY = re.compile(r"[ \t]*[A-Z][A-Za-z]*[ \t]*=")
_ASSIGNED = re.compile(r"""(?:^|[\s;"'])(?:export\s+)?([A-Za-z_]\w*)=["']?([^\s"';]+)""", re.ASCII)
_ENVIRONMENT = re.compile(r"[ \t]*Environment[ \t]*=")
_UNITS = (".service", ".conf")
_CRONTABS = ("/etc/crontab", "/etc/cron.d/", "/var/spool/cron/")
_SCHEDULE = re.compile(r"\s*(?:@\w+|(?:[\w*,/~-]+\s+){5})\s*(.*)", re.ASCII)
_ANACRONTAB = "/etc/anacrontab"
_ANACRON = re.compile(r"[ \t]*(?:@?\w+)[ \t]+\d+[ \t]+\S+[ \t]+(.*)", re.ASCII)
_INTERFACES = ("/etc/network/interfaces",)
_AS_IT_COMES_UP = re.compile(r"[ \t]*(?:pre-|post-)?up[ \t]+(.*)")
_RULES = ("/etc/udev/rules.d/",)
_FSTAB = "/etc/fstab"
_WIREGUARD = "/etc/wireguard/"
_AS_A_TUNNEL_COMES_UP = re.compile(
    r"[ \t]*(?:Pre|Post)Up[ \t]*=[ \t]*(.*)", re.ASCII | re.IGNORECASE
)
_RUN = re.compile(r'RUN(?:\{program\})?[ \t]*\+?:?=[ \t]*e?"([^"]*)"')


class BootCommand(Struct, frozen=True):
    """A line with commands. certain: a boot runs it; lines of scripts may have conditions.

    values: the variables that lines of the same file set, if they were read. when: in words, when
    it runs.
    """

    source: ConfigLine
    text: str
    certain: bool
    values: Mapping[str, str] = {}
    when: str = "at boot"


def probe(*more: str) -> CommandProbe:
    """The lines of LINES, and those that match more patterns: extended regular expressions."""
    return CommandProbe(NAME, UNSEEN + NAMES + _SCRIPT, lines=(LINES, *more))


def probes(cases: Iterable[Case[Any]]) -> tuple[Probe, ...]:
    """What `commands` reads, where a case is about the next boot."""
    if not any(case.aspect is Aspect.PERSISTED for case in cases):
        return ()
    return (probe(), FileProbe(*cloud_init.FILES))


def commands(readings: HostView, pattern: str, *, stopping: bool = False) -> Iterator[BootCommand]:
    """The lines that match the pattern, now one of Python. The probes must have cloud_init.FILES.

    stopping: also what units run as they stop, which a reboot does before the boot.
    Raises Unreadable.
    """
    read, values = _read(readings.output(NAME).text)
    scripts = cloud_init.module_always(readings, "scripts_user")
    for path, number, text, command, unit in read:
        if path.startswith(cloud_init.SCRIPTS) and not scripts:
            continue
        if stopping and unit and (stops := _EXEC_STOP.match(text)):
            command = stops[1]
        if command and re.search(pattern, command, re.ASCII):
            source = ConfigLine(path, number, text.strip(BLANKS))
            certain = unit or path.startswith((*_CRONTABS, *_INTERFACES, _WIREGUARD))
            scheduled = path.startswith(_CRONTABS) and "@reboot" not in text
            when = "on its schedule" if scheduled else "at boot"
            yield BootCommand(source, command, certain, values.get(path, {}), when)
    yield from _bootcmd(readings, pattern)


def missing_mount(readings: HostView) -> ConfigLine | None:
    """A line of fstab whose source is not there, and that is neither `nofail` nor `noauto`: its
    source, folder and type as text. Raises Unreadable."""
    read, _ = _read(readings.output(NAME).text)
    return next(
        (ConfigLine(path, number, text) for path, number, text, *_ in read if path == _FSTAB), None
    )


def settings(readings: HostView, key: str) -> Iterator[tuple[ConfigLine, str]]:
    """The lines of units that a boot starts with this setting, and its value. Raises Unreadable.

    Of settings that are no commands LINES has Conflicts= of services alone.
    """
    setting = re.compile(rf"[ \t]*{key}[ \t]*=(.*)")
    read, _ = _read(readings.output(NAME).text)
    for path, number, text, _, unit in read:
        if unit and (found := setting.fullmatch(text)):
            yield ConfigLine(path, number, text.strip(BLANKS)), found[1].strip(BLANKS)


@lru_cache(maxsize=64)  # several subjects read them
def _read(
    output: str,
) -> tuple[tuple[tuple[str, int, str, str, bool], ...], Mapping[str, Mapping[str, str]]]:
    """Each line: its file, number, text, its commands with paths written out, and whether the file
    is one of a unit. And the variables that each file sets. Raises Unreadable."""
    read: list[tuple[str, int, str]] = []
    for line in split_lines(output):
        found = _LINE.fullmatch(line)
        if found is None:
            raise Unreadable(f"{NAME}: {line!r} is not a line of a file")
        read.append((found[1], int(found[2]), found[3]))
    read = exec_resets.without(read, lambda line: line)
    idle = idle_interfaces.idle_lines([FileLine(*line) for line in read])
    read = [line for line in read if line[:2] not in idle]
    every = []
    allowed = script_paths.allowance()
    for path, of_file in groupby(read, key=lambda line: line[0]):
        own = list(of_file)
        unit = path.endswith(_UNITS) and not path.startswith(_WIREGUARD)
        unit = unit or "/systemd/generator" in path
        texts = script_paths.absolute((text for _, _, text in own), allowed)
        for (_, number, text), named in zip(own, texts, strict=True):
            every.append((path, number, text, _command(path, named, unit), unit))
    values: dict[str, dict[str, str]] = {}
    for path, _, text in read:
        if text.lstrip(BLANKS)[:1] not in ("#", ";"):
            assigned = _ASSIGNED.findall(_ENVIRONMENT.sub("", text, count=1))
            values.setdefault(path, {}).update(assigned)
    return tuple(every), values


def _command(path: str, text: str, unit: bool) -> str:
    """The commands in a line; empty for a comment, and for another setting of a unit."""
    if text.lstrip(BLANKS)[:1] in ("#", ";", "") or path == _FSTAB:
        return ""
    if unit:
        if found := _EXEC.match(text):
            return found[1].replace("%%", "%")
        return "" if _KEY.match(text) else text  # the rest of a continued line
    if path == _ANACRONTAB:
        return found[1] if (found := _ANACRON.fullmatch(text)) else ""
    if path.startswith(_CRONTABS):
        return found[1] if (found := _SCHEDULE.fullmatch(text)) else ""
    if path.startswith(_INTERFACES):
        return found[1] if (found := _AS_IT_COMES_UP.fullmatch(text)) else ""
    if path.startswith(_WIREGUARD):
        return found[1] if (found := _AS_A_TUNNEL_COMES_UP.fullmatch(text)) else ""
    if path.startswith(_RULES):
        return "; ".join(_RUN.findall(text))
    return text


def _bootcmd(readings: HostView, pattern: str) -> Iterator[BootCommand]:
    every = list(cloud_init.boot_commands(readings))
    texts = script_paths.absolute((c for _, c in every), script_paths.allowance())
    for (source, _), command in zip(every, texts, strict=True):
        if re.search(pattern, command, re.ASCII):
            yield BootCommand(source, command, True)
