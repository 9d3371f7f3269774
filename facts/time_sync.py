"""Time synchronization: which program sets the clock, whether it has the time from a source now,
and whether a boot starts it with a source.

Sources: chronyc(1) (tracking, sources), chronyd(8) (-x); systemd-timesyncd.service(8)
(/run/systemd/timesync/synchronized), timesyncd.conf(5), timedatectl(1); ntpq(8) (rv, peers);
ntpctl(8); systemctl(1), systemd.unit(5) (Alias=, masks); capabilities(7) (CAP_SYS_TIME).

A program's own report is used and not the kernel's flag (NTPSynchronized of timedatectl): that
stays set for hours without a source, and a container has the machine's. chronyd's offset is true
with -x too, where chronyd only measures. timesyncd reports no offset: it steps the clock at 0.4 s.

Not covered: PTP without chronyd, tools of a hypervisor that set the clock, and dependencies in
drop-ins that keep an enabled unit from starting.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from posixpath import basename

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_target,
    boot_writes,
    private_files,
    service_commands,
    systemd_units,
    time_sources,
    time_status,
    unit_settings,
)
from facts.parsers.probe_prelude import PRELUDE
from facts.parsers.time_configuration import (
    NAMES,
    OPTIONS,
    UNITS,
    Program,
    configured_sources,
    ends_at_once,
)
from facts.parsers.time_status import ClockStatus
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
from hale.shell import arguments, script_with

# What parses a program's report, of the probe's lines.
STATUS: Mapping[Program, Callable[[Sequence[str]], ClockStatus]] = {
    "chrony": time_status.chrony_status,
    "systemd-timesyncd": time_status.timesyncd_status,
    "ntp": time_status.ntp_status,
    "openntpd": time_status.openntpd_status,
}
CAP_SYS_TIME = 1 << 25
RUNNING = ("active", "reloading", "activating")
SHOWN = ("Id", "LoadState", "ActiveState", "UnitFileState")


class TimeSyncParameters(Struct, frozen=True):
    """The accepted programs; how far the clock may be off, in seconds; and how long ago timesyncd,
    which reports no offset, may have set it, in seconds."""

    programs: tuple[Program, ...]
    max_offset_seconds: float
    max_age_seconds: float


class TimeSyncRuntime(Struct, frozen=True):
    """Which programs set the clock, and what the one reports if there is exactly one.

    running: units, and processes outside of them. program: empty unless exactly one runs.
    problem: why the clock is not synchronized, empty where it is. offset_seconds, age_seconds:
    the distance from the source's time and the time since the last synchronization, None where
    the program does not report it.
    unit, active, enabled: the only unit that is installed, empty where there are several, and its
    states; active is systemd's LoadState where it cannot load the unit. mask: the path of its mask.
    clock_offset: how far the clock is ahead of the operator's, in seconds, None where that is
    unknown.
    """

    running: tuple[str, ...]
    program: str = ""
    problem: str = ""
    source: str = ""
    offset_seconds: float | None = None
    age_seconds: float | None = None
    unit: str = ""
    active: str = ""
    enabled: str = ""
    mask: str = ""
    clock_offset: float | None = None
    installed: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if not self.running:
            if not self.installed:
                return "no program that synchronizes the clock is installed"
            return f"no program synchronizes the clock: {', '.join(self.installed)}"
        if len(self.running) > 1:
            return f"more than one program sets the clock: {', '.join(self.running)}"
        if self.problem:
            return f"{self.running[0]} runs, and the clock is not synchronized: {self.problem}"
        text = f"{self.running[0]} synchronizes the clock with {self.source}"
        if self.offset_seconds is not None:
            text += f", from which it is {abs(self.offset_seconds):.1f} s off"
        if self.age_seconds is not None:
            text += f", the last time {_rounded(self.age_seconds)} ago"
        return text

    @property
    def settled(self) -> str:
        """The program, without the server of a pool that it has chosen, offset and age."""
        if len(self.running) == 1 and not self.problem:
            return f"{self.running[0]} synchronizes the clock"
        return self.actual


class TimeSyncPersisted(Struct, frozen=True):
    """What a boot starts, and the sources that its configuration names.

    enabled: the units that a boot starts. program: of the only one, empty otherwise.
    states: each installed unit that a boot does not start, in words. unit: the only one that is
    installed, empty where there are several. unit_file: its file. mask: the path of its mask.
    links: what `systemctl enable` would link to that file, empty where that is unknown.
    """

    enabled: tuple[str, ...]
    program: str = ""
    problem: str = ""
    states: tuple[str, ...] = ()
    unit: str = ""
    unit_file: str = ""
    mask: str = ""
    links: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if not self.enabled:
            states = ", ".join(self.states) or "none is installed"
            return f"a boot starts no program that synchronizes the clock: {states}"
        if len(self.enabled) > 1:
            return f"a boot starts more than one program: {', '.join(self.enabled)}"
        if self.problem:
            return f"{self.enabled[0]} starts at boot, and {self.problem}"
        named = "; ".join(f"{line} {line.text}" for line in self.sources)
        return f"{self.enabled[0]} starts at boot, with the sources of {named}"


def probes(host: Host, cases: Sequence[Case[TimeSyncParameters]]) -> tuple[Probe, ...]:
    """Unit files and links, configurations, and what systemd and the running program report."""
    return (
        FileProbe(
            *(p for unit in UNITS for p in systemd_units.file_patterns(unit)),
            *(p for unit in UNITS for p in systemd_units.dropin_patterns(unit)),
            *(p for unit in UNITS for p in unit_settings.patterns(unit)),
            *OPTIONS,
            *boot_target.FILES,
            *time_sources.PATTERNS,
        ),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("state", _script(), timeout=20),
    )


def _script() -> str:
    units = {p: " ".join(u for u in UNITS if UNITS[u] == p) for p in UNITS.values()}
    script = script_with(
        Path(__file__).with_suffix(".sh"),
        shown=",".join(SHOWN),
        chrony=units["chrony"],
        timesyncd=units["systemd-timesyncd"],
        ntp=units["ntp"],
        openntpd=units["openntpd"],
    )
    return PRELUDE + private_files.SHELL + arguments(*UNITS) + script


# --- now ---


def read_runtime(readings: HostView, case: Case[TimeSyncParameters]) -> TimeSyncRuntime:
    """What systemd and the running program report.

    Raises Unreadable where systemd does not report, or the only program that runs does not.
    """
    lines = readings.output("state").lines
    units = _units(lines)
    if any(state["LoadState"] == "error" for state in units.values()):
        # An alias of a masked unit is its link still, which systemd cannot load.
        units = {unit: state for unit, state in units.items() if unit not in _aliases(readings)}
    if not lines[-1:] or not re.fullmatch(r"now \d{1,15}", lines[-1], re.ASCII):
        raise Unreadable("the output of systemctl and of the programs is incomplete")
    running = {u: state for u, state in units.items() if state["ActiveState"] in RUNNING}
    names = [
        unit if state["ActiveState"] == "active" else f"{unit} ({state['ActiveState']})"
        for unit, state in running.items()
    ]
    others = _other_processes(lines, list(running))
    fact = TimeSyncRuntime((*names, *others))
    if others:
        return replace(fact, problem="systemd started it by no unit that is known here")
    if len(running) > 1:
        return fact
    if not running:
        return _stopped(readings, fact, units)
    [unit] = running
    program = UNITS[unit]
    fact = replace(fact, program=program)
    return _with_status(fact, STATUS[program](lines))


def _with_status(fact: TimeSyncRuntime, status: ClockStatus) -> TimeSyncRuntime:
    return replace(
        fact,
        problem=status.problem,
        source=status.source,
        offset_seconds=status.offset_seconds,
        age_seconds=status.age_seconds,
    )


def _units(lines: Sequence[str]) -> dict[str, dict[str, str]]:
    """systemd's properties of each unit that is installed or runs, by its own name, not an alias.

    Raises Unreadable where a unit has no state.
    """
    blocks: list[dict[str, str]] = [{}]
    for line in lines:
        name, equals, value = line.partition("=")
        if not line:
            blocks.append({})
        elif equals and name in SHOWN:
            blocks[-1][name] = value
    found: dict[str, dict[str, str]] = {}
    blocks = [block for block in blocks if block]
    if len(blocks) != len(UNITS):
        raise Unreadable(f"systemctl show reports {len(blocks)} units of {len(UNITS)}")
    for block in blocks:
        if not all(block.get(name) for name in SHOWN[:3]):
            raise Unreadable(f"systemctl show reports no state of {block.get('Id', 'a unit')}")
        if block["LoadState"] == "not-found" and block["ActiveState"] not in RUNNING:
            continue
        if block["Id"] not in UNITS:
            raise Unreadable(f"{block['Id']}, of which a time program is an alias, is not known")
        found[block["Id"]] = block
    return found


def _other_processes(lines: Sequence[str], units: Sequence[str]) -> list[str]:
    """Processes of a time program outside of these units that may set the clock."""
    found = []
    for line in lines:
        if process := re.fullmatch(r"process (\d+) (\S+) ([0-9a-f]+) (.*)", line, re.ASCII):
            pid, name, capabilities, groups = process.groups()
            if not int(capabilities, 16) & CAP_SYS_TIME:
                continue
            if not any(f"/{unit}" in groups for unit in units):
                found.append(f"{name} (process {pid}, of no such unit)")
    return found


def _stopped(
    readings: HostView, fact: TimeSyncRuntime, units: Mapping[str, Mapping[str, str]]
) -> TimeSyncRuntime:
    states = tuple(f"{unit} is {_state(state)}" for unit, state in units.items())
    fact = replace(fact, installed=states)
    if len(units) != 1:
        return fact
    [(unit, state)] = units.items()
    mask = systemd_units.mask(readings, unit)
    if _package_file(readings, unit) is None or (mask and not mask.masked):
        return fact  # nothing to start, or an empty file in the place of a mask
    try:
        offset = readings.clock_offset
    except Unreadable:
        offset = None
    loads = state["LoadState"] in ("loaded", "masked")
    return replace(
        fact,
        unit=unit,
        active=state["ActiveState"] if loads else state["LoadState"],
        enabled=state.get("UnitFileState", ""),
        mask=mask.path if mask else "",
        clock_offset=offset,
    )


def _state(state: Mapping[str, str]) -> str:
    load = state["LoadState"]
    return state["ActiveState"] + (f" ({load})" if load != "loaded" else "")


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


# --- after a boot ---


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[TimeSyncParameters]) -> TimeSyncPersisted:
    """What a boot starts, by unit files and links, and the sources of its configuration.

    Raises Unreadable where a file could not be read, or sources may be named elsewhere.
    """
    aliases = _aliases(readings)
    problems = {
        unit: found
        for unit in UNITS
        if unit not in aliases and (found := _boot_problem(readings, unit, aliases)) is not None
    }
    enabled = tuple(unit for unit, problem in problems.items() if not problem)
    states = tuple(problem for problem in problems.values() if problem)
    if len(enabled) != 1:
        fact = TimeSyncPersisted(enabled, states=states)
        if enabled or len(problems) != 1:
            return fact
        [unit] = problems
        return _only_installed(readings, fact, unit)
    [unit] = enabled
    if why := unit_settings.not_run(readings, unit, NAMES[UNITS[unit]]):
        return TimeSyncPersisted((), states=(why,))
    if why := ends_at_once(readings, unit):
        return TimeSyncPersisted((), states=(why,))
    configured = configured_sources(readings, unit)
    problem = ""
    if not configured.lines:
        if configured.unread:
            raise Unreadable(f"{unit} starts at boot; " + "; ".join(configured.unread))
        problem = "its configuration names no source"
    if not problem:
        aliased = [name for name, target in aliases.items() if target == unit]
        others = [*aliased, *(n.removesuffix(".service") for n in aliased), NAMES[UNITS[unit]]]
        if limit := unit_settings.clock_confined_by_site(readings, unit):
            raise Unreadable(
                f"{limit} has {limit.text}: whether {unit} starts then, and may set the clock, is "
                f"not known (`systemctl cat {unit}`)"
            )
        service_commands.refuse_stops(readings, unit, others=others, clock=True)
        boot_writes.refuse_files(readings, [line.path for line in configured.lines])
        _refuse_second(readings, [other for other in problems if other != unit], unit)
    lines = tuple(replace(line, wins=True) for line in configured.lines)
    return TimeSyncPersisted(enabled, UNITS[unit], problem, states, sources=lines)


def _refuse_second(readings: HostView, others: Sequence[str], unit: str) -> None:
    """Raises Unreadable where a command of a boot may start one of the other time programs."""
    for other in others:
        for line in service_commands.starting(readings, other):
            raise Unreadable(
                f"{line} may start {other} beside {unit} after a boot ({line.text[:120]})"
            )


def _aliases(readings: HostView) -> dict[str, str]:
    """Names that are links to a unit of another name: Debian's chronyd.service is one."""
    found = {}
    for name in UNITS:
        file = systemd_units.in_force(readings, name).get(name)
        target = basename(file.target) if file and file.target else name
        if target != name and target != "null":
            found[name] = target
    return found


def _boot_problem(readings: HostView, unit: str, aliases: Mapping[str, str]) -> str | None:
    """Why a boot does not start it; empty where it does, None where it is not installed."""
    if unit not in systemd_units.in_force(readings, unit):
        return None
    others = [name for name, target in aliases.items() if target == unit]
    problems = boot_target.boot_problems(readings, unit)
    if systemd_units.mask(readings, unit) and not _package_file(readings, unit):
        return None  # the mask of a unit that is not installed
    if not problems or systemd_units.mask(readings, unit):
        return "; ".join(problems)
    if systemd_units.pull_links(readings, unit):
        return "; ".join(problems)
    if not any(systemd_units.pull_links(readings, name) for name in others):
        return f"{unit} is disabled"
    line = boot_target.obstacle(readings)
    return f"{unit} does not start at boot: {boot_target.sentence(line)}" if line else ""


def _package_file(readings: HostView, unit: str) -> File | None:
    """The unit's own file below a mask."""
    files = readings.files(*systemd_units.file_patterns(unit))
    return next((file for file in files if not systemd_units.masked(file)), None)


def _only_installed(readings: HostView, fact: TimeSyncPersisted, unit: str) -> TimeSyncPersisted:
    file = _package_file(readings, unit)
    mask = systemd_units.mask(readings, unit)
    if file is None or (mask and not mask.masked) or boot_target.obstacle(readings):
        return fact
    with suppress(Unreadable):
        if boot_target.masked_by_argument(readings, unit):
            return fact
    links: tuple[str, ...] = ()
    if not systemd_units.pull_links(readings, unit):
        links = systemd_units.install_links(file, unit)
        if not links:
            return fact
    elif not mask:
        return fact  # what pulls it in is not started, or its command is another
    return replace(
        fact, unit=unit, unit_file=file.path, mask=mask.path if mask else "", links=links
    )
