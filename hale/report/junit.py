"""junit.xml for a CI: a test case for each row, and for each of the site's own checks.

The elements are those of the JUnit schema that Jenkins and GitLab read, as pytest writes them:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from hale.model.results import ReferenceRecord, Result, Results, Run, SiteCheck
from hale.model.verdict import Verdict
from hale.report.matrix import failure_block
from hale.report.notices import sentence
from hale.report.references import References, label, references_of
from hale.report.text import escape_lines
from hale.report.verdicts import PRESENTATION

ROW_PROPERTIES = ("host", "requirement", "aspect", "verdict")
WAIVER_PROPERTIES = ("where", "owner", "approver", "reason", "compensation", "ticket", "expires")
RUN_PROPERTIES = ("version", "git_revision", "site", "inventory", "profile", "started")
# The element inside the test case of a site's check, by pytest's outcome.
SITE_ELEMENTS = {
    "failed": "failure",
    "error": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
    "rerun": "skipped",
}
MAX_MESSAGE = 1000  # characters of an attribute; the element's text has everything


def render(found: Results, prefix: str = "") -> str:
    """The file. `prefix` stands before each class name, as `pytest --junit-prefix` says.

    A suite that is not complete says so in its name and in its properties, which have the notices.
    """
    run = found.run
    names = [f"hale {run.kind}"]
    notes: list[tuple[str, str]] = []
    if run.state != "finished":
        names.append("INTERRUPTED")
        notes.append(("INTERRUPTED", "cases that no test judged are errors here"))
    if run.incomplete:
        names.append("INCOMPLETE")
        notes += [("INCOMPLETE", reason) for reason in run.incomplete]
    notes += [("NOTICE", sentence(notice)) for notice in found.notices]
    count: Counter[str] = Counter()
    cases = []
    references = references_of(found)
    # As text at once: a tree of a fleet's takes 200 MiB.
    for case in _cases(found, prefix, references):
        count.update(child.tag for child in case)
        cases.append(ElementTree.tostring(case, "unicode"))
    suites = Element("testsuites", {"name": "pytest tests"})
    suite = SubElement(
        suites,
        "testsuite",
        {
            "name": " ".join(names),
            "errors": str(count["error"]),
            "failures": str(count["failure"]),
            "skipped": str(count["skipped"]),
            "tests": str(len(cases)),
            "time": f"{_seconds(run):.3f}",
            "timestamp": escape_lines(run.started),
            "hostname": escape_lines(run.source_host),
        },
    )
    _properties(suite, [*notes, *((name, getattr(run, name)) for name in RUN_PROPERTIES)])
    head, end, tail = ElementTree.tostring(suites, "unicode").rpartition("</testsuite>")
    body = "".join(cases)
    return f'<?xml version="1.0" encoding="utf-8"?>{head}{body}{end}{tail}\n'


def _cases(found: Results, prefix: str, references: References) -> Iterator[Element]:
    for row in found.results:
        yield _row(row, prefix, references.get(row.requirement, ()))
    for check in found.site_checks:
        yield _site_check(check, prefix)


def _row(row: Result, prefix: str, references: Iterable[ReferenceRecord]) -> Element:
    case = _case(row.test, row.duration, prefix)
    named = [(name, str(getattr(row, name))) for name in ROW_PROPERTIES]
    named += [("reference", label(one)) for one in references]
    if row.waiver is not None:
        named += [(f"waiver_{n}", str(getattr(row.waiver, n))) for n in WAIVER_PROPERTIES]
    _properties(case, named)
    element = PRESENTATION[row.verdict].junit
    if row.verdict.failed:
        text = f"{failure_block(row)}\n\n{row.log}" if row.log else failure_block(row)
        _outcome(case, element, row.actual, text)
    elif element:
        waived = row.verdict is Verdict.WAIVED
        _outcome(case, element, row.actual, row.actual, "pytest.xfail" if waived else "pytest.skip")
    return case


def _site_check(check: SiteCheck, prefix: str) -> Element:
    case = _case(check.test, check.duration, prefix)
    if check.properties:
        _properties(case, list(check.properties.items()))
    if element := SITE_ELEMENTS.get(check.outcome, ""):
        kind = {"skipped": "pytest.skip", "xfailed": "pytest.xfail"}.get(check.outcome, "")
        _outcome(case, element, check.message, check.text or check.message, kind)
    return case


def _case(test: str, seconds: float, prefix: str) -> Element:
    """A test case named as pytest does: `checks/test_swap.py::test_runtime[x]`."""
    address, bracket, parameters = test.partition("[")
    path, *names = address.split("::")
    words = [*([prefix] if prefix else []), path.replace("/", ".").removesuffix(".py"), *names]
    name = f"{words.pop()}{bracket}{parameters}"
    return Element(
        "testcase",
        {
            "classname": escape_lines(".".join(words)),
            "name": escape_lines(name),
            "time": f"{seconds:.3f}",
        },
    )


def _properties(of: Element, values: list[tuple[str, str]]) -> None:
    properties = SubElement(of, "properties")
    for name, value in values:
        attributes = {"name": escape_lines(name), "value": escape_lines(value)}
        SubElement(properties, "property", attributes)


def _outcome(case: Element, tag: str, message: str, text: str, kind: str = "") -> None:
    message = escape_lines(message)
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}…"
    element = SubElement(case, tag, {"message": message} | ({"type": kind} if kind else {}))
    element.text = escape_lines(text)


def _seconds(run: Run) -> float:
    """How long the run took; 0.0 where it has no end."""
    try:
        began, ended = (datetime.fromisoformat(t) for t in (run.started, run.ended))
    except ValueError:
        return 0.0
    return (ended - began).total_seconds()
