"""CSV, one line a result, for spreadsheets and scripts (RFC 4180, UTF-8, lines end in CRLF)."""

import csv
import io

from hale.model.results import Results
from hale.report.matrix import chapter_label
from hale.report.notices import of_row, sentence
from hale.report.references import label, references_of
from hale.report.text import escape_controls

COLUMNS = (
    "host",
    "requirement",
    "aspect",
    "verdict",
    "severity",
    "chapter",
    "title",
    "expected",
    "actual",
    "reboot_proven",
    "overrides",
    "waiver_ticket",
    "waiver_expires",
    "notices",
    "references",
)
# A spreadsheet takes a cell that begins with one of these for a formula, which may run programs
# and send data away: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@")


def render(found: Results) -> str:
    """The rows in the order of results.json."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    references = references_of(found)
    for row in found.results:
        writer.writerow(
            _cell(text)
            for text in (
                row.host,
                row.requirement,
                row.aspect,
                row.verdict.value,
                row.severity,
                chapter_label(row),
                row.title,
                row.expected,
                row.actual,
                "yes" if row.reboot_proven else "no",
                "; ".join(f"{o.parameter}={o.value}" for o in row.overrides),
                row.waiver.ticket if row.waiver else "",
                row.waiver.expires if row.waiver else "",
                "; ".join(sentence(notice) for notice in of_row(row, found.notices)),
                "; ".join(label(one) for one in references.get(row.requirement, ())),
            )
        )
    return table.getvalue()


def _cell(text: str) -> str:
    """One line without control characters; an apostrophe in front keeps a formula text."""
    text = escape_controls(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
