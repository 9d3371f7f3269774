"""SARIF 2.1.0, for code scanning and its viewers.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Each row is a result: a failure
has the kind `fail`; UNKNOWN has `open`, which the standard has for "insufficient information to
decide", and a notification of the level `error` beside it; WAIVED is a failure with an accepted
suppression; N-A is `notApplicable`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from hale.model.requirement import Relation, Severity
from hale.model.results import ConfigLineRecord, ReferenceRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report.text import shorten
from hale.report.times import utc_time

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
KINDS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WAIVED: "fail",
    Verdict.NOT_APPLICABLE: "notApplicable",
    Verdict.UNKNOWN: "open",
}
# Section 3.27.10: the level of a result of another kind than `fail` is `none`.
LEVELS = {Severity.CRITICAL.value: "error", Severity.MAJOR.value: "warning"}
RELATIONS = {
    Relation.EQUIVALENT.value: "equal",
    Relation.PARTIAL.value: "superset",  # of what the requirement asks for
    Relation.CONFLICTING.value: "disjoint",
}
HOST_BASE = "HOST"  # stands for the root of the host's files
MOST = 1000  # characters of a text

Json = dict[str, Any]


def render(found: Results) -> str:
    """The log of one run."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(found)]}
    return msgspec.json.format(msgspec.json.encode(log), indent=1).decode() + "\n"


def message_text(text: str) -> str:
    """Text as sections 3.11.5 and 3.11.6 have it: no placeholder and no link is in it."""
    text = shorten(text, MOST)
    for sign in "\\[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("{", "{{").replace("}", "}}")


def _run(found: Results) -> Json:
    rules = {row.requirement: row for row in found.results}
    index = {name: number for number, name in enumerate(rules)}
    of_rule: dict[str, list[ReferenceRecord]] = {}
    for reference in found.references:
        of_rule.setdefault(reference.requirement, []).append(reference)
    taxonomies = _taxonomies([r for r in found.references if r.requirement in rules])
    return {
        "tool": {
            "driver": {
                "name": "Hale",
                "version": shorten(found.run.version, MOST),
                "rules": [_rule(row, of_rule.get(name, ())) for name, row in rules.items()],
            }
        },
        "invocations": [_invocation(found)],
        "originalUriBaseIds": {HOST_BASE: {"description": {"text": "the root of the host"}}},
        **({"taxonomies": taxonomies} if taxonomies else {}),
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, index[row.requirement]) for row in found.results],
    }


def _rule(row: Result, references: Iterable[ReferenceRecord]) -> Json:
    related = [
        {
            "target": {
                "id": shorten(reference.id, MOST),
                "toolComponent": {"name": shorten(reference.benchmark, MOST)},
            },
            "kinds": [RELATIONS.get(reference.relation, "relevant")],
        }
        for reference in references
    ]
    return {
        "id": shorten(row.requirement, MOST),
        "shortDescription": {"text": message_text(row.title) or "-"},
        "defaultConfiguration": {"level": LEVELS.get(row.severity, "note")},
        **({"relationships": related} if related else {}),
        "properties": {
            "severity": shorten(row.severity, MOST),
            "chapter": row.chapter,
            "profile": shorten(row.profile, MOST),
        },
    }


def _taxonomies(references: Iterable[ReferenceRecord]) -> list[Json]:
    found: dict[str, dict[str, Json]] = {}
    for reference in references:
        taxa = found.setdefault(shorten(reference.benchmark, MOST), {})
        rule = shorten(reference.id, MOST)
        title = message_text(reference.title) or "-"
        taxa[rule] = {"id": rule, "shortDescription": {"text": title}}
    return [{"name": name, "taxa": list(taxa.values())} for name, taxa in found.items()]


def _invocation(found: Results) -> Json:
    run = found.run
    notes = [("error", f"incomplete: {reason}") for reason in run.incomplete]
    if run.state != "finished":
        notes.append(("error", "interrupted: results that no test judged are UNKNOWN"))
    if unknown := sum(row.verdict is Verdict.UNKNOWN for row in found.results):
        notes.append(("error", f"{unknown} results are UNKNOWN: they could not be read"))
    times = {"startTimeUtc": utc_time(run.started), "endTimeUtc": utc_time(run.ended)}
    return {
        "executionSuccessful": run.state == "finished",
        "arguments": [shorten(word, MOST) for word in run.command_line],
        "account": shorten(run.operator, MOST),
        "machine": shorten(run.source_host, MOST),
        **{name: at for name, at in times.items() if at},
        **({} if run.exit_status is None else {"exitCode": run.exit_status}),
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": message_text(text)}} for level, text in notes
        ],
    }


def _result(row: Result, rule: int) -> Json:
    kind = KINDS[row.verdict]
    text = f"{row.verdict} on {row.host}: {row.actual}"
    if row.verdict is not Verdict.PASS:
        text += f" (expected: {row.expected})"
    return {
        "ruleId": shorten(row.requirement, MOST),
        "ruleIndex": rule,
        "kind": kind,
        "level": LEVELS.get(row.severity, "note") if kind == "fail" else "none",
        "message": {"text": message_text(text)},
        "locations": _locations(row),
        "partialFingerprints": {"haleRow/v1": _fingerprint(row)},
        **({"suppressions": [_suppression(row)]} if row.verdict is Verdict.WAIVED else {}),
        "properties": {
            "host": shorten(row.host, MOST),
            "aspect": shorten(row.aspect, MOST),
            "verdict": row.verdict.value,
            "severity": shorten(row.severity, MOST),
        },
    }


def _locations(row: Result) -> list[Json]:
    logical = [{"name": shorten(row.host, MOST), "kind": "resource"}]
    files = [s for s in row.settings if s.wins] or row.settings[:1]
    if not files:
        return [{"logicalLocations": logical}]
    return [{"physicalLocation": _physical(s), "logicalLocations": logical} for s in files]


def _physical(setting: ConfigLineRecord) -> Json:
    path = quote(setting.path.lstrip("/").encode(errors="backslashreplace"), safe="/")
    place: Json = {"artifactLocation": {"uri": path, "uriBaseId": HOST_BASE}}
    if setting.line > 0:
        snippet = {"text": shorten(setting.text, MOST)}
        place["region"] = {"startLine": setting.line, "snippet": snippet}
    return place


def _suppression(row: Result) -> Json:
    waiver = row.waiver
    fields: Mapping[str, str] = {} if waiver is None else msgspec.structs.asdict(waiver)
    return {
        "kind": "external",
        "status": "accepted",
        "justification": shorten(fields.get("reason", ""), MOST),
        "properties": {name: shorten(value, MOST) for name, value in fields.items()},
    }


def _fingerprint(row: Result) -> str:
    """The same for a row in each run."""
    name: Sequence[str] = (row.host, row.requirement, row.aspect)
    return hashlib.sha256("\0".join(name).encode(errors="backslashreplace")).hexdigest()[:32]
