"""Report formats: each is made of results.json alone, and hostile text stays text in it."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from hale.audit import results_file
from hale.model.results import Results, SiteCheck
from hale.model.verdict import Verdict
from hale.report import formats
from hale.report.csv_table import COLUMNS
from hale.report.verdicts import PRESENTATION
from tests.reports import factories
from tests.reports.test_html import HOSTILE, hostile


def test_every_format_is_documented() -> None:
    text = (factories.ROOT / "docs" / "results.md").read_text()
    assert [name for name in formats.FORMATS if f"| `{name}` |" not in text] == []
    helped = " ".join(invoke("--help").stdout.split())
    assert [name for name in formats.FORMATS if not re.search(rf"\b{name}\b", helped)] == []


def test_an_audit_loads_only_the_formats_that_it_writes() -> None:
    code = "import sys, hale.pytest_plugin.plugin, hale.report.audits; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=factories.ROOT, check=True, capture_output=True, text=True
    )
    renderers = {render.__module__ for render in formats.FORMATS.values()} - {formats.__name__}
    loaded = renderers.intersection(done.stdout.split())
    assert loaded == {"hale.report.html", "hale.report.junit"}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_any_results_can_be_reported(recorded: Results, name: str) -> None:
    """Also those with hostile text, without rows, and of a run that has no end."""
    nothing = msgspec.structs.replace(recorded, results=[], hosts=[])
    for found in recorded, hostile(recorded), nothing:
        assert formats.encode(formats.FORMATS[name](found)).decode()


def test_the_files_of_a_run_are_those_of_its_results(complete: factories.Audited) -> None:
    for name, file in ("html", "report.html"), ("junit", "junit.xml"), ("json", "results.json"):
        assert formats.FORMATS[name](complete.results) == complete.text(file)


def test_every_verdict_has_its_presentation() -> None:
    assert set(PRESENTATION) == set(Verdict)


# --- csv ---


def lines(found: Results) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(formats.FORMATS["csv"](found), newline="")))


def test_csv_has_a_line_for_each_row(recorded: Results) -> None:
    table = lines(recorded)
    assert list(table[0]) == list(COLUMNS)
    assert len(table) == len(recorded.results)
    for line, row in zip(table, recorded.results, strict=True):
        assert line["verdict"] == row.verdict
        assert line["chapter"] == str(row.chapter)
        assert line["actual"].removeprefix("'") == row.actual


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", *HOSTILE]
)
def test_csv_holds_no_formula_and_no_control_character(recorded: Results, text: str) -> None:
    row = recorded.results[0]
    row.actual = row.host = row.title = text
    (line,) = lines(msgspec.structs.replace(recorded, results=[row]))
    for cell in line.values():
        assert cell.isprintable()
        assert not re.match(r"\s*[=+\-@]", cell)


# --- junit ---


def cases(found: Results) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(formats.FORMATS["junit"](found)).iter("testcase"))


def test_junit_of_hostile_results_is_xml(recorded: Results) -> None:
    row, check = cases(hostile(recorded))
    for case in row, check:
        for element in case.iter():
            text = "".join([element.text or "", *element.attrib.values()])
            assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    assert row.find("failure") is not None


@pytest.mark.parametrize(
    ("outcome", "tags"),
    [
        ("passed", []),
        ("xpassed", []),
        ("failed", ["failure"]),
        ("error", ["error"]),
        ("skipped", ["skipped"]),
        ("xfailed", ["skipped"]),
    ],
)
def test_junit_has_a_sites_checks(recorded: Results, outcome: str, tags: list[str]) -> None:
    check = SiteCheck("checks/site/test_x.py::TestIt::test_y[a/b.py::c]", outcome, "why", "all")
    (case,) = cases(msgspec.structs.replace(recorded, results=[], site_checks=[check]))
    assert case.attrib["classname"] == "checks.site.test_x.TestIt"
    assert case.attrib["name"] == "test_y[a/b.py::c]"
    assert [child.tag for child in case] == tags
    for child in case:
        assert (child.get("message"), child.text) == ("why", "all")


def test_junit_has_the_traceback_of_an_error(recorded: Results) -> None:
    row = next(r for r in recorded.results if r.verdict is Verdict.UNKNOWN)
    row.log = "Traceback: oops"
    (case,) = cases(msgspec.structs.replace(recorded, results=[row]))
    error = case.find("error")
    assert error is not None
    assert error.text is not None
    assert row.actual in error.text
    assert error.text.endswith("\n\nTraceback: oops")


def test_junit_prefix(tmp_path: Path) -> None:
    ran = factories.audit(tmp_path, "-k", "SYS-IP-FORWARD", "--junit-prefix=site.lab")
    case = next(ElementTree.parse(ran.folder / "junit.xml").iter("testcase"))
    assert case.attrib["classname"] == "site.lab.checks.test_sysctl"


def test_what_the_operator_notes_is_kept(tmp_path: Path) -> None:
    ran = factories.audit(tmp_path, "-k", "SYS-IP-FORWARD", "--metadata", "change", "<b>CHG-1")
    assert ran.results.run.metadata == {"change": "<b>CHG-1"}
    assert "<tr><th>change</th><td>&lt;b&gt;CHG-1</td></tr>" in ran.text("report.html")


# --- invoke report ---


def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "report", *arguments],
        cwd=factories.ROOT,
        env=factories.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", formats.FORMATS)
def test_an_old_run_is_reported_again(recorded: Results, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "2026-11-23T162800Z-audit"
    folder.mkdir()
    results_file.save_results(recorded, folder / "results.json")
    done = invoke(folder.name, f"--format={name}", f"--reports={tmp_path}")
    assert done.returncode == 0, done.stderr
    # Text mode has made one newline of CRLF.
    assert done.stdout == formats.FORMATS[name](recorded).replace("\r\n", "\n")
    out = tmp_path / "out"
    done = invoke(str(folder), f"--format={name}", f"--out={out}")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert out.read_bytes() == formats.encode(formats.FORMATS[name](recorded))


def test_json_is_the_file(recorded: Results) -> None:
    raw = formats.FORMATS["json"](recorded).encode()
    assert results_file.parse_results(raw, Path("x")) == recorded


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nope", "--format=csv"), "report: no run nope in {0}"),
        (("run", "--format=cvs"), "report: no format 'cvs'. Did you mean csv?"),
        (("run", "--format=csv"), "{0}/run/results.json: cannot read the results"),
    ],
)
def test_what_cannot_be_reported(tmp_path: Path, arguments: tuple[str, ...], error: str) -> None:
    (tmp_path / "run").mkdir()
    done = invoke(*arguments, f"--reports={tmp_path}")
    assert done.returncode == 1
    assert error.format(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written(recorded: Results, tmp_path: Path) -> None:
    results_file.save_results(recorded, tmp_path / "results.json")
    done = invoke(str(tmp_path), "--format=csv", "--out=/proc/nope/x")
    assert done.returncode == 1
    assert done.stderr == "report: /proc/nope/x: cannot be written: No such file or directory.\n"
