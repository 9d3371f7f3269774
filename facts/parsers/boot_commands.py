"""Commands that a boot runs beside its services: those of units, and of scripts that these name.

Not a subject. Read are units that a folder of links pulls in (or the timer, path or socket of their
name), their drop-ins, the scripts in their commands, rc.local, `@reboot` of cron, and cloud-init's
bootcmd and scripts of each boot. A script that one of these scripts runs is not read, and neither
is a program that is no text.

Sources: systemd.service(5), "COMMAND LINES"; crontab(5); cloud-init's "Bootcmd" and "Scripts
Per Boot".
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
_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
_LINE = re.compile(r"(/[^:]*):(\d+):(.*)", re.ASCII)
_EXEC = re.compile(r"[ \t]*Exec(?:Condition|StartPre|Start|StartPost)[ \t]*=[-@:+!]*(.*)")
_KEY = re.compile(r"[ \t]*[A-Z][A-Za-z]*[ \t]*=")
_ASSIGNED = re.compile(r"""(?:^|[\s;"'])(?:export\s+)?([A-Za-z_]\w*)=["']?([^\s"';]+)""", re.ASCII)
_ENVIRONMENT = re.compile(r"[ \t]*Environment[ \t]*=")
_UNITS = (".service", ".conf")
_CRONTABS = ("/etc/crontab", "/etc/cron.d/", "/var/spool/cron/")


class BootCommand(Struct, frozen=True):
    """A line with commands. certain: a boot runs it; lines of scripts may have conditions.

    values: the variables that lines of the same file set, if they were read.
    """

    source: ConfigLine
    text: str
    certain: bool
    values: Mapping[str, str] = {}


def probe(pattern: str) -> CommandProbe:
    """The lines that match; the pattern is an extended regular expression of grep(1)."""
    return CommandProbe(NAME, UNSEEN + arguments(pattern) + _SCRIPT)


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
            yield BootCommand(
                source, command, unit or path.startswith(_CRONTABS), values.get(path, {})
            )
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
        return text.partition("@reboot")[2]
    return text


def _bootcmd(readings: HostView, pattern: str) -> Iterator[BootCommand]:
    if not cloud_init.runs_at_boot(readings):
        return
    for source, command in cloud_init.boot_commands(readings):
        if re.search(pattern, command, re.ASCII):
            yield BootCommand(source, command, True)
