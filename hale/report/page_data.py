"""The results as JSON for the page's script, which draws rows as they are needed.

Every text stands in it once, in `texts`, with control characters made visible; everything else
refers to it by number. The script puts texts into the page as text only, never as markup.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from hale.model.results import EvidenceExcerpt, Result, Results, SiteCheck
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverRecord
from hale.report import matrix
from hale.report.references import References, label, references_of
from hale.report.text import escape_lines, format_value
from hale.report.verdicts import PRESENTATION

#: The fields of one row, in this order; rows end before their last empty fields.
ROW_FIELDS = (
    "host",
    "requirement",
    "aspect",
    "verdict",
    "expected",
    "actual",
    "milliseconds",
    "evidence",
    "settings",
    "reboot_proven",
    "overrides",
    "waiver",
    "log",
    "test",
)
WAIVER_FIELDS = (
    "accepts",
    "reason",
    "compensation",
    "owner",
    "approver",
    "approved",
    "expires",
    "ticket",
    "where",
)


class _Table:
    """Values by number, each once."""

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def number(self, key: Hashable, value: Any) -> int:
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.values)
            self.values.append(value)
        return found


class _Pages:
    """The tables that the rows refer to."""

    def __init__(self, references: References) -> None:
        self._references = references
        self.texts = _Table()
        self.requirements = _Table()
        self.evidence = _Table()
        self.settings = _Table()
        self.text("")  # number 0

    def text(self, value: str) -> int:
        number = self.texts.numbers.get(value)
        return self.texts.number(value, escape_lines(value)) if number is None else number

    def requirement(self, row: Result) -> int:
        key = (row.requirement, row.title, row.severity, row.profile, row.chapter, row.subject)
        number = self.requirements.numbers.get(key)
        if number is not None:
            return number
        beyond, chapter = matrix.chapter_order(row)
        value = {
            "id": self.text(row.requirement),
            "title": self.text(row.title),
            "chapter": matrix.chapter_label(row),
            "order": chapter + 100 * beyond,
            "severity": self.text(row.severity),
            "severityOrder": matrix.severity_order(row.severity),
            "subject": self.text(row.subject),
            "profile": self.text(row.profile),
            "references": [
                self.text(label(one)) for one in self._references.get(row.requirement, ())
            ],
        }
        return self.requirements.number(key, value)

    def row(self, row: Result) -> list[Any]:
        values = [
            self.text(row.host),
            self.requirement(row),
            self.text(row.aspect),
            matrix.ORDER.index(row.verdict),
            self.text(row.expected),
            self.text(row.actual),
            round(row.duration * 1000, 1),
            [self._excerpt(one) for one in row.evidence],
            [self._setting(s.path, s.line, s.text, s.wins, s.note) for s in row.settings],
            int(row.reboot_proven),
            [self.text(_override(o)) for o in row.overrides],
            _waiver(row.waiver, self) if row.waiver else 0,
            self.text(row.log),
            0 if row.test == _usual_test(row) else self.text(row.test),
        ]
        while not values[-1]:
            values.pop()
        return values

    def _excerpt(self, one: EvidenceExcerpt) -> int:
        value = [self.text(one.probe), one.exit_status, self.text(one.output)]
        return self.evidence.number((*value, one.read_at), [*value, self.text(one.read_at)])

    def _setting(self, path: str, line: int, text: str, wins: bool, note: str) -> int:
        value = (self.text(path), line, self.text(text), int(wins), self.text(note))
        return self.settings.number(value, value)

    def site_check(self, check: SiteCheck) -> list[Any]:
        properties = [f"{name} = {value}" for name, value in check.properties.items()]
        return [
            self.text(check.outcome),
            *(self.text(t) for t in (check.test, check.message, check.text, check.output)),
            [self.text(one) for one in properties],
            round(check.duration * 1000, 1),
        ]


def render(found: Results, rows: Sequence[Result]) -> Markup:
    """The JSON, fit to stand in a `script` element: it has no `<`. rows: in the page's order."""
    tables = _Pages(references_of(found))
    document: Mapping[str, Any] = {
        "fields": ROW_FIELDS,
        "waiverFields": WAIVER_FIELDS,
        "verdicts": [{"name": v.value, "sign": PRESENTATION[v].sign} for v in matrix.ORDER],
        "rows": [tables.row(row) for row in rows],
        "siteChecks": [tables.site_check(check) for check in found.site_checks],
        "requirements": tables.requirements.values,
        "evidence": tables.evidence.values,
        "settings": tables.settings.values,
        "texts": tables.texts.values,
    }
    encoded = msgspec.json.encode(document).decode()
    # `</script` and `<!--` end or change a script element: html.spec.whatwg.org, 4.12.1.3.
    return Markup(encoded.replace("<", "\\u003c"))


def _usual_test(row: Result) -> str:
    return f"checks/test_{row.subject}.py::test_{row.aspect}[{row.host}-{row.requirement}]"


def _override(one: Any) -> str:
    values = f"{format_value(one.value)} instead of {format_value(one.standard)}"
    return f"{one.parameter} = {values} ({one.scope}, {one.where})"


def _waiver(waiver: WaiverRecord, tables: _Pages) -> list[int]:
    return [tables.text(str(getattr(waiver, name))) for name in WAIVER_FIELDS]


#: Verdicts of rows that are folded on paper.
FOLDED = (Verdict.PASS, Verdict.NOT_APPLICABLE)
