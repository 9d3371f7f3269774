"""Limits of a service: a drop-in that sets them, and a restart of the service.

No limit is lowered: the new line sets the required value, or the present one if that is higher. A
line of the site's drop-ins that wins over it is commented out; one of a package, in /run, or for
other units too is overridden by a drop-in that is read after it.

Sources: as in facts/service_limits.py; kubernetes.io, "Safely Drain a Node".
"""

from collections.abc import Iterator, Sequence
from math import inf
from posixpath import basename, dirname, join

from facts.parsers import conf_dirs
from facts.parsers.unit_limit_files import UnitLimitLine
from facts.parsers.unit_limits import Limit
from facts.service_limits import (
    ServiceLimitsParameters,
    ServiceLimitsPersisted,
    ServiceLimitsRuntime,
)
from hale.model.change import (
    COMMENTED,
    AppendLine,
    FileEdit,
    Impact,
    ManualStep,
    Remedy,
    ReplaceLine,
    UnitAction,
    UnitChange,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (FileEdit, UnitChange)
IMPACTS = (Impact.RESTARTS_SERVICE,)
SECTION = "[Service]"


def scope(parameters: ServiceLimitsParameters) -> RemedyScope:
    """The unit and its drop-ins."""
    unit = parameters.unit
    return RemedyScope(
        files=(f"/etc/systemd/system/{unit}.d/*.conf",), units={UnitAction.RESTART: (unit,)}
    )


def fix_runtime(
    fact: ServiceLimitsRuntime, case: Case[ServiceLimitsParameters]
) -> tuple[Remedy, ...]:
    """The changes of `persisted`, then a restart; a manual step on a node that must be drained."""
    wanted = case.parameters
    if fact.refused:
        return (_refused(fact.refused, wanted),)
    if isinstance(fact.files, str):
        return (
            ManualStep(f"{fact.actual}, and what a restart would give is not known: {fact.files}"),
        )
    changes = fix_persisted(fact.files, case)
    if any(isinstance(change, ManualStep) for change in changes):
        return changes
    stale = not changes and fact.loaded is not None and not fact.loaded.reaches(wanted.wanted)
    if wanted.drain and fact.joined:
        return (*changes, _drained(fact, case, stale))
    if stale:
        return (
            ManualStep(
                f"{fact.actual}; its files give more ({fact.files.actual}), which systemd has not "
                f"read yet: `systemctl daemon-reload`, then `systemctl restart {wanted.unit}`."
            ),
        )
    why = f"{fact.actual}; a new limit holds from its next start on."
    return (
        *changes,
        UnitChange(
            wanted.unit, UnitAction.RESTART, fact.active, "", why, (Impact.RESTARTS_SERVICE,)
        ),
    )


def fix_persisted(
    fact: ServiceLimitsPersisted, case: Case[ServiceLimitsParameters]
) -> tuple[Remedy, ...]:
    """A line in the baseline's drop-in, unless an existing one is sufficient."""
    wanted = case.parameters
    if fact.refused:
        return (_refused(fact.refused, wanted),)
    if fact.place is None:
        return (
            ManualStep(
                f"{dirname(_own(wanted))} has no free name for a drop-in beside {wanted.dropin}: "
                "it is a link, a mask, or has more than a section [Service] in it. Make it a plain "
                "file and plan again."
            ),
        )
    low = [line for line in fact.lines if not line.limit.reaches(wanted.wanted)]
    theirs = [line for line in low if not _editable(line)]
    place = _behind(theirs, fact.place)
    sited = [line for line in low if _editable(line) and line.name >= basename(place)]
    rest = [line for line in fact.lines if line not in sited]
    changes = list(_commented(sited, wanted))
    if not all(limit.reaches(wanted.wanted) for limit in _starts(rest, fact.default)):
        changes.append(_added(place, theirs, _line(fact, wanted), wanted))
    return tuple(changes)


def _own(wanted: ServiceLimitsParameters) -> str:
    return join("/etc/systemd/system", f"{wanted.unit}.d", wanted.dropin)


def _editable(line: UnitLimitLine) -> bool:
    """Whether it may be commented out: one line of a site's drop-in for this unit only."""
    return bool(line.name) and line.own and line.single_line and conf_dirs.is_editable(line.file)


def _behind(theirs: Sequence[UnitLimitLine], place: str) -> str:
    """The drop-in that is read after all lines that cannot be commented out."""
    last = max((line.name for line in theirs), default="")
    return place if last < basename(place) else conf_dirs.sorts_after(place, last)


def _starts(lines: Sequence[UnitLimitLine], default: Limit) -> Iterator[Limit]:
    """The limits of a start now, and of one after a boot, which empties /run."""
    for some in (lines, [line for line in lines if line.lasting]):
        yield some[-1].limit if some else default


def _line(fact: ServiceLimitsPersisted, wanted: ServiceLimitsParameters) -> str:
    """The baseline's line, with a side raised where a start gets a higher value today."""
    today = list(_starts(fact.lines, fact.default))
    soft = max(wanted.wanted, *(limit.soft for limit in today))
    hard = max(soft, *(limit.hard for limit in today))
    values = dict.fromkeys(_value(value, wanted) for value in (soft, hard))
    return f"{wanted.setting}={':'.join(values)}"


def minimum(wanted: ServiceLimitsParameters) -> str:
    """The minimum, in systemd's notation."""
    return _value(wanted.wanted, wanted)


def _value(value: float, wanted: ServiceLimitsParameters) -> str:
    """In systemd's notation, with memlock in bytes."""
    if value == inf:
        return "infinity"
    return str(int(value * 1024 if wanted.item == "memlock" else value))


def _added(
    place: str, theirs: Sequence[UnitLimitLine], line: str, wanted: ServiceLimitsParameters
) -> FileEdit:
    beaten = [str(one.source) for one in theirs if one.name]
    over = f", read after {' and '.join(beaten)}, which must not be edited," if beaten else ""
    why = f"{place}{over} gives {wanted.unit} at least {wanted.least} for {wanted.item}."
    return FileEdit(place, (AppendLine(SECTION), AppendLine(line)), why)


def _commented(
    lines: Sequence[UnitLimitLine], wanted: ServiceLimitsParameters
) -> Iterator[FileEdit]:
    done: set[tuple[str, int]] = set()
    for line in lines:
        at = line.file, line.source.line
        if at not in done:
            done.add(at)
            why = f"{line.file}:{at[1]} gives {wanted.unit} less {wanted.item} than {wanted.least}."
            yield FileEdit(line.file, (ReplaceLine(at[1], line.source.text, COMMENTED),), why)


def _refused(why: str, wanted: ServiceLimitsParameters) -> ManualStep:
    return ManualStep(
        f"{wanted.unit} cannot get {wanted.item} {wanted.least}: {why}. Raise fs.nr_open by a line "
        "of sysctl.d, give the container that this host is CAP_SYS_RESOURCE or higher limits, or "
        "lower the value in the inventory."
    )


def _drained(
    fact: ServiceLimitsRuntime, case: Case[ServiceLimitsParameters], stale: bool
) -> ManualStep:
    unit, name = case.parameters.unit, case.host_name
    reload = "`systemctl daemon-reload` and " if stale else ""
    return ManualStep(
        f"{fact.actual}; a new limit holds from its next start on, and {unit} of a node "
        f"({fact.joined}) is restarted only when the node is drained. Once its files are right: "
        f"`kubectl drain {name} --ignore-daemonsets --delete-emptydir-data`, on the host {reload}"
        f"`systemctl restart {unit}`, and when `kubectl get node {name}` says Ready, "
        f"`kubectl uncordon {name}`. (The node's name may differ: `kubectl get nodes -o wide`.)"
    )
