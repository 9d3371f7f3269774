"""Commands that a boot runs beside its services: those of units, and of scripts that these name.

Not a subject. Read are units that a folder of links pulls in (or a timer, path or socket), what the
site's own of them pull in by Wants= and its like, their drop-ins, the scripts in their commands,
rc.local, cron, udev's rules of the site, commands and scripts of ifupdown, dispatcher scripts,
generators of the site, and cloud-init's bootcmd and scripts of each boot; and the site's own
scripts that one of these scripts names. A program that is no text is not read.

A line of cron counts whatever its schedule: what it sets is set some time after a boot.

Sources: systemd.service(5), "COMMAND LINES"; systemd.timer(5), Unit=; crontab(5); udev(7), RUN;
interfaces(5), "IFACE OPTIONS"; NetworkManager-dispatcher(8); systemd.generator(7); cloud-init's
"Bootcmd" and "Scripts Per Boot".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from facts.parsers import cloud_init
from facts.parsers.blanks import BLANKS
from facts.parsers.unseen import UNSEEN
from hale.model.evidence import CommandProbe, ConfigLine, HostView, Unreadable
from hale.shell import arguments, load_script

NAME = "boot_commands"
# The lines that are read, for all subjects together: a host looks for them once.
_PROGRAMS = (
    "swapon|ip|ifconfig|ifup|ifdown|hostname|hostnamectl|firewalld|nft"
    "|ip6?tables(-nft|-legacy)?(-restore|-apply)?"
)
LINES = (
    f"(^|[^A-Za-z0-9_.-])({_PROGRAMS})([^A-Za-z0-9_-]|$)"
    r"|systemctl[ \t].*(start|isolate|--now).*(swap|zram)"
    r"|[A-Za-z0-9_]=[\"']?[0-9a-fA-F]*[.:]"
    "|/etc/host(s|name)([^A-Za-z0-9_./-]|$)|kernel[./]hostname"
)
_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
_LINE = re.compile(r"(/[^:]*):(\d+):(.*)", re.ASCII)
_EXEC = re.compile(r"[ \t]*Exec(?:Condition|StartPre|Start|StartPost)[ \t]*=[-@:+!]*(.*)")
_KEY = re.compile(r"[ \t]*[A-Z][A-Za-z]*[ \t]*=")
_ASSIGNED = re.compile(r"""(?:^|[\s;"'])(?:export\s+)?([A-Za-z_]\w*)=["']?([^\s"';]+)""", re.ASCII)
_ENVIRONMENT = re.compile(r"[ \t]*Environment[ \t]*=")
_UNITS = (".service", ".conf")
_CRONTABS = ("/etc/crontab", "/etc/cron.d/", "/var/spool/cron/")
_SCHEDULE = re.compile(r"\s*(?:@\w+|(?:[\w*,/~-]+\s+){5})\s*(.*)", re.ASCII)
_INTERFACES = ("/etc/network/interfaces",)
_AS_IT_COMES_UP = re.compile(r"[ \t]*(?:pre-|post-)?up[ \t]+(.*)")
_RULES = ("/etc/udev/rules.d/",)
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
    return CommandProbe(NAME, UNSEEN + arguments("|".join((LINES, *more))) + _SCRIPT)


def commands(readings: HostView, pattern: str) -> Iterator[BootCommand]:
    """The lines that match the pattern, now one of Python. The probes must have cloud_init.FILES.

    Raises Unreadable.
    """
    read: list[tuple[str, int, str]] = []
    for line in readings.output(NAME).lines:
        found = _LINE.fullmatch(line)
        if found is None:
            raise Unreadable(f"{NAME}: {line!r} is not a line of a file")
        read.append((found[1], int(found[2]), found[3]))
    values: dict[str, dict[str, str]] = {}
    for path, _, text in read:
        if text.lstrip(BLANKS)[:1] not in ("#", ";"):
            assigned = _ASSIGNED.findall(_ENVIRONMENT.sub("", text, count=1))
            values.setdefault(path, {}).update(assigned)
    for path, number, text in read:
        unit = path.endswith(_UNITS) or "/systemd/generator" in path
        command = _command(path, text, unit)
        if command and re.search(pattern, command, re.ASCII):
            source = ConfigLine(path, number, text.strip(BLANKS))
            certain = unit or path.startswith((*_CRONTABS, *_INTERFACES))
            scheduled = path.startswith(_CRONTABS) and "@reboot" not in text
            when = "on its schedule" if scheduled else "at boot"
            yield BootCommand(source, command, certain, values.get(path, {}), when)
    yield from _bootcmd(readings, pattern)


def _command(path: str, text: str, unit: bool) -> str:
    """The commands in a line; empty for a comment, and for another setting of a unit."""
    if text.lstrip(BLANKS)[:1] in ("#", ";", ""):
        return ""
    if unit:
        if found := _EXEC.match(text):
            return found[1].replace("%%", "%")
        return "" if _KEY.match(text) else text  # the rest of a continued line
    if path.startswith(_CRONTABS):
        return found[1] if (found := _SCHEDULE.fullmatch(text)) else ""
    if path.startswith(_INTERFACES):
        return found[1] if (found := _AS_IT_COMES_UP.fullmatch(text)) else ""
    if path.startswith(_RULES):
        return "; ".join(_RUN.findall(text))
    return text


def _bootcmd(readings: HostView, pattern: str) -> Iterator[BootCommand]:
    if not cloud_init.runs_at_boot(readings):
        return
    for source, command in cloud_init.boot_commands(readings):
        if re.search(pattern, command, re.ASCII):
            yield BootCommand(source, command, True)
