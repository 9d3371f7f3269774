"""Resource limits of a service: those of its main process, and those of its next start.

No login is involved, so pam_limits and limits.conf never apply to a service: systemd sets the
unit's limits. Sources: systemd.unit(5) (load path, drop-ins), systemd.exec(5) (LimitNOFILE=),
systemd-system.conf(5) (DefaultLimitNOFILE=), systemd.syntax(7); systemd's
src/shared/conf-parser.c, src/shared/dropin.c, src/basic/rlimit-util.c and
src/basic/parse-util.c; proc_pid_limits(5); capabilities(7), CAP_SYS_RESOURCE.

The unit's own file is read first, then its drop-ins in the order of their names. Of drop-ins with
one name, the one in the folder of highest priority counts; the unit's own folders (`x.service.d`)
precede those of name prefixes (`a-.service.d` for a-b.service), and those precede `service.d`. The
last valid line sets soft and hard at once; empty and invalid lines change nothing. Without any
line, system.conf's default applies, and without that the default of `systemctl show`, which still
includes a line removed from system.conf since systemd last read it. memlock is in KiB here.

A command of the unit that lowers a limit (`ulimit`, prlimit) makes `persisted` UNKNOWN; one in a
script that the unit runs is not read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from facts import sysctl
from facts.limits import MOST_FILES, most_files
from facts.parsers import (
    boot_files,
    conf_dirs,
    kubeadm_membership,
    limit_commands,
    systemd_units,
    unit_limits,
)
from facts.parsers.blanks import split_lines
from facts.parsers.login_limits import SHOWN
from facts.parsers.unit_limit_files import (
    OWN,
    UnitLimitLine,
    dropin_patterns,
    limit_lines,
    main_patterns,
    place_for_line,
    require_covered,
)
from facts.parsers.unit_limits import Item, Limit, assignments, bound, parsed
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
    select,
)
from hale.model.requirement import Case
from hale.shell import script_with

MAINS = tuple(f"{parent}/systemd/system.conf" for parent in conf_dirs.PARENTS)
MANAGER = conf_dirs.patterns("systemd/system.conf.d")

_SHOWN = ",".join(
    (
        "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "DropInPaths",
        *(f"Limit{item.upper()}{side}" for item in SHOWN for side in ("", "Soft")), "MainPID",
    )
)  # fmt: skip
_UNIT = Path(__file__).with_name("service_limits_unit.sh")
_SYSTEMD = f"""\
systemctl show --property={
    ",".join(f"DefaultLimit{item.upper()}{side}" for item in SHOWN for side in ("", "Soft"))
} || exit
grep ^CapEff: /proc/1/status || exit
grep -E '^Max (open files|processes|locked memory) ' /proc/1/limits
"""
CAP_SYS_RESOURCE = 1 << 24


class ServiceLimitsParameters(Struct, frozen=True):
    """A unit, a limit's name in limits.conf, and the minimum of its soft and hard values.

    least: the minimum, in KiB for memlock. dropin: the name of the baseline's own drop-in, which
    must sort after `conf`. drain: a node must be drained before the service is restarted.
    """

    unit: str
    item: Item
    least: int | Literal["unlimited"]
    dropin: str
    drain: bool = False

    @property
    def wanted(self) -> float:
        """`least` as a number; inf for unlimited."""
        return inf if self.least == "unlimited" else self.least

    @property
    def setting(self) -> str:
        """The name of systemd's setting, such as LimitNOFILE."""
        return f"Limit{self.item.upper()}"


class ServiceLimitsPersisted(Struct, frozen=True):
    """The limits of a start after a boot.

    given: the limits of files and defaults. soft, hard: those that systemd can set. default: the
    limits without any line of the unit. lines: all that affect it, in reading order, those in /run
    too. place: the drop-in to add a line to. refused: why systemd cannot set the baseline's value.
    differs: what applies until the boot.
    """

    item: Item
    unit: str
    soft: float
    hard: float
    given: Limit
    default: Limit
    sources: tuple[ConfigLine, ...] = ()
    lines: tuple[UnitLimitLine, ...] = ()
    place: str | None = None
    refused: str = ""
    differs: str = ""

    @property
    def actual(self) -> str:
        text = f"{self.unit} starts with {_described(self.item, Limit(self.soft, self.hard))}"
        if (self.soft, self.hard) != (self.given.soft, self.given.hard):
            text += f", asked for {_described(self.item, self.given)},"
        winner = next((s for s in self.sources if s.wins), None)
        text += f" by {winner}" if winner else ", systemd's default"
        others = [f"{s} ({s.note})" if s.note else str(s) for s in self.sources if not s.wins]
        if others:
            text += f" ({'wins over' if winner else 'not by'} {', '.join(others)})"
        return "; ".join(part for part in (text, self.refused, self.differs) if part)


class ServiceLimitsRuntime(Struct, frozen=True):
    """The limits of the main process.

    loaded: the limits of a start now, None where systemd does not report them. active: systemd's
    ActiveState. joined: the evidence that the host is in a cluster (kubeadm_membership). files:
    the persisted limits, or why they are unknown. refused: as in ServiceLimitsPersisted.
    """

    item: Item
    unit: str
    soft: float
    hard: float
    loaded: Limit | None
    active: str
    joined: str = ""
    files: ServiceLimitsPersisted | str = ""
    refused: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        text = f"{self.unit} runs with {_described(self.item, Limit(self.soft, self.hard))}"
        return f"{text}; {self.refused}" if self.refused else text


def probes(host: Host, cases: Sequence[Case[ServiceLimitsParameters]]) -> tuple[Probe, ...]:
    """Unit files and drop-ins, system.conf, and each unit's state in systemd and the kernel."""
    found = dict.fromkeys(case.parameters.unit for case in cases)
    files = [path for unit in found for path in (*main_patterns(unit), *dropin_patterns(unit))]
    return (
        FileProbe(
            *select(unit_limits.LINES, *files, *MAINS, *MANAGER),
            *select(limit_commands.LINES, *files),
            MOST_FILES,
            *sysctl.LINE_PATTERNS,
            *kubeadm_membership.FILES,
        ),
        boot_files.PROBE,
        CommandProbe("systemd", _SYSTEMD),
        *(CommandProbe(unit, script_with(_UNIT, unit=unit, shown=_SHOWN)) for unit in found),
    )


def read_runtime(readings: HostView, case: Case[ServiceLimitsParameters]) -> ServiceLimitsRuntime:
    """The limits of the running service. Raises NotApplicable where it does not run; its limits
    at the next start are judged as `persisted`.

    Raises Unreadable where systemd or the kernel does not report them.
    """
    wanted = case.parameters
    state = _properties(readings.text(wanted.unit))
    if "MainPID" not in state:
        raise Unreadable(f"systemctl show {wanted.unit} prints no MainPID")
    if state["MainPID"] == "0":
        if _loaded(state, wanted.unit) == "not-found":
            raise NotApplicable(f"{wanted.unit} is not installed")
        now = f"{state.get('ActiveState')} ({state.get('SubState')})"
        if state.get("ActiveState") in ("active", "reloading"):
            raise Unreadable(f"{wanted.unit} is {now}, and systemd knows no main process of it")
        raise NotApplicable(f"{wanted.unit} does not run: systemd says {now}")
    limit = _of_process(readings.text(wanted.unit), wanted.item, wanted.unit)
    loaded: Limit | None = None
    refused = ""
    files: ServiceLimitsPersisted | str
    with suppress(Unreadable):
        loaded = _shown(state, wanted.setting, wanted.item)
    with suppress(Unreadable):
        refused = _refused(readings, wanted)
    try:
        files = read_persisted(readings, case)
    except (Unreadable, NotApplicable) as error:
        files = str(error)
    return ServiceLimitsRuntime(
        wanted.item,
        wanted.unit,
        limit.soft,
        limit.hard,
        loaded,
        state.get("ActiveState", ""),
        kubeadm_membership.membership_file(readings),
        files,
        # Does not affect the process; it explains why a restart would not help.
        "" if limit.reaches(wanted.wanted) else refused,
    )


@boot_files.kept_by_boot
def read_persisted(
    readings: HostView, case: Case[ServiceLimitsParameters]
) -> ServiceLimitsPersisted:
    """The limits of a start after a boot, by the files. Raises NotApplicable where nothing can
    start the unit.

    Raises Unreadable where systemd reads files that Hale does not read: an alias of the unit,
    portable services.
    """
    wanted = case.parameters
    unit, item = wanted.unit, wanted.item
    state = _properties(readings.text(unit))
    load = _loaded(state, unit)
    if mask := systemd_units.mask(readings, unit):
        raise NotApplicable(f"{unit} is masked ({mask.path}): nothing starts it")
    mains = [f for f in readings.files(*main_patterns(unit)) if f.kind != "d"]
    main = next(iter(conf_dirs.persistent(mains)), None)
    if main and main.kind == "l":
        raise NotApplicable(f"{unit} is not installed: {main.path} leads nowhere")
    if main is None:
        if load != "loaded":
            raise NotApplicable(f"{unit} is not installed")
        if mains:
            raise Unreadable(
                f"{mains[0].path} is generated at every boot, and its generator is unknown"
            )
        raise Unreadable(f"systemd knows {unit}, and no file of that name is where it looks")
    require_covered(state, unit)
    files = readings.files(*dropin_patterns(unit))
    valid, invalid = limit_lines(readings, unit, wanted.setting, item)
    lasting = [line for line in valid if line.lasting]
    default, default_sources = _default(readings, item)
    given = lasting[-1].limit if lasting else default
    sources = [line.source for line in lasting] or default_sources
    now = valid[-1] if valid else None
    differs = ""
    if now and not now.lasting and now.limit != given:
        differs = f"until the next boot {now.source} gives it {_described(item, now.limit)}"
    limit = _possible(readings, item, given, at_boot=True)
    if limit.reaches(wanted.wanted):
        own = [main, *conf_dirs.effective(conf_dirs.persistent(files))]
        if line := limit_commands.lowering(own, item, wanted.wanted):
            raise Unreadable(
                f"{line} changes the limits that systemd sets ({line.text[:120]}): see the running "
                f"process (`grep Max /proc/$(systemctl show -P MainPID {unit})/limits`)"
            )
    return ServiceLimitsPersisted(
        item,
        unit,
        limit.soft,
        limit.hard,
        given,
        default,
        (*_ranked(sources), *invalid),
        tuple(valid),
        place_for_line(files, f"{OWN}/{unit}.d/{wanted.dropin}"),
        _refused(readings, wanted, at_boot=True),
        differs,
    )


def _ranked(sources: Sequence[ConfigLine]) -> Iterator[ConfigLine]:
    """The last one, which wins, then those that it wins over."""
    for source in sources[-1:]:
        yield replace(source, wins=True)
    yield from sources[:-1]


def _default(readings: HostView, item: Item) -> tuple[Limit, list[ConfigLine]]:
    """The limits of a unit without a line, and the lines of system.conf that set them."""
    setting = f"DefaultLimit{item.upper()}"
    mains = [f for f in readings.files(*MAINS) if f.kind == "f"]
    lasting = [
        *conf_dirs.persistent(mains)[:1],
        *conf_dirs.effective(conf_dirs.persistent(readings.files(*MANAGER))),
    ]
    found = [
        (limit, source)
        for file in lasting
        for source, value, _ in assignments(file, "Manager", setting)
        if (limit := parsed(item, value))
    ]
    if found:
        return found[-1][0], [source for _, source in found]
    for file in (*mains, *readings.files(*MANAGER)):
        if conf_dirs.volatile(file.path) and any(assignments(file, "Manager", setting)):
            raise Unreadable(f"{file.path} sets {setting} until the next boot only")
    return _shown(_properties(readings.text("systemd")), setting, item), []


# --- what systemd and the kernel say ---


def _properties(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in split_lines(text))
    return {name: value for name, equals, value in pairs if equals}


def _loaded(state: Mapping[str, str], unit: str) -> str:
    """systemd's LoadState. Raises Unreadable where there is none, or where systemd failed to load
    the unit, because the result of a start is then unknown."""
    load = state.get("LoadState", "")
    if load not in ("loaded", "not-found", "masked"):
        raise Unreadable(f"systemctl show {unit} says LoadState={load or '(nothing)'}")
    return load


def _shown(state: Mapping[str, str], setting: str, item: Item) -> Limit:
    """A limit from `systemctl show`: a number (bytes for memlock) or infinity."""
    found = [bound(item, state.get(f"{setting}{side}", "")) for side in ("Soft", "")]
    if found[0] is None or found[1] is None:
        raise Unreadable(f"systemctl show says no {setting} that could be read")
    return Limit(found[0], found[1])


def _of_process(text: str, item: Item, whose: str) -> Limit:
    """A limit from /proc/PID/limits."""
    found = re.search(rf"^{SHOWN[item]} +(\w+) +(\w+)", text, re.M | re.ASCII)
    values = (
        [bound(item, w.replace("unlimited", "infinity")) for w in found.groups()] if found else []
    )
    if len(values) != 2 or values[0] is None or values[1] is None:
        raise Unreadable(f"/proc/PID/limits of {whose} has no {SHOWN[item]!r} that could be read")
    return Limit(values[0], values[1])


def _possible(readings: HostView, item: Item, limit: Limit, at_boot: bool = False) -> Limit:
    """The part of it that systemd can set: the kernel bounds nofile, and without CAP_SYS_RESOURCE
    systemd's own limits bound everything. As setrlimit_closest(), the closest possible value."""
    text = readings.text("systemd")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.M | re.ASCII)
    if not found:
        raise Unreadable("/proc/1/status has no CapEff")
    own = _of_process(text, item, "systemd").hard
    able = bool(int(found[1], 16) & CAP_SYS_RESOURCE)
    most = inf
    if item == "nofile":
        most = most_files(readings)
        if at_boot:
            most, _ = sysctl.most_files_at_boot(readings, most)
    if able and limit.hard <= most:
        return limit
    top = min(own, most)
    return Limit(min(limit.soft, top), min(limit.hard, top))


def _refused(readings: HostView, wanted: ServiceLimitsParameters, at_boot: bool = False) -> str:
    """Why systemd cannot set the baseline's value; empty where it can."""
    most = _possible(readings, wanted.item, Limit(wanted.wanted, wanted.wanted), at_boot)
    if most.reaches(wanted.wanted):
        return ""
    return (
        f"systemd itself has {_described(wanted.item, most)} and may not exceed that here "
        "(CAP_SYS_RESOURCE, fs.nr_open)"
    )


def _described(item: Item, limit: Limit) -> str:
    def one(value: float) -> str:
        if value == inf:
            return "unlimited"
        return f"{value:.0f} KiB" if item == "memlock" else f"{value:.0f}"

    return f"{item} soft {one(limit.soft)}, hard {one(limit.hard)}"
