"""A service that must not run: whether it does, and what could start it again.

Sources: systemd.unit(5), systemctl(1); dbus-daemon(1), "activation"; firewalld(1),
firewalld.zone(5), firewalld.direct(5).

A persistent mask is the safe state: nothing starts a masked unit, neither D-Bus nor another
unit; only a command that runs the program itself does. Not covered: configuration management.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import boot_commands, cloud_init, conf_dirs, systemd_units
from facts.parsers.blanks import BLANKS, split_lines, split_words
from facts.parsers.ip_command import commands, program_at
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case
from hale.shell import script_with

BUS_FOLDERS = (
    "/etc/dbus-1/system-services",
    "/run/dbus-1/system-services",
    "/usr/local/share/dbus-1/system-services",
    "/usr/share/dbus-1/system-services",
    "/lib/dbus-1/system-services",
)
# The site's own units are read in full; systemd itself reports what pulls in the vendors' units.
OWN = ("/etc/systemd/system/*.service", "/etc/systemd/system/*/*.conf", "/etc/systemd/system/*.*")
PULLED_BY = ("WantedBy", "RequiredBy", "RequisiteOf", "BoundBy", "UpheldBy", "TriggeredBy")
PULLS = ("Wants", "Requires", "Requisite", "BindsTo", "Upholds", "Unit", "Sockets", "Service")
ENABLED = ("enabled", "linked", "generated", "transient")
# A unit that pulls it in by one of these stops with it, and does not start while it is masked.
NEEDS = ("Requires", "Requisite", "BindsTo")
NEEDED_BY = ("RequiredBy", "RequisiteOf", "BoundBy")
# The folder of masks, and the folder that takes precedence over it.
MASK_FOLDER, STRONGER = "/etc/systemd/system", "/etc/systemd/system.control"
# Files that only a site adds; the packages of Debian and Red Hat install none of them.
SITE_RULES = (
    "/etc/firewalld/direct.xml",
    "/etc/firewalld/zones/*.xml",
    "/etc/firewalld/policies/*.xml",
    "/etc/firewalld/services/*.xml",
    "/etc/firewalld/ipsets/*.xml",
    "/etc/firewalld/helpers/*.xml",
    "/etc/firewalld/icmptypes/*.xml",
)
# The program whose lines every host is searched for.
PROGRAM = "firewalld"
VENDOR_ZONES = "/usr/lib/firewalld/zones/*.xml"


class FirewalldParameters(Struct, frozen=True):
    """The unit, its D-Bus name and its program; and whether the site's own rules, which apply
    only while it runs, may be lost with it."""

    unit: str
    bus_name: str
    program: str
    site_rules_may_go: bool = False


class FirewalldRuntime(Struct, frozen=True):
    """Whether it runs, according to systemd and to the list of processes.

    active, enabled: systemd's states, empty where it reports none. pids: its processes.
    needed_by: units that stop with it. site_rules: files with the site's own rules, or why they
    are unknown.
    """

    running: bool
    actual: str
    sources: tuple[ConfigLine, ...] = ()
    active: str = ""
    enabled: str = ""
    pids: tuple[int, ...] = ()
    needed_by: tuple[str, ...] = ()
    site_rules: tuple[str, ...] = ()


class StartTrigger(Struct, frozen=True):
    """Something that starts the unit after a boot; `line.note` describes it.

    unit: the unit or alias that does so, empty where only the line is known. required: that unit
    fails without this one. runs_program: the program itself is run, which no mask prevents: by
    D-Bus, or (command) by a command of a unit, of cron or of a script.
    """

    line: ConfigLine
    unit: str = ""
    required: bool = False
    runs_program: bool = False
    command: bool = False

    def __str__(self) -> str:
        return f"{self.line} {self.line.note}"


class FirewalldPersisted(Struct, frozen=True):
    """What could start it. state: its state in words: masked, disabled, …

    active, enabled, site_rules: as in FirewalldRuntime. masked_by: the persistent mask. At a
    mask's path: blocking_file, which a mask cannot replace, or link, a link's target, which it can.
    """

    unit: str
    state: str
    start_triggers: tuple[StartTrigger, ...] = ()
    masked_by: ConfigLine | None = None
    active: str = ""
    enabled: str = ""
    site_rules: tuple[str, ...] = ()
    blocking_file: str = ""
    link: str | None = None

    @property
    def sources(self) -> tuple[ConfigLine, ...]:
        lines = [trigger.line for trigger in self.start_triggers]
        lines += [self.masked_by] if self.masked_by else []
        return tuple(replace(line, wins=True) for line in lines)

    @property
    def actual(self) -> str:
        state = f"{self.unit} is {self.state}"
        if not self.start_triggers:
            return state
        return f"{state}: {'; '.join(map(str, self.start_triggers))}"


def probes(host: Host, cases: Sequence[Case[FirewalldParameters]]) -> tuple[Probe, ...]:
    """Unit files and links, D-Bus service files, one `systemctl show`, and the processes."""
    parameters = cases[0].parameters
    unit, program = parameters.unit, parameters.program
    shown = ",".join(("LoadState", "ActiveState", "SubState", "UnitFileState", *PULLED_BY))
    return (
        FileProbe(
            *systemd_units.existence(unit),
            *(f"{folder}/{parameters.bus_name}.service" for folder in BUS_FOLDERS),
            *select(Selection(rf"[[:space:]]*({'|'.join(PULLS)})[[:space:]]*="), *OWN),
            *SITE_RULES,
            VENDOR_ZONES,
            *cloud_init.FILES,
        ),
        boot_commands.probe(*(() if program == PROGRAM else (_named(program),))),
        CommandProbe("unit", f"systemctl show {shlex.quote(unit)} --property={shown}"),
        CommandProbe("processes", _processes(program)),
    )


def _named(program: str) -> str:
    """The lines of a boot's commands that may start it."""
    return f"(^|[^A-Za-z0-9_.-]){re.escape(program)}([^A-Za-z0-9_-]|$)"


def _processes(program: str) -> str:
    """Lists processes that run the program, by itself or in an interpreter.

    The brackets keep the probe's own command line from matching.
    """
    path = f"^/([^ ]*/)?s?bin/[{re.escape(program[:1])}]{re.escape(program[1:])}$"
    return script_with(Path(__file__).with_suffix(".sh"), comm=program[:15], path=path)


def read_runtime(readings: HostView, case: Case[FirewalldParameters]) -> FirewalldRuntime:
    """It runs if it has a process, or if systemd calls it active.

    Raises Unreadable where processes cannot be listed. systemd's state is needed only where there
    is no process: a unit that is starting has none yet.
    """
    fact = _running(readings, case.parameters)
    if not fact.running:
        return fact
    output = readings.output("unit")
    state = _properties(output.stdout) if output.exit_status == 0 else {}
    needed_by = (other for name in NEEDED_BY for other in split_words(state.get(name, "")))
    return replace(
        fact,
        active=state.get("ActiveState", ""),
        enabled=state.get("UnitFileState", ""),
        needed_by=tuple(dict.fromkeys(needed_by)),
        site_rules=site_rules(readings),
    )


def _running(readings: HostView, parameters: FirewalldParameters) -> FirewalldRuntime:
    unit = parameters.unit
    pids = sorted(
        {int(n) for n in re.findall(r"^/proc/(\d+)/", readings.text("processes"), re.M | re.ASCII)}
    )
    output = readings.output("unit")
    state = _properties(output.stdout) if output.exit_status == 0 else {}
    now = f"{state.get('ActiveState')} ({state.get('SubState')})"
    if pids:
        where = f"as process {', '.join(map(str, pids))}"
        if state and state.get("ActiveState") in ("inactive", "failed"):
            where += f", outside of systemd, which says {now}"
        return FirewalldRuntime(True, f"{parameters.program} runs {where}", pids=tuple(pids))
    if not state:
        if not _nowhere(readings, unit):
            _ = output.text  # raises, saying why
            raise Unreadable(f"systemctl show {unit} printed nothing")
        return FirewalldRuntime(False, f"no process is {parameters.program}, and no file is {unit}")
    if state.get("LoadState") == "not-found":
        return FirewalldRuntime(
            False, f"{unit} is not installed, and no process is {parameters.program}"
        )
    if state.get("ActiveState") in ("inactive", "failed"):
        return FirewalldRuntime(False, f"{unit} is {now}, and no process is {parameters.program}")
    if not state.get("ActiveState"):
        raise Unreadable(f"systemctl show {unit} printed no ActiveState")
    return FirewalldRuntime(True, f"{unit} is {now}")


def read_persisted(readings: HostView, case: Case[FirewalldParameters]) -> FirewalldPersisted:
    """Whether anything can start it after a boot; a persistent mask prevents that.

    Raises Unreadable where systemctl did not answer and the files alone do not prove that nothing
    starts it.
    """
    parameters = case.parameters
    unit = parameters.unit
    if mask := systemd_units.mask(readings, unit):
        text = f"-> {mask.target}" if mask.target else "(empty)"
        source = ConfigLine(mask.path, 0, text, changed=mask.changed)
        # A mask keeps systemd from starting it, but not D-Bus from running a program itself.
        by_command, perhaps = _by_commands(readings, parameters)
        past = tuple(t for t in (*_by_bus(readings, parameters), *by_command) if t.runs_program)
        if not past and (doubt := next((t for t in perhaps if t.runs_program), None)):
            raise Unreadable(f"{unit} is masked, but {doubt}: whether it comes to that is unknown")
        keeps = "a command" if by_command else "D-Bus"
        word = f"masked ({mask.path})" + (f", which does not keep {keeps} from it" if past else "")
        return FirewalldPersisted(unit, word, past, masked_by=source)
    output = readings.output("unit")
    state = _properties(output.stdout) if output.exit_status == 0 else {}
    triggers = [*_by_links(readings, unit), *_by_own_units(readings, unit)]
    if _nowhere(readings, unit) and state.get("LoadState", "not-found") in ("not-found", "masked"):
        return FirewalldPersisted(unit, "not installed: no unit file is where systemd looks")
    triggers += [*_by_bus(readings, parameters), *_by_systemd(state, unit, triggers)]
    doubts: list[StartTrigger] = []
    try:
        by_command, doubts = _by_commands(readings, parameters)
        triggers += by_command
    except Unreadable:
        if not triggers:
            raise
    if doubts and not triggers:
        raise Unreadable(f"{doubts[0]}: whether it comes to that is unknown, see the script")
    if triggers:
        mask_path = readings.file(f"{MASK_FOLDER}/{unit}")
        blocking = readings.file(f"{STRONGER}/{unit}") or (
            mask_path if mask_path and mask_path.target is None else None
        )
        return FirewalldPersisted(
            unit,
            "not kept from starting",
            tuple(triggers),
            active=state.get("ActiveState", ""),
            enabled=state.get("UnitFileState", ""),
            site_rules=site_rules(readings),
            blocking_file=blocking.path if blocking else "",
            link=mask_path.target if mask_path else None,
        )
    if not state:
        _ = output.text  # raises, saying why
        raise Unreadable(f"systemctl show {unit} printed nothing")
    return FirewalldPersisted(unit, "installed but disabled, and nothing starts it")


def site_rules(readings: HostView) -> tuple[str, ...]:
    """Files with the site's own rules, or why they are unknown.

    A zone equal to the vendor's zone of that name does not count: installers write such copies.
    """
    try:
        vendors = {conf_dirs.name_of(f): _rules(f) for f in readings.files(VENDOR_ZONES)}
        found = [(file, _rules(file)) for file in readings.files(*SITE_RULES)]
    except Unreadable as error:
        return (f"could not be read: {error}",)
    return tuple(
        file.path
        for file, rules in found
        if (rules != vendors.get(conf_dirs.name_of(file)) if "/zones/" in file.path else rules)
    )


def _rules(file: File) -> set[str]:
    """The effective lines of a zone or of direct.xml, in any order.

    `<forward/>` is new in the zones of firewalld 0.9, and has no effect where all traffic is
    forwarded.
    """
    text = re.sub(
        r"<\?.*?\?>|<!--.*?-->|<(short|description)>.*?</\1>|</?(?:zone|direct)>|<forward\s*/>",
        "",
        "\n".join(file.lines),
        flags=re.S | re.ASCII,
    )
    return {line.strip(BLANKS) for line in split_lines(text) if line.strip(BLANKS)}


def _nowhere(readings: HostView, unit: str) -> bool:
    return not systemd_units.in_force(readings, unit)


def _properties(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in split_lines(text))
    return {name: value for name, equals, value in pairs if equals}


def _by_links(readings: HostView, unit: str) -> Iterator[StartTrigger]:
    """Links in .wants and similar folders, and aliases of the unit, which D-Bus uses."""
    for link in systemd_units.pull_links(readings, unit):
        by = systemd_units.pulled_by(link)
        yield StartTrigger(
            ConfigLine(link.path, 0, unit, changed=link.changed, note=f"has {by} start it"),
            by,
            required=".requires/" in link.path,
        )
    for file in readings.files(OWN[0]):
        name = conf_dirs.name_of(file)
        if name != unit and file.target and file.target.rpartition("/")[2] == unit:
            text, note = f"-> {file.target}", f"is a name for it: {name}"
            yield StartTrigger(
                ConfigLine(file.path, 0, text, changed=file.changed, note=note), name
            )


def _by_own_units(readings: HostView, unit: str) -> Iterator[StartTrigger]:
    """Lines of the site's own units and drop-ins that pull it in."""
    for file in readings.files(*OWN):
        if file.kind != "f" or conf_dirs.name_of(file) == unit or _is_name_of(file, unit):
            continue
        for count, line in enumerate(file.lines, 1):
            key, _, value = line.partition("=")
            if key.strip(BLANKS) in PULLS and unit in split_words(value):
                yield StartTrigger(
                    ConfigLine(
                        file.path,
                        count,
                        line.strip(BLANKS),
                        changed=file.changed,
                        note="pulls it in",
                    ),
                    required=key.strip(BLANKS) in NEEDS or ".requires/" in file.path,
                )


def _is_name_of(file: File, unit: str) -> bool:
    return file.target is not None and file.target.rpartition("/")[2] == unit


def _by_bus(readings: HostView, parameters: FirewalldParameters) -> Iterator[StartTrigger]:
    """The file by which D-Bus starts it as soon as a client requests its name.

    D-Bus starts the unit of SystemdService=; without that line, the program of Exec=.
    """
    unit = parameters.unit
    for file in readings.files(*(f"{f}/{parameters.bus_name}.service" for f in BUS_FOLDERS)):
        if file.kind != "f":
            continue
        keys = {
            key.strip(BLANKS): (count, line.strip(BLANKS), value.strip(BLANKS))
            for count, line in enumerate(file.lines, 1)
            for key, equals, value in [line.partition("=")]
            if equals
        }
        count, line, value = keys.get("SystemdService") or keys.get("Exec") or (0, "", "")
        if "SystemdService" in keys and value != unit and not _has_name(readings, value, unit):
            continue  # D-Bus requests a unit that does not exist
        note = "lets D-Bus start it"
        yield StartTrigger(
            ConfigLine(file.path, count, line, changed=file.changed, note=note),
            runs_program="Exec" in keys and "SystemdService" not in keys,
        )
        return  # only the first folder with the name counts


_STARTS = ("start", "restart", "reload-or-restart", "try-restart", "unmask", "--now")


def _by_commands(
    readings: HostView, parameters: FirewalldParameters
) -> tuple[list[StartTrigger], list[StartTrigger]]:
    """Commands that a boot runs and that start it, and those that may. Raises Unreadable."""
    sure: list[StartTrigger] = []
    perhaps: list[StartTrigger] = []
    program, unit = parameters.program, parameters.unit
    for command in boot_commands.commands(readings, _named(program)):
        if conf_dirs.name_of_path(command.source.path) in (unit, program):
            continue  # its own
        for words in commands(command.text):
            runs = program_at(words, program)
            manager = max(program_at(words, name) for name in ("systemctl", "service"))
            named = any(word in (program, unit) for word in words[manager + 1 :])
            if manager >= 0:
                if not (named and any(word in _STARTS for word in words)):
                    continue
            elif runs < 0:
                continue
            note = "starts it" if manager >= 0 else "runs the program itself"
            line = replace(command.source, note=f"{note} {command.when}")
            trigger = StartTrigger(line, runs_program=manager < 0, command=True)
            (sure if command.certain else perhaps).append(trigger)
            break
    return sure, perhaps


def _has_name(readings: HostView, name: str, unit: str) -> bool:
    return any(
        conf_dirs.name_of(f) == name and _is_name_of(f, unit) for f in readings.files(OWN[0])
    )


def _by_systemd(
    state: Mapping[str, str], unit: str, known: Sequence[StartTrigger]
) -> Iterator[StartTrigger]:
    """What only systemd knows: the vendors' units, generators, /run."""
    units = {trigger.unit for trigger in known}

    def reported(text: str, other: str = "", required: bool = False) -> StartTrigger:
        line = ConfigLine(f"systemctl show {unit}", 0, text, note=f"says {text}")
        return StartTrigger(line, other, required)

    for name in PULLED_BY:
        for other in split_words(state.get(name, "")):
            if other not in units:
                yield reported(f"{name}={other}", other, name in NEEDED_BY)
    file_state = state.get("UnitFileState", "")
    if file_state.removesuffix("-runtime") in ENABLED and not known:
        yield reported(f"UnitFileState={file_state}")
