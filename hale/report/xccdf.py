"""XCCDF 1.2: a benchmark with a rule for each requirement and aspect, and a TestResult a host.

NIST IR 7275 revision 4, https://csrc.nist.gov/pubs/ir/7275/r4/final. UNKNOWN is `error`: "the
checking engine could not complete the evaluation", as with insufficient privileges. WAIVED is an
`override`, which section 6.6.4.3 has for results that a person changes, naming who and when: from
`fail` (or `error`) to `informational`, which is neither a pass nor counted in the score. It is not
`notapplicable`, because the rule applies to the host.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from hale.audit.waivers import CLUSTER
from hale.model.requirement import Severity
from hale.model.results import HostRecord, ReferenceRecord, Result, Results
from hale.model.verdict import Verdict
from hale.model.waiver import UNKNOWN
from hale.report.matrix import columns
from hale.report.references import References, references_of
from hale.report.text import shorten
from hale.report.times import utc_time

NAMESPACE = "http://checklists.nist.gov/xccdf/1.2"
OUTCOMES = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WAIVED: "informational",
    Verdict.UNKNOWN: "error",
    Verdict.NOT_APPLICABLE: "notapplicable",
}
SEVERITIES = {
    Severity.CRITICAL.value: "high",
    Severity.MAJOR.value: "medium",
    Severity.MINOR.value: "low",
}
SCORING = "urn:xccdf:scoring:flat-unweighted"
NO_TIME = "1970-01-01T00:00:00Z"  # where the run has none: the standard demands one
MOST = 1000  # characters of a text


def render(found: Results) -> str:
    """The benchmark and what each host got."""
    references = references_of(found)
    root = Element("Benchmark", {"xmlns": NAMESPACE, "id": "xccdf_hale_benchmark_baseline"})
    root.set("xml:lang", "en")
    _add(root, "status", "accepted", date=_day(found))
    _add(root, "title", "Hale: kubeadm clusters with a highly available control plane")
    _add(root, "description", f"Profile {found.run.profile}")
    _add(root, "version", found.run.version or "0")
    names = Names()
    rules = {(row.requirement, row.aspect): row for row in found.results}
    for row in rules.values():
        root.append(_rule(row, names, references.get(row.requirement, ())))
    hosts = {host.name: host for host in found.hosts}
    rows: dict[str, list[Result]] = {}
    for row in found.results:
        rows.setdefault(row.host, []).append(row)
    for host in columns(found):
        record = hosts.get(host, HostRecord(host))
        root.append(_test_result(found, record, rows[host], names, references))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{_xml(root)}\n'


class Names:
    """IDs that XML takes (NCName) for any text; different ones for different texts."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def of(self, kind: str, text: str) -> str:
        """`xccdf_hale_rule_SWAP-OFF.runtime`; the same text has the same ID."""
        key = kind, text
        if key not in self._known:
            plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)[:100] or "-"
            name, number = f"xccdf_hale_{kind}_{plain}", 1
            while name in self._taken:
                number += 1
                name = f"xccdf_hale_{kind}_{plain}-{number}"
            self._taken.add(name)
            self._known[key] = name
        return self._known[key]


def _rule(row: Result, names: Names, references: Iterable[ReferenceRecord]) -> Element:
    rule = Element(
        "Rule",
        {
            "id": names.of("rule", f"{row.requirement}.{row.aspect}"),
            "severity": SEVERITIES.get(row.severity, "unknown"),
        },
    )
    _add(rule, "title", f"{row.requirement} {row.aspect}: {row.title}")
    _add(rule, "description", row.expected)
    for reference in references:
        _add(rule, "ident", reference.id or "-", system=_system(reference))
    rule.append(_check(row))
    return rule


def _test_result(
    found: Results,
    host: HostRecord,
    rows: Sequence[Result],
    names: Names,
    references: References,
) -> Element:
    run = found.run
    ended = utc_time(run.ended) or utc_time(run.started) or NO_TIME
    result = Element(
        "TestResult",
        {
            "id": names.of("testresult", host.name),
            "end-time": ended,
            "test-system": "cpe:/a:hale:hale",
            "version": shorten(run.version, MOST),
        },
    )
    if started := utc_time(run.started):
        result.set("start-time", started)
    _add(result, "title", f"Hale {run.kind} of {host.name}")
    for reason in run.incomplete:
        _add(result, "remark", f"INCOMPLETE: {reason}")
    if run.state != "finished":
        _add(result, "remark", "INTERRUPTED: results that no test judged are errors")
    _add(result, "target", host.name)
    if host.address:
        _add(result, "target-address", host.address)
    facts = {
        "urn:hale:host:os": host.os,
        "urn:hale:host:kernel": host.kernel,
        "urn:hale:host:machine-id": host.machine_id,
        "urn:hale:host:down": host.down,
        "urn:hale:host:cluster": "1" if host.name == CLUSTER else "",
    }
    if known := {name: value for name, value in facts.items() if value}:
        of_host = SubElement(result, "target-facts")
        for name, value in known.items():
            _add(of_host, "fact", value, name=name, type="string")
    for row in rows:
        result.append(_rule_result(row, ended, names, references.get(row.requirement, ())))
    passed = sum(row.verdict is Verdict.PASS for row in rows)
    scored = passed + sum(row.verdict.failed for row in rows)
    _add(result, "score", str(passed), system=SCORING, maximum=str(scored))
    return result


def _rule_result(
    row: Result, at: str, names: Names, references: Iterable[ReferenceRecord]
) -> Element:
    result = Element(
        "rule-result",
        {
            "idref": names.of("rule", f"{row.requirement}.{row.aspect}"),
            "time": at,
            "severity": SEVERITIES.get(row.severity, "unknown"),
        },
    )
    _add(result, "result", OUTCOMES[row.verdict])
    if row.waiver is not None:
        waiver = row.waiver
        override = SubElement(
            result,
            "override",
            {
                "time": utc_time(waiver.approved) or NO_TIME,
                "authority": shorten(waiver.approver, MOST),
            },
        )
        _add(override, "old-result", "error" if waiver.accepts == UNKNOWN else "fail")
        _add(override, "new-result", OUTCOMES[Verdict.WAIVED])
        _add(
            override,
            "remark",
            f"{waiver.reason}; compensation: {waiver.compensation}; owner: {waiver.owner}; "
            f"ticket: {waiver.ticket}; expires: {waiver.expires}",
        )
    for reference in references:
        _add(result, "ident", reference.id or "-", system=_system(reference))
    severity = {Verdict.FAIL: "error", Verdict.UNKNOWN: "error", Verdict.WAIVED: "warning"}
    _add(result, "message", row.actual, severity=severity.get(row.verdict, "info"))
    result.append(_check(row))
    return result


def _check(row: Result) -> Element:
    """The function of Hale that judges the rule: its file and name."""
    path, _, test = row.test.partition("::")
    check = Element("check", {"system": "urn:hale:check"})
    name = shorten(test.partition("[")[0], MOST)
    href = quote(path[:MOST].encode(errors="backslashreplace"), safe="/")
    SubElement(check, "check-content-ref", {"href": href, "name": name})
    return check


def _system(reference: ReferenceRecord) -> str:
    """A URI (RFC 8141) for a benchmark's title."""
    return f"urn:hale:benchmark:{re.sub(r'[^A-Za-z0-9.]+', '-', reference.benchmark).strip('-')}"


def _day(found: Results) -> str:
    return (utc_time(found.run.started) or NO_TIME)[:10]


def _add(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = shorten(text, MOST)


def _xml(root: Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode")
