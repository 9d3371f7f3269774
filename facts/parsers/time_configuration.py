"""The units of the programs that set the clock, and the sources that their configuration names.

Not a subject: facts/time_sync.py uses it. Sources: those of facts/parsers/time_sources.py;
chronyd(8) and ntpd(8) (options that name another configuration, and those with which they end).
"""

import re
from collections.abc import Callable, Mapping
from posixpath import basename
from typing import Literal

from facts.parsers import private_files, systemd_units, time_sources, unit_settings
from facts.parsers.blanks import BLANKS, split_lines, split_words
from facts.parsers.time_sources import TimeSources
from hale.model.evidence import ConfigLine, File, HostView

Program = Literal["chrony", "systemd-timesyncd", "ntp", "openntpd"]

# The units of each program: Debian's and Ubuntu's names, and Red Hat's. Some are aliases of others.
UNITS: Mapping[str, Program] = {
    "chrony.service": "chrony",
    "chronyd.service": "chrony",
    "systemd-timesyncd.service": "systemd-timesyncd",
    "ntpsec.service": "ntp",
    "ntp.service": "ntp",
    "ntpd.service": "ntp",
    "openntpd.service": "openntpd",
}
# What the commands of each program's units name.
NAMES: Mapping[Program, str] = {
    "chrony": "chronyd",
    "systemd-timesyncd": "systemd-timesyncd",
    "ntp": "ntp",
    "openntpd": "ntpd",
}
# Where each reads its sources, if no option says otherwise, and what parses that.
CONFIGURATIONS: Mapping[str, tuple[tuple[str, ...], Callable[[HostView, File], TimeSources]]] = {
    "chrony.service": (("/etc/chrony/chrony.conf",), time_sources.chrony),
    "chronyd.service": (("/etc/chrony.conf",), time_sources.chrony),
    "ntpsec.service": (("/etc/ntpsec/ntp.conf",), time_sources.ntp),
    "ntp.service": (("/etc/ntp.conf",), time_sources.ntp),
    "ntpd.service": (("/etc/ntp.conf",), time_sources.ntp),
    "openntpd.service": (("/etc/openntpd/ntpd.conf", "/etc/ntpd.conf"), time_sources.openntpd),
}
# The options of the packages' units; one may name another configuration (-f, of ntpd -c).
OPTIONS = (
    "/etc/default/chrony",
    "/etc/sysconfig/chronyd",
    "/etc/default/ntpsec",
    "/etc/default/ntp",
    "/etc/sysconfig/ntpd",
    "/etc/default/openntpd",
)

# Options with which a program measures or prints something, and ends.
_ENDS: Mapping[Program, tuple[str, ...]] = {
    "chrony": ("-q", "-Q", "-p", "-h", "--help", "-v", "--version"),
    "systemd-timesyncd": (),
    "ntp": ("-q", "--quit", "-h", "--help", "--version"),
    "openntpd": ("-n",),
}


def ends_at_once(readings: HostView, unit: str) -> str:
    """Why the unit's program does not stay, by an option of its command; empty where it does."""
    program = UNITS[unit]
    for command in unit_settings.commands(unit_settings.files(readings, unit)):
        words = [(command.source, word) for word in command.words]
        for file in readings.files(*OPTIONS):
            if file.kind == "f" and program in _option_programs(file.path):
                words += [
                    (source, word)
                    for source, name, value in unit_settings.variables_of(file)
                    if re.search(rf"\${{?{name}\b", command.text, re.ASCII)
                    for word in split_words(value)
                ]
        for source, word in words:
            if word in _ENDS[program]:
                return f"{source} has {unit} run {NAMES[program]} with {word}, and then it ends"
    return ""


def configured_sources(readings: HostView, unit: str) -> TimeSources:
    """The sources that the unit's configuration names. Raises Unreadable."""
    program = UNITS[unit]
    if program == "systemd-timesyncd":
        server = _server_properties(readings)
        compiled_in = server.get("FallbackNTPServers")
        links = split_words(server.get("LinkNTPServers", ""))
        private = private_files.paths(split_lines(readings.output("state").stdout))
        return time_sources.timesyncd(readings, links, compiled_in, private)
    paths, read = CONFIGURATIONS[unit]
    named = _named_configuration(readings, unit, "c" if program == "ntp" else "f")
    if named and named[1] not in time_sources.PATTERNS:
        return TimeSources((), (f"{named[0]} names a configuration that is not read, {named[1]}",))
    present = readings.files(*((named[1],) if named else paths))
    present = tuple(file for file in present if file.kind == "f")
    if len(present) > 1:
        names = " and ".join(file.path for file in present)
        return TimeSources((), (f"which of {names} it reads is unknown",))
    return read(readings, present[0]) if present else TimeSources(())


def _server_properties(readings: HostView) -> dict[str, str]:
    """timesyncd's servers, empty where it does not run or does not report."""
    output = readings.output("state")
    if output.exit_status:
        return {}
    lines = [
        line.removeprefix("timesyncd: ")
        for line in split_lines(output.stdout)
        if line.startswith("timesyncd: ")
    ]
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _named_configuration(
    readings: HostView, unit: str, option: str
) -> tuple[ConfigLine, str] | None:
    """The configuration that an option of the unit or of its options file names, the last one."""
    units = (*systemd_units.file_patterns(unit), *systemd_units.dropin_patterns(unit))
    found = None
    for file in readings.files(*units, *OPTIONS):
        if file.kind != "f" or systemd_units.masked(file):
            continue
        if file.path in OPTIONS and UNITS[unit] not in _option_programs(file.path):
            continue
        for number, text in enumerate(file.lines, 1):
            if text.lstrip(BLANKS).startswith(("#", ";")):
                continue
            for match in re.finditer(rf"(?:^|[\s\"'=])-{option}\s*([^\s\"']+)", text, re.ASCII):
                if match[1].startswith("/"):
                    found = (ConfigLine(file.path, number, text.strip(BLANKS)), match[1])
    return found


def _option_programs(path: str) -> tuple[Program, ...]:
    name = basename(path)
    if name == "openntpd":
        return ("openntpd",)
    return ("chrony",) if name.startswith("chrony") else ("ntp",)
