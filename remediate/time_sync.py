"""The only installed program is started and enabled; nothing is installed, chosen or stopped.

It is started only where the clock agrees with the operator's: at its start the program may step
the clock, and a step of more than the tolerance breaks leases and tokens of a node in use.

Sources: chrony.conf(5) (makestep), chronyd(8), chronyc(1); systemd-timesyncd.service(8),
timesyncd.conf(5); ntp.conf(5), ntpd(8); systemctl(1) (enable, unmask), systemd.unit(5) ([Install]).
"""

from facts.parsers.time_configuration import UNITS
from facts.time_sync import TimeSyncParameters, TimeSyncPersisted, TimeSyncRuntime
from hale.model.change import ManualStep, Remedy, SymlinkChange, UnitAction, UnitChange
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (UnitChange, SymlinkChange)
IMPACTS = ()
SITE = "/etc/systemd/system"
NOTHING = "/dev/null"
_INSTALL = (
    "Install one and give it this site's servers: `dnf install chrony` and /etc/chrony.conf (Red "
    "Hat), or `apt-get install chrony` and /etc/chrony/chrony.conf (Debian, Ubuntu), lines `server "
    "HOST iburst`; then `systemctl enable --now chronyd` (Debian, Ubuntu: chrony)."
)
# How each program shows its sources and its log, by the name of its unit.
_QUERY = {
    "chrony": "chronyc sources -v; chronyc tracking",
    "systemd-timesyncd": "timedatectl timesync-status",
    "ntp": "ntpq -pn; ntpq -c rv",
    "openntpd": "ntpctl -s all",
}
_CONFIGURATION = {
    "chrony": "a line `server HOST iburst` or `pool NAME iburst` in /etc/chrony.conf (Red Hat) or "
    "/etc/chrony/chrony.conf (Debian, Ubuntu)",
    "systemd-timesyncd": "a line `NTP=HOST …` in section [Time] of "
    "/etc/systemd/timesyncd.conf.d/site.conf",
    "ntp": "a line `server HOST iburst` in /etc/ntp.conf, or /etc/ntpsec/ntp.conf of NTPsec",
    "openntpd": "a line `server HOST` in /etc/openntpd/ntpd.conf, or /etc/ntpd.conf",
}


def scope(parameters: TimeSyncParameters) -> RemedyScope:
    """The units of the accepted programs, their masks, and the links of `systemctl enable`."""
    units = tuple(unit for unit, program in UNITS.items() if program in parameters.programs)
    files = tuple(f"/{lib}/systemd/system/{unit}" for lib in ("lib", "usr/lib") for unit in units)
    return RemedyScope(
        links={
            **{f"{SITE}/{unit}": ("", *files) for unit in units},
            **{f"{SITE}/{name}": files for name in ("*.service", "*.wants/*.service")},
        },
        units={UnitAction.START: units},
    )


def fix_runtime(fact: TimeSyncRuntime, case: Case[TimeSyncParameters]) -> tuple[Remedy, ...]:
    """The only program is started if it is merely stopped and the clock is about right."""
    parameters = case.parameters
    if len(fact.running) > 1:
        return (_keep_one(fact.actual, parameters),)
    if fact.running:
        return (_running(fact, parameters),)
    if not fact.installed:
        return (ManualStep(f"{fact.actual}. {_INSTALL}"),)
    unit = fact.unit
    if not unit or UNITS[unit] not in parameters.programs:
        return (_choose(fact.actual, parameters),)
    if fact.active != "inactive" or (fact.enabled.startswith("masked") and not fact.mask):
        return (
            ManualStep(
                f"{fact.actual}. `systemctl status {unit}` and `journalctl -u {unit} -n 50` show "
                f"why; then `systemctl unmask {unit}` where it is masked, and `systemctl start "
                f"{unit}`."
            ),
        )
    offset = fact.clock_offset
    if offset is None or abs(offset) > parameters.max_offset_seconds:
        off = (
            "How far the clock is off is unknown"
            if offset is None
            else f"The clock is {offset:+.1f} s from the control host's"
        )
        return (
            ManualStep(
                f"{fact.actual}. {off}, and {unit} may step it at once when it starts, "
                f"which breaks leases and tokens of a node in use: on a cluster's host, drain the "
                f"node first, one host at a time; then `systemctl unmask {unit}` where it is "
                f"masked, and `systemctl start {unit}`."
            ),
        )
    why = f"{fact.actual}; without it the clock drifts."
    changes: list[Remedy] = [_unmask(fact.mask, why)] if fact.mask else []
    start = UnitChange(unit, UnitAction.START, fact.active, fact.enabled, why)
    return (*changes, start)


def fix_persisted(fact: TimeSyncPersisted, case: Case[TimeSyncParameters]) -> tuple[Remedy, ...]:
    """The only installed program is unmasked and enabled, by the links of `systemctl enable`."""
    parameters = case.parameters
    if len(fact.enabled) > 1:
        return (_keep_one(fact.actual, parameters),)
    if fact.enabled and fact.program not in parameters.programs:
        return (_choose(fact.actual, parameters),)
    if fact.enabled:
        unit = fact.enabled[0]
        return (
            ManualStep(
                f"{fact.actual}. Name this site's servers: {_CONFIGURATION[fact.program]}; then "
                f"`systemctl restart {unit}`, and look at `{_QUERY[fact.program]}`."
            ),
        )
    if not fact.states:
        return (ManualStep(f"{fact.actual}. {_INSTALL}"),)
    unit = fact.unit
    if not unit or UNITS[unit] not in parameters.programs:
        return (_choose(fact.actual, parameters),)
    why = f"{fact.actual}; after a boot the clock would drift."
    changes: list[Remedy] = [_unmask(fact.mask, why)] if fact.mask else []
    changes += [SymlinkChange(link, fact.unit_file, None, why) for link in fact.links]
    return tuple(changes)


def _unmask(path: str, why: str) -> SymlinkChange:
    return SymlinkChange(path, None, NOTHING, why)


def _keep_one(actual: str, parameters: TimeSyncParameters) -> ManualStep:
    return ManualStep(
        f"{actual}. Keep one ({', '.join(parameters.programs)}), and stop, disable and mask the "
        "others: `systemctl disable --now UNIT` and `systemctl mask UNIT`. A process outside of "
        "these units is shown by `ps -o pid,ppid,lstart,args -C chronyd,ntpd`: it may be a "
        "container's."
    )


def _choose(actual: str, parameters: TimeSyncParameters) -> ManualStep:
    return ManualStep(
        f"{actual}. Choose one of {', '.join(parameters.programs)} and run it alone: `systemctl "
        "unmask UNIT` where it is masked, `systemctl enable --now UNIT`, and `systemctl disable "
        "--now OTHER` for any other. If none of them is installed: "
        f"{_INSTALL}"
    )


def _running(fact: TimeSyncRuntime, parameters: TimeSyncParameters) -> ManualStep:
    if fact.program not in parameters.programs:
        return _choose(fact.actual, parameters)
    query = _QUERY[fact.program]
    if fact.problem:
        return ManualStep(
            f"{fact.actual}. A program that was just started needs up to a minute: audit again. "
            f"Otherwise see `{query}`; whether the servers answer (UDP port 123 through every "
            f"firewall); and {_CONFIGURATION[fact.program]}. Then `systemctl restart "
            f"{fact.running[0].split()[0]}`."
        )
    return ManualStep(
        f"{fact.actual}; it may be {parameters.max_offset_seconds:g} s off, and have been set "
        f"{parameters.max_age_seconds:g} s ago. See `{query}`. "
        "A clock that is off by less than a few minutes is best left to slew; `chronyc makestep` "
        "steps it at once: on a cluster's host only while it is drained, and one master at a "
        "time, while etcd has all its members."
    )
