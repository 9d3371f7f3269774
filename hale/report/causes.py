"""Failures grouped by cause, and hosts that differ from most of their group.

A cause is a requirement's aspect with one verdict, one actual and one expected value.
Hosts that were not reached are no causes of their own: all their results have the same one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from hale.model.results import Guidance, HostRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report import matrix

ANY_HOST = "‹host›"  # stands for the host's own name where several hosts share a text
MAX_CAUSES = 8  # of one aspect with one verdict; the remaining values are one cause more
MAX_UNUSUAL = 4  # values of one aspect that differ from the usual one
MOST = 2 / 3  # of a group's hosts have the usual value


class Unreached(Struct, frozen=True):
    """Hosts that gave no evidence for one reason, and how many of their results are UNKNOWN."""

    hosts: Sequence[str]
    reason: str
    results: int


class Cause(Struct, frozen=True):
    """Failed results with one cause. row: one of them. values: more than one if they are merged."""

    row: Result
    expected: str
    actual: str
    hosts: Sequence[str]
    values: int
    guidance: Guidance | None
    first: bool  # of its requirement


class Unusual(Struct, frozen=True):
    """A value that few hosts of a group have."""

    verdict: Verdict
    actual: str
    hosts: Sequence[str]


class Outliers(Struct, frozen=True):
    """The hosts of a group whose value of an aspect is not that of most of the group."""

    row: Result  # one of those with the usual value
    group: str
    usual: str
    count: int
    unusual: Sequence[Unusual]
    more: int  # hosts with further values


def unreached(found: Results) -> list[Unreached]:
    """The hosts that were not reached, by their reason."""
    down = _down(found.hosts)
    lost = Counter(row.host for row in found.results if is_unreached(row, down))
    by_reason: dict[str, list[str]] = defaultdict(list)
    for host, reason in down.items():
        by_reason[shared_text(host, reason)].append(host)
    return [
        Unreached(hosts, reason, sum(lost[host] for host in hosts))
        for reason, hosts in by_reason.items()
    ]


def is_unreached(row: Result, down: Mapping[str, str]) -> bool:
    """Whether the result is UNKNOWN because its host was not reached. down: reasons by host."""
    reason = down.get(row.host)
    return reason is not None and row.verdict is Verdict.UNKNOWN and reason in row.actual


def causes(found: Results) -> list[Cause]:
    """The causes of all failed results of hosts that were reached: the most severe first."""
    down = _down(found.hosts)
    groups: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for row in found.results:
        if row.verdict.failed and not is_unreached(row, down):
            actual, expected = shared_texts(row)
            name = row.requirement, row.aspect, row.verdict.value
            groups[*name, actual, expected].append(row)
    of_aspect: dict[tuple[str, ...], list[list[Result]]] = defaultdict(list)
    for key, rows in groups.items():
        of_aspect[key[:3]].append(rows)
    split = [rows for alike in of_aspect.values() for rows in _limited(alike)]
    split.sort(key=_worst_first)
    guidance = {one.requirement: one for one in found.guidance}
    known: set[str] = set()
    return [_cause(rows, guidance, known) for rows in split]


def _limited(alike: list[list[Result]]) -> list[list[Result]]:
    """The largest groups, and all others as one."""
    if len(alike) <= MAX_CAUSES:
        return alike
    alike = sorted(alike, key=len, reverse=True)
    return [*alike[:MAX_CAUSES], [row for rows in alike[MAX_CAUSES:] for row in rows]]


def _worst_first(rows: Sequence[Result]) -> tuple[int, int, tuple[bool, int], str, bool, int]:
    row = rows[0]
    verdict, chapter = matrix.ORDER.index(row.verdict), matrix.chapter_order(row)
    merged = shared_texts(row) != shared_texts(rows[-1])
    return (
        matrix.severity_order(row.severity),
        verdict,
        chapter,
        row.requirement,
        merged,
        -len(rows),
    )


def _cause(rows: Sequence[Result], guidance: Mapping[str, Guidance], known: set[str]) -> Cause:
    row = rows[0]
    first = row.requirement not in known
    known.add(row.requirement)
    values = len({shared_texts(one) for one in rows})
    alone = len(rows) == 1
    return Cause(
        row,
        row.expected if alone else shared_text(row.host, row.expected),
        row.actual.removeprefix(f"{row.host}: ") if alone else shared_text(row.host, row.actual),
        [one.host for one in rows],
        values,
        guidance.get(row.requirement),
        first,
    )


def outliers(found: Results) -> list[Outliers]:
    """Where few hosts of a group have another verdict or value than most of it."""
    down = _down(found.hosts)
    group_of = {h.name: ", ".join(h.groups) for h in found.hosts}
    tables: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for row in found.results:
        judged = row.verdict is not Verdict.NOT_APPLICABLE and not is_unreached(row, down)
        if judged and row.host in group_of:
            tables[row.requirement, row.aspect, group_of[row.host]].append(row)
    compared = (_outliers(rows, group) for (*_, group), rows in tables.items() if len(rows) > 2)
    found_ones = [one for one in compared if one is not None]
    return sorted(found_ones, key=lambda one: matrix.chapter_order(one.row))


def _outliers(rows: Sequence[Result], group: str) -> Outliers | None:
    values: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for row in rows:
        values[row.verdict.value, _value(row)].append(row)
    usual, *others = sorted(values.values(), key=len, reverse=True)
    if not others or len(usual) < MOST * len(rows):
        return None
    return Outliers(
        usual[0],
        group,
        _shown(usual),
        len(usual),
        [Unusual(o[0].verdict, _shown(o), [r.host for r in o]) for o in others[:MAX_UNUSUAL]],
        sum(map(len, others[MAX_UNUSUAL:])),
    )


def _shown(rows: Sequence[Result]) -> str:
    row = rows[0]
    return row.actual if len(rows) == 1 else shared_text(row.host, row.actual)


def _value(row: Result) -> str:
    return _measures(shared_text(row.host, row.actual))


def shared_texts(row: Result) -> tuple[str, str]:
    """The actual and expected values, the same on all hosts that have the same cause."""
    return _value(row), shared_text(row.host, row.expected)


def shared_text(host: str, text: str) -> str:
    """The text without the host's name in front, and with `‹host›` for it elsewhere."""
    if host not in text:
        return text
    return _name_of(host).sub(ANY_HOST, text.removeprefix(f"{host}: "))


@lru_cache(maxsize=4096)
def _name_of(host: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])")


@lru_cache(maxsize=4096)
def _measures(text: str) -> str:
    """The text without milliseconds, which differ each time."""
    return re.sub(r"\d+(?= ms\b)", "", text)


def _down(hosts: Iterable[HostRecord]) -> dict[str, str]:
    return {host.name: host.down for host in hosts if host.down}
