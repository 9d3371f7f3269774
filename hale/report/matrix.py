"""The view of a run that all reports share: columns, the matrix, and failures by their reason."""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hale.model.requirement import Aspect, Profile, Severity
from hale.model.results import Result, Results, Run
from hale.model.verdict import Verdict
from hale.report.text import escape_controls, fold_hostnames, format_value
from hale.report.verdicts import PRESENTATION

EXTENDED = Profile.EXTENDED.value  # requirements that the baseline does not have
BEYOND = "+"  # stands for the chapter of such a requirement
ORDER = list(PRESENTATION)
_ASPECTS = [aspect.value for aspect in Aspect]
_SEVERITIES = [severity.value for severity in Severity]


def columns(results: Results) -> list[str]:
    """The names of the matrix's columns: the hosts of the run, then `cluster`."""
    present = dict.fromkeys(r.host for r in results.results)
    hosts = [h.name for h in results.hosts if h.name in present]
    return list(dict.fromkeys([*hosts, *present]))


def severity_order(severity: str) -> int:
    """A key to sort by: the worst first, unknown words last."""
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)


def aspect_order(aspect: str) -> tuple[int, str]:
    """A key to sort by: as the baseline has them, unknown words last."""
    known = _ASPECTS.index(aspect) if aspect in _ASPECTS else len(_ASPECTS)
    return known, aspect


def chapter_order(row: Result) -> tuple[bool, int]:
    """A key to sort rows by: the chapters of the baseline, then what goes beyond it."""
    return row.profile == EXTENDED, row.chapter


def chapter_label(row: Result) -> str:
    """The chapter of the baseline; `+` for a requirement that goes beyond it."""
    return BEYOND if row.profile == EXTENDED else str(row.chapter)


def matrix(rows: Sequence[Result]) -> dict[str, dict[str, list[Result]]]:
    """Requirements by chapter, extended ones last; for each host its rows, aspect by aspect."""
    found: dict[str, dict[str, list[Result]]] = {}
    for row in sorted(rows, key=chapter_order):
        found.setdefault(row.requirement, {}).setdefault(row.host, []).append(row)
    for cells in found.values():
        for cell in cells.values():
            cell.sort(key=lambda r: aspect_order(r.aspect))
    return found


def alike_hosts(
    found: Mapping[str, Mapping[str, Sequence[Result]]], names: Iterable[str]
) -> list[list[str]]:
    """Hosts that have the same verdicts, requirement by requirement, in one list each."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        verdicts = ["".join(r.verdict for r in cells.get(name, ())) for cells in found.values()]
        alike.setdefault(tuple(verdicts), []).append(name)
    return list(alike.values())


def gaps(found: Results) -> list[str]:
    """Why the results cover less than the inventory and the profile; empty where they cover all."""
    down = [host.name for host in found.hosts if host.down]
    unreached = [f"hosts not reached: {fold_hostnames(down)}"] if down else []
    return [*unreached, *found.run.incomplete]


def failures_beside(run: Run) -> str:
    """What failed although every requirement may have passed; empty if nothing.

    A site's own tests, or what ended pytest early (its exit status).
    """
    if count := run.other_tests_failed:
        return f"{count} other test{'s' if count > 1 else ''} failed"
    return f"exit status {run.exit_status}" if run.exit_status else ""


def failure_block(row: Result) -> str:
    """One failed row in a few lines, for pytest's failure section and junit.xml."""
    lines = [
        f"{row.verdict}: {row.requirement} {row.aspect} on {row.host}: {row.title}",
        f"  expected  {row.expected}",
        f"  actual    {row.actual}",
    ]
    lines += [
        f"  {'wins' if s.wins else 'loses'}      {s.path}:{s.line}: {s.text}" for s in row.settings
    ]
    lines += [
        f"  override  {o.parameter} = {format_value(o.value)} ({o.where})" for o in row.overrides
    ]
    return "\n".join(escape_controls(line) for line in lines)


class FailureGroup(Struct):
    """Failed rows with the same reason."""

    verdict: Verdict
    actual: str
    expected: str
    rows: dict[str, dict[str, None]]  # hosts by "requirement aspect"
    severity: str = ""  # the worst


def failure_groups(rows: Sequence[Result]) -> list[FailureGroup]:
    """Failed rows by their reason, FAIL before UNKNOWN, the most severe first.

    A reason is the same on two hosts if it differs only in the host's name in front of it and
    in milliseconds.
    """
    grouped: dict[tuple[Verdict, str], FailureGroup] = {}
    for row in rows:
        if row.verdict.failed:
            actual = row.actual.removeprefix(f"{row.host}: ")
            key = (row.verdict, re.sub(r"\d+(?= ms\b)", "", actual))
            group = grouped.setdefault(key, FailureGroup(row.verdict, actual, row.expected, {}))
            group.rows.setdefault(f"{row.requirement} {row.aspect}", {})[row.host] = None
            group.severity = min(group.severity or row.severity, row.severity, key=severity_order)
    return sorted(
        grouped.values(), key=lambda g: (ORDER.index(g.verdict), severity_order(g.severity))
    )
