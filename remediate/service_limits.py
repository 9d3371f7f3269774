"""Limits of a service: a drop-in that sets them, and a restart of the service.

No limit is lowered: the new line gives what is asked for, and more where there was more. A line
of the site's drop-ins that wins over it is commented; one of a package, of /run, or for other
units too is overruled by a drop-in that is read after it.

Sources: as of facts/service_limits.py; kubernetes.io, "Safely Drain a Node".
"""

from collections.abc import Iterator, Sequence
from math import inf
from posixpath import basename, dirname, join

from facts import dropins
from facts.service_limits import Line, Parameters, Persisted, Runtime
from facts.unit_limits import Limit
from hale.change import COMMENTED, Append, ByHand, Change, Effect, FileChange, Replace, UnitChange
from hale.requirement import Case

SECTION = "[Service]"


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """What `persisted` changes, and then a restart; on a node, by hand where it must be drained."""
    wanted = case.parameters
    if fact.refused:
        return (_refused(fact.refused, wanted),)
    if isinstance(fact.files, str):
        return (ByHand(f"{fact.actual}, and what a restart would give is not known: {fact.files}"),)
    changes = persisted(fact.files, case)
    if any(isinstance(change, ByHand) for change in changes):
        return changes
    stale = not changes and fact.loaded is not None and not fact.loaded.reaches(wanted.wanted)
    if wanted.drain and fact.joined:
        return (*changes, _drained(fact, case, stale))
    if stale:
        return (
            ByHand(
                f"{fact.actual}; its files give more ({fact.files.actual}), which systemd has not "
                f"read yet: `systemctl daemon-reload`, then `systemctl restart {wanted.unit}`."
            ),
        )
    why = f"{fact.actual}; a new limit holds from its next start on."
    return (
        *changes,
        UnitChange(wanted.unit, "restart", fact.active, "", why, (Effect.RESTART,)),
    )


def persisted(fact: Persisted, case: Case[Parameters]) -> tuple[Change, ...]:
    """A line in the standard's drop-in, unless one that is there is enough."""
    wanted = case.parameters
    if fact.refused:
        return (_refused(fact.refused, wanted),)
    if fact.place is None:
        return (
            ByHand(
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


def _own(wanted: Parameters) -> str:
    return join("/etc/systemd/system", f"{wanted.unit}.d", wanted.dropin)


def _editable(line: Line) -> bool:
    """Whether it may be commented: a site's drop-in for this unit alone, in one line."""
    return bool(line.name) and line.own and line.whole and dropins.ours(line.file)


def _behind(theirs: Sequence[Line], place: str) -> str:
    """The drop-in that is read after all lines that cannot be commented."""
    last = max((line.name for line in theirs), default="")
    return place if last < basename(place) else dropins.beside(place, last)


def _starts(lines: Sequence[Line], default: Limit) -> Iterator[Limit]:
    """What a start gets now, and after a boot, which empties /run."""
    for some in (lines, [line for line in lines if line.lasting]):
        yield some[-1].limit if some else default


def _line(fact: Persisted, wanted: Parameters) -> str:
    """The standard's line, or one that gives more where a start gets more of one side today."""
    today = list(_starts(fact.lines, fact.default))
    soft = max(wanted.wanted, *(limit.soft for limit in today))
    hard = max(soft, *(limit.hard for limit in today))
    values = dict.fromkeys(_value(value, wanted) for value in (soft, hard))
    return f"{wanted.setting}={':'.join(values)}"


def _value(value: float, wanted: Parameters) -> str:
    """As systemd has it: memlock in bytes."""
    if value == inf:
        return "infinity"
    return str(int(value * 1024 if wanted.item == "memlock" else value))


def _added(place: str, theirs: Sequence[Line], line: str, wanted: Parameters) -> FileChange:
    beaten = [str(one.source) for one in theirs if one.name]
    over = f", read after {' and '.join(beaten)}, which must not be edited," if beaten else ""
    why = f"{place}{over} gives {wanted.unit} at least {wanted.least} for {wanted.item}."
    return FileChange(place, (Append(SECTION), Append(line)), why)


def _commented(lines: Sequence[Line], wanted: Parameters) -> Iterator[FileChange]:
    done: set[tuple[str, int]] = set()
    for line in lines:
        at = line.file, line.source.line
        if at not in done:
            done.add(at)
            why = f"{line.file}:{at[1]} gives {wanted.unit} less {wanted.item} than {wanted.least}."
            yield FileChange(line.file, (Replace(at[1], line.source.text, COMMENTED),), why)


def _refused(why: str, wanted: Parameters) -> ByHand:
    return ByHand(
        f"{wanted.unit} cannot get {wanted.item} {wanted.least}: {why}. Raise fs.nr_open by a line "
        "of sysctl.d, give the container that this host is CAP_SYS_RESOURCE or higher limits, or "
        "have the standard ask for less."
    )


def _drained(fact: Runtime, case: Case[Parameters], stale: bool) -> ByHand:
    unit, name = case.parameters.unit, case.host_name
    reload = "`systemctl daemon-reload` and " if stale else ""
    return ByHand(
        f"{fact.actual}; a new limit holds from its next start on, and {unit} of a node "
        f"({fact.joined}) is restarted only when the node is drained. Once its files are right: "
        f"`kubectl drain {name} --ignore-daemonsets --delete-emptydir-data`, on the host {reload}"
        f"`systemctl restart {unit}`, and when `kubectl get node {name}` says Ready, "
        f"`kubectl uncordon {name}`. (The node's name may differ: `kubectl get nodes -o wide`.)"
    )
