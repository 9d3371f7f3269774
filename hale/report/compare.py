"""Two runs compared, row by row: what was fixed, what broke, and what only has another value.

A comparison is of results.json alone. A row that became UNKNOWN is not fixed, and one that is gone
names why: a host that was not reached cannot pass for one that was taken out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from hale.model.comparison import ChangeKind, ChangeReason, ComparedRow, Comparison, RowChange
from hale.model.results import Result, Results
from hale.model.verdict import Verdict
from hale.report.text import escape_controls, fold_hostnames

_FINE = (Verdict.PASS, Verdict.NOT_APPLICABLE)
_MOST = 2000  # characters of a value


def rows_of(results: Iterable[Result]) -> list[ComparedRow]:
    """What a comparison takes of these results."""
    return [
        ComparedRow(r.host, r.requirement, r.aspect, r.verdict, r.actual, r.value, r.expected)
        for r in results
    ]


def compare(before: Sequence[ComparedRow], after: Results) -> Comparison:
    """The changes since `before`, the rows of an earlier run."""
    was = {row.key: row for row in before}
    now = {row.key: row for row in rows_of(after.results)}
    down = {host.name: host.down for host in after.hosts if host.down}
    changes = []
    for key, row in now.items():
        if found := _change(was.get(key), row, down):
            changes.append(found)
    left_out = {(k.host, k.requirement, k.aspect) for k in after.deselected}
    changes += [_gone(row, down, left_out) for key, row in was.items() if key not in now]
    order = list(ChangeKind)
    changes.sort(key=lambda change: order.index(change.kind))
    return Comparison(changes, len(now) - sum(c.after is not None for c in changes))


def _change(
    before: ComparedRow | None, after: ComparedRow, down: Mapping[str, str]
) -> RowChange | None:
    if before is None:
        return RowChange(ChangeKind.NEW, None, after)
    if after.verdict is Verdict.UNKNOWN:
        if before.verdict is Verdict.UNKNOWN:
            return None  # neither was judged, so that nothing is known of a change
        reason = ChangeReason.NOT_REACHED if after.host in down else ChangeReason.NONE
        return RowChange(ChangeKind.NOT_JUDGED, before, after, reason)
    if before.verdict is not after.verdict:
        return RowChange(_kind(before.verdict, after.verdict), before, after)
    if not _same_value(before, after):
        return RowChange(ChangeKind.CHANGED, before, after)
    if before.expected != after.expected:
        return RowChange(ChangeKind.CHANGED, before, after, ChangeReason.EXPECTATION)
    return None


def _kind(before: Verdict, after: Verdict) -> ChangeKind:
    """What two verdicts that differ mean; the later one is not UNKNOWN."""
    if after is Verdict.FAIL:
        return ChangeKind.CHANGED if before.failed else ChangeKind.BROKEN
    if after is Verdict.WAIVED:
        return ChangeKind.WAIVED
    if after is Verdict.PASS and before not in _FINE:
        return ChangeKind.FIXED
    return ChangeKind.CHANGED


def _same_value(before: ComparedRow, after: ComparedRow) -> bool:
    if before.value and after.value:
        return before.value == after.value
    if before.value or after.value:
        return True  # one is of a Hale that did not record it: nothing is known of a change
    return _without_times(before.actual) == _without_times(after.actual)


def _without_times(actual: str) -> str:
    """As failures are grouped: milliseconds that a request took are no value."""
    return re.sub(r"\d+(?= ms\b)", "", actual)


def _gone(
    row: ComparedRow, down: Mapping[str, str], left_out: set[tuple[str, str, str]]
) -> RowChange:
    if row.host in down:
        return RowChange(ChangeKind.NOT_JUDGED, row, None, ChangeReason.NOT_REACHED)
    known = row.key in left_out
    reason = ChangeReason.DESELECTED if known else ChangeReason.REMOVED
    return RowChange(ChangeKind.GONE, row, None, reason)


# --- as text ---


def describe(before: Results, after: Results) -> str:
    """What was compared, and what makes the comparison weaker."""
    lines = [_run("before", before), _run("after", after)]
    if before.run.standard_sha256 != after.run.standard_sha256:
        lines.append("the files of the baseline differ: a verdict may differ with them")
    known = {host.name: host.machine_id for host in before.hosts}
    others = [
        host.name
        for host in after.hosts
        if host.machine_id and known.get(host.name) and known[host.name] != host.machine_id
    ]
    if others:
        lines.append(f"another machine answered as {fold_hostnames(others)}")
    return "".join(f"{escape_controls(line)}\n" for line in lines)


def text(comparison: Comparison, earlier: str = "before", later: str = "after") -> str:
    """The changes by kind, requirement and value, the hosts folded; the counts come last."""
    width = max(len(earlier), len(later))
    parts = []
    for kind in ChangeKind:
        mine = [change for change in comparison.changes if change.kind is kind]
        if not mine:
            continue
        parts.append(f"{kind}: {len(mine)}")
        for changes in _alike(mine):
            row = changes[0].row
            hosts = fold_hostnames([change.row.host for change in changes])
            parts.append(f"  {row.requirement} {row.aspect} on {hosts}")
            for name, one in (earlier, changes[0].before), (later, changes[0].after):
                if one is not None:
                    parts.append(f"    {name:{width}}  {one.verdict}  {_shown(one.actual)}")
            if reason := changes[0].reason:
                parts.append(f"    {reason}")
        parts.append("")
    counts = ", ".join(f"{comparison.count(kind)} {kind}" for kind in ChangeKind)
    parts.append(f"{counts}; {comparison.same} the same")
    return "".join(f"{escape_controls(part)}\n" for part in parts)


def _alike(changes: Iterable[RowChange]) -> list[list[RowChange]]:
    """Changes that differ in the host only."""
    groups: dict[tuple[str, ...], list[RowChange]] = {}
    for change in changes:
        row = change.row
        texts = [
            f"{one.verdict} {_without_times(one.actual.removeprefix(f'{one.host}: '))}"
            if one is not None
            else ""
            for one in (change.before, change.after)
        ]
        key = row.requirement, row.aspect, *texts, change.reason
        groups.setdefault(key, []).append(change)
    return list(groups.values())


def _run(name: str, found: Results) -> str:
    run = found.run
    doubt = "" if run.state == "finished" and not run.incomplete else ", INCOMPLETE"
    rows = f"{len(found.results)} results"
    return f"{name:6}  {run.kind} of {run.started}, {run.profile}, {rows}{doubt}"


def _shown(actual: str) -> str:
    return actual if len(actual) <= _MOST else f"{actual[:_MOST]}…"
