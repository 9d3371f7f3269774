"""The parts of a change page: hosts with the same changes as one, the matrix, the impacts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from hale.model.change import Impact
from hale.report.change.comparison import BeforeAndAfter, Movement, ResultChange
from hale.report.change.model import (
    ChangeAction,
    ChangeReport,
    ChangeState,
    HostChange,
    Outcome,
)


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """The lines of a unified diff, each with its class: add, del, hunk, file or same."""
    return [(_line_class(line, number), line) for number, line in enumerate(diff.split("\n"))]


def _line_class(line: str, number: int) -> str:
    if number < 2 and line.startswith(("---", "+++")):
        return "file"
    return {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "same")


@dataclass(frozen=True)
class HostGroup:
    """Hosts on which a change does the same, with the same outcome."""

    names: tuple[str, ...]
    change: HostChange

    @property
    def tally(self) -> Mapping[Outcome, int]:
        """How many actions ended in each way, in the order of Outcome."""
        found = {o: sum(a.outcome is o for a in self.change.actions) for o in Outcome}
        return {outcome: count for outcome, count in found.items() if count}


def host_groups(report: ChangeReport) -> list[HostGroup]:
    """The hosts, those with the same changes as one, in the order of the report.

    A duration is shown where a host stands alone.
    """
    groups: dict[HostChange, list[HostChange]] = {}
    for host in report.hosts:
        bare = tuple(replace(a, seconds=None) for a in host.actions)
        groups.setdefault(replace(host, host="", actions=bare), []).append(host)
    return [
        HostGroup(tuple(h.host for h in hosts), hosts[0] if len(hosts) == 1 else same)
        for same, hosts in groups.items()
    ]


def phases(actions: Iterable[ChangeAction]) -> list[tuple[str, list[ChangeAction]]]:
    """The actions by the phase of an install, in order; "" elsewhere."""
    return [(name, list(own)) for name, own in groupby(actions, lambda action: action.group)]


@dataclass(frozen=True)
class ImpactRow:
    """What has an impact: a title, its outcome, and on which hosts."""

    title: str
    outcome: Outcome
    hosts: tuple[str, ...]


def impacts(report: ChangeReport) -> Mapping[Impact, Sequence[ImpactRow]]:
    """For each impact the actions that have it; empty for one that no action has."""
    found: dict[Impact, dict[tuple[str, Outcome], list[str]]] = {i: {} for i in Impact}
    for host in report.hosts:
        for action in host.actions:
            for impact in action.effects:
                names = found[impact].setdefault((action.title, action.outcome), [])
                names.append(host.host)
    return {
        impact: [ImpactRow(*key, tuple(hosts)) for key, hosts in rows.items()]
        for impact, rows in found.items()
    }


@dataclass(frozen=True)
class MatrixLine:
    """A requirement in the matrix: for each column its results, aspect by aspect."""

    requirement: str
    title: str
    aspects: tuple[str, ...]
    cells: tuple[tuple[ResultChange, ...], ...]


@dataclass(frozen=True)
class ChangeMatrix:
    """Requirements with something to show; hosts with the same results are one column.

    steady: requirements that were and are as required, on all hosts.
    """

    columns: tuple[tuple[str, ...], ...]
    lines: tuple[MatrixLine, ...]
    steady: tuple[str, ...]


def result_matrix(comparison: BeforeAndAfter | None) -> ChangeMatrix | None:
    """The matrix; None where there was no audit."""
    if comparison is None:
        return None
    by_requirement: dict[str, dict[str, list[ResultChange]]] = {}
    hosts: dict[str, None] = {}
    for row in comparison.rows:
        hosts[row.host] = None
        by_requirement.setdefault(row.requirement, {}).setdefault(row.host, []).append(row)
    shown = {
        name: cells
        for name, cells in by_requirement.items()
        if not all(_steady(row) for cell in cells.values() for row in cell)
    }
    columns: dict[tuple[object, ...], list[str]] = {}
    for host in hosts:
        cells = tuple(_signs(of.get(host, ())) for of in shown.values())
        columns.setdefault(cells, []).append(host)
    groups = tuple(tuple(names) for names in columns.values())
    lines = tuple(_line(name, of, [names[0] for names in groups]) for name, of in shown.items())
    steady = tuple(name for name in by_requirement if name not in shown)
    return ChangeMatrix(groups, lines, steady)


def _line(
    requirement: str, cells: Mapping[str, Sequence[ResultChange]], hosts: Sequence[str]
) -> MatrixLine:
    rows = [row for cell in cells.values() for row in cell]
    return MatrixLine(
        requirement,
        rows[0].title,
        tuple(dict.fromkeys(row.aspect for row in rows)),
        tuple(tuple(cells.get(host, ())) for host in hosts),
    )


def _signs(cell: Iterable[ResultChange]) -> tuple[object, ...]:
    return tuple((row.aspect, row.before, row.after, row.movement) for row in cell)


def _steady(row: ResultChange) -> bool:
    return row.movement in (Movement.UNCHANGED, Movement.NEW) and not row.still_failed


@dataclass(frozen=True)
class OpenResult:
    """Results that are not as required at the end, or not judged, for one reason on some hosts.

    requirements: with their aspects. expected: "" where they expect different things.
    """

    requirements: tuple[str, ...]
    hosts: tuple[str, ...]
    movement: Movement
    still_failed: bool
    expected: str
    actual: str


_ORDER = {Movement.BROKEN: 0, Movement.NOT_JUDGED: 1, Movement.UNCHANGED: 2}


def open_results(report: ChangeReport) -> list[OpenResult]:
    """What is not as required at the end, each reason once; before a change, what it finds.

    Nothing of a run that was not audited afterwards: that is one fact, and not one of each result.
    """
    comparison = report.comparison
    if comparison is None:
        return []
    if not comparison.audited_after and report.state is not ChangeState.PLANNED:
        return []
    hosts_of: dict[ResultChange, list[str]] = {}
    for row in comparison.rows:
        if not _steady(row) and row.movement is not Movement.FIXED:
            hosts_of.setdefault(replace(row, host=""), []).append(row.host)
    groups: dict[tuple[object, ...], list[ResultChange]] = {}
    for row, hosts in hosts_of.items():
        key = (tuple(hosts), row.movement, row.still_failed, row.actual)
        groups.setdefault(key, []).append(row)
    found = [_open_result(tuple(hosts_of[rows[0]]), rows) for rows in groups.values()]
    return sorted(found, key=lambda one: _ORDER.get(one.movement, 3))


def _open_result(hosts: tuple[str, ...], rows: Sequence[ResultChange]) -> OpenResult:
    expected = {row.expected for row in rows}
    return OpenResult(
        tuple(f"{row.requirement} {row.aspect}" for row in rows),
        hosts,
        rows[0].movement,
        rows[0].still_failed,
        expected.pop() if len(expected) == 1 else "",
        rows[0].actual,
    )
