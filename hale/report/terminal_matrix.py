"""The matrix of the terminal's report: requirements down, hosts across, a sign for each aspect."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.report.matrix import BEYOND, alike_hosts, chapter_label, matrix
from hale.report.text import escape_controls, fold_hostnames
from hale.report.verdicts import sign_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text


class _Column(Struct, frozen=True):
    """Hosts whose signs are the same, requirement by requirement."""

    heading: str
    hosts: tuple[str, ...]


def matrix_tables(
    rows: Sequence[Result], names: Sequence[str], width: int
) -> "list[RenderableType]":
    """One table where the hosts fit; otherwise one column for all hosts that look the same."""
    found = matrix(rows)
    label = max(len(requirement) for requirement in found) + 4
    headings = _headings(names)
    each = [_Column(h, (n,)) for h, n in zip(headings, names, strict=True)]
    if label + sum(_wide(c, found) for c in each) <= width:
        return [_matrix(found, each)]
    alike = alike_hosts(found, names)
    if len(alike) < len(names):
        each = [
            _Column(f"{_letters(n)}\n×{len(hosts)}", tuple(hosts)) for n, hosts in enumerate(alike)
        ]
    blocks: list[list[_Column]] = [[]]
    for column in each:
        taken = label + sum(_wide(c, found) for c in blocks[-1])
        if blocks[-1] and taken + _wide(column, found) > width:
            blocks.append([])
        blocks[-1].append(column)
    tables: list[RenderableType] = []
    for block in blocks:
        tables += ["", _matrix(found, block)] if tables else [_matrix(found, block)]
    if len(alike) < len(names):
        tables.append(_group_legend(each))
    return tables


def _wide(column: _Column, found: Mapping[str, Mapping[str, Sequence[Result]]]) -> int:
    from rich.cells import cell_len

    signs = max(len(cells.get(column.hosts[0], ())) for cells in found.values())
    return max(signs, *map(cell_len, column.heading.split("\n"))) + 2


def _letters(number: int) -> str:
    """A … Z, AA … like the columns of a spreadsheet."""
    before = _letters(number // 26 - 1) if number >= 26 else ""
    return before + chr(ord("A") + number % 26)


def _group_legend(each: Sequence[_Column]) -> "RenderableType":
    """Which hosts each letter stands for."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for column in each:
        letter = column.heading.partition("\n")[0]
        table.add_row(Text(letter, "bold"), Text(escape_controls(fold_hostnames(column.hosts))))
    return Padding(table, (1, 0, 0, 0))


def _matrix(found: Mapping[str, Mapping[str, Sequence[Result]]], each: Sequence[_Column]) -> "Text":
    """Requirements down, hosts across; in a cell a sign for each aspect, in order.

    All of it is one text: rich's Table takes fifty times as long for as many cells.
    """
    from rich.cells import cell_len
    from rich.text import Text

    chapters = {q: chapter_label(next(iter(cells.values()))[0]) for q, cells in found.items()}
    first = max(map(len, chapters.values()))
    second = max(map(cell_len, ("requirement", *found)))
    wide = [_wide(column, found) - 2 for column in each]
    headings = [column.heading.split("\n") for column in each]
    parts: list[tuple[str, str]] = []

    def line(
        chapter: str, name: str, cells: Iterable[Sequence[tuple[str, str]]], style: str
    ) -> None:
        parts.append((f"{chapter:>{first}}  {name}{' ' * (second - cell_len(name))}", style))
        for width, cell in zip(wide, cells, strict=True):
            free = width - sum(cell_len(text) for text, _ in cell)
            parts.append(("  " + " " * (free // 2), ""))
            parts.extend(cell)
            parts.append((" " * (free - free // 2), ""))
        parts.append(("\n", ""))

    for below in range(max(map(len, headings)), 0, -1):
        titles = [[(h[-below], "bold")] if below <= len(h) else [] for h in headings]
        line(*(("", "") if below > 1 else ("§", "requirement")), titles, "bold")
    for requirement, cells in found.items():
        signs = [[sign_of(r.verdict) for r in cells.get(c.hosts[0], ())] for c in each]
        line(chapters[requirement], requirement, signs, "")
    return Text.assemble(*parts[:-1], no_wrap=True)


def _headings(names: Sequence[str]) -> list[str]:
    """Host names in two lines, without what all of them begin with: `k8s-master-01`."""
    hosts = [n for n in names if n != "cluster"]
    alike = os.path.commonprefix(hosts) if len(hosts) > 1 else ""  # noqa: RUF071 - characters
    prefix = alike[: alike.rfind("-") + 1]
    headings = []
    for name in names:
        stem, _, number = name.removeprefix(prefix).rpartition("-")
        headings.append("\n".join(escape_controls(part) for part in (stem, number) if part))
    return headings


def matrix_legend(rows: Sequence[Result]) -> "RenderableType":
    from rich.text import Text

    parts: list[tuple[str, str]] = []
    for verdict in Verdict:
        count = sum(r.verdict is verdict for r in rows)
        if count:
            sign, style = sign_of(verdict)
            parts += [(sign, style), (f" {verdict} {count}   ", "")]
    parts.append(("two signs: runtime, persisted", "dim"))
    if any(chapter_label(r) == BEYOND for r in rows):
        parts.append((f"   § {BEYOND}: beyond the baseline", "dim"))
    return Text.assemble("\n", *parts, "\n")
