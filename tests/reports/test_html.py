"""report.html: nothing from outside becomes markup, and it says what results.json says."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.audit import results_file
from hale.model.results import (
    ConfigLineRecord,
    EvidenceExcerpt,
    HostRecord,
    OverrideRecord,
    Result,
    Results,
    RowKey,
    SiteCheck,
)
from hale.model.verdict import Verdict
from hale.report import html
from hale.report.jinja import code_spans
from hale.report.verdicts import PRESENTATION
from tests.reports import factories
from tests.reports.pages import Markup, Page, ids

SCRIPT = "<script>document.title='pwned'</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror="document.title=\'pwned\'">',
    "' onmouseover='document.title=1' x='",
    "</script></style></textarea><svg onload=document.title=1>",
    "{{ 7*7 }}{% raw %}${7*7}",
    "\x1b[31mred\x1b[0m\x1b]0;pwned\x07",
    "evil\u202egnp.exe\u2066\u200b",
    "nul\x00, byte \udcff, \u2028 line",
    "&lt;b&gt; &amp;quot; &#60;",
    "javascript:document.title='pwned'",
)
ALL = " ".join(HOSTILE)
TAGS = """
    html head meta title style body h1 h2 h3 p a div table thead tbody tfoot tr th td template
    span button input script section b i em ul li small sup br code pre
    dl dt dd details summary main nav article form fieldset legend label select option output
    noscript
"""


def hostile(recorded: Results) -> Results:
    """Results in which every text that comes from outside is hostile."""
    text = ALL
    row = Result(
        host=text,
        requirement="SWAP-OFF",
        aspect="runtime",
        verdict=Verdict.FAIL,
        chapter=8,
        title=text,
        subject="swap",
        severity=text,
        profile="document",
        expected=text,
        actual=text,
        test=text,
        overrides=[OverrideRecord(text, [text], {text: text}, text, text)],
        settings=[ConfigLineRecord(text, 3, text, True, 1.0, text)],
        evidence=[EvidenceExcerpt(text, 1, text, text), EvidenceExcerpt(text, None, text, text)],
    )
    values: dict[str, Any] = {
        field.name: text for field in msgspec.structs.fields(HostRecord) if field.type is str
    }
    check = SiteCheck(text, text, text, text, text, 1.0, {text: text})
    down = HostRecord(**values)
    up = HostRecord(**(values | {"down": ""}))
    run = msgspec.structs.replace(
        recorded.run,
        operator=text,
        source_host=text,
        site=text,
        inventory=text,
        git_revision=text,
        command_line=["pytest", *HOSTILE],
        packages={text: text},
        metadata={text: text},
        evidence_from=text,
        incomplete=[text],
        started=text,
        state=text,
    )
    return Results(recorded.schema, run, [down, up], [row], [RowKey(text, text, text)], [check])


def harmless(markup: Markup, scripts: int) -> None:
    """Only tags that we know, and nothing in them that runs or fetches."""
    assert {tag for tag, _ in markup.tags} <= set(TAGS.split())
    assert sum(tag == "script" for tag, _ in markup.tags) == scripts
    for tag, attributes in markup.tags:
        for name, value in attributes.items():
            if name.startswith("on"):
                raise AssertionError((tag, name, value))
            assert name not in ("src", "data", "action", "poster", "srcset", "style"), (tag, value)
            if name == "href":
                assert (value or "").startswith("#"), (tag, value)
    for character in "\x1b\x00\x07\u202e\u2066\u200b\u2028":
        assert character not in markup.text


FOREIGN = """
import pytest

@pytest.mark.parametrize("x", {values!r})
def test_site(x, extras, record_property):
    extras.append({{"name": x, "content": x, "format_type": "url", "mime_type": None,
                    "extension": None}})
    record_property(x, x)
    print(x)
    raise ValueError(x)
"""


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of hostile results and of a site's own hostile tests."""
    folder = tmp_path_factory.mktemp("nasty")
    (folder / "test_of_the_site.py").write_text(FOREIGN.format(values=list(HOSTILE[:7])))
    (folder / "test_broken.py").write_text(f"raise ValueError({SCRIPT!r})")
    found = hostile(results_file.load_results(factories.DATA / "results.json"))
    with pytest.MonkeyPatch.context() as patch:
        return factories.page(found, folder, patch, "--continue-on-collection-errors")


def test_nothing_hostile_becomes_markup(nasty: str) -> None:
    page = Markup(nasty)
    harmless(page, scripts=2)
    assert len(page.tags) > 300


def test_the_scripts_data_end_nowhere_and_drive_nothing(nasty: str) -> None:
    """`</script` and `<!--` end or change a script element; control characters stay visible."""
    (block,) = re.findall(r'id="data">(.*?)</script>', nasty, re.DOTALL)
    assert "<" not in block
    assert block.isprintable()


def test_hostile_text_is_there_to_be_read(nasty: str) -> None:
    observed = Markup(nasty).text
    (row,) = Page(nasty).rows
    for text in HOSTILE[:5]:
        assert text in observed
        for name in ("host", "actual", "expected", "title", "aspect"):
            assert text in row[name] or name == "aspect"
    assert "\\x1b[31mred" in observed
    assert "evil\\u202egnp.exe" in observed
    assert "\\udcff" in observed


def test_what_a_site_adds_is_in_the_table(nasty: str) -> None:
    page = Page(nasty)
    assert len(page.rows) == 1
    assert len(page.site_checks) == 8
    for check in page.site_checks:
        assert check["outcome"] in ("failed", "error")
    for check in page.site_checks:  # and, as they failed, above it
        first = check["message"].partition("\n")[0]
        assert first in Markup(nasty).text


def test_nothing_is_fetched(nasty: str) -> None:
    style = "".join(re.findall(r"<style.*?</style>", nasty, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"<link|<base|<iframe|<meta[^>]*refresh", nasty)


def test_what_a_sites_check_printed_is_in_its_details(nasty: str) -> None:
    for check in (c for c in Page(nasty).site_checks if c["outcome"] == "failed"):
        assert "Captured stdout call" in check["output"]
        assert "raise ValueError(x)" in check["text"]
        assert any(" = " in one for one in check["properties"])


# --- what it says ---


@pytest.fixture
def shown(recorded: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return factories.page(recorded, tmp_path, monkeypatch)


def test_rows_are_those_of_the_results(recorded: Results, shown: str) -> None:
    reported = {row["id"]: row for row in Page(shown).rows}
    assert len(reported) == len(recorded.results)
    for row in recorded.results:
        entry = reported[f"{row.host}/{row.requirement}/{row.aspect}"]
        for name in ("verdict", "title", "severity", "expected", "actual"):
            assert entry[name] == getattr(row, name)
        assert entry["proven"] == row.reboot_proven
        assert entry["settings"] == [
            (f"{s.path}:{s.line}", s.text, s.wins, s.note) for s in row.settings
        ]
        assert entry["evidence"] == [
            [e.probe, e.exit_status, e.output, e.read_at] for e in row.evidence
        ]
        assert len(entry["overrides"]) == len(row.overrides)


def test_the_pages_counts_are_those_of_the_results(recorded: Results, shown: str) -> None:
    text = " ".join(Markup(shown).text.split())
    for verdict in Verdict:
        count = sum(r.verdict is verdict for r in recorded.results)
        assert (f"{PRESENTATION[verdict].sign} {count} {verdict}" in text) == bool(count)
    failed = [r.severity for r in recorded.results if r.verdict.failed]
    for severity in set(failed):
        assert f"{failed.count(severity)} {severity}" in text


def test_red_rows_come_first(shown: str) -> None:
    order = [row["verdict"] for row in Page(shown).rows]
    assert order == sorted(order, key=["FAIL", "UNKNOWN", "WAIVED", "PASS", "N-A"].index)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("run `invoke fix` now", ["invoke fix"]),
        ("`a` and `b`", ["a", "b"]),
        ("a lone ` of a host", []),
        ("`a` and a lone `", []),
        ("", []),
    ],
)
def test_what_stands_in_backticks_is_code(text: str, code: list[str]) -> None:
    spans = code_spans(text)
    assert [part for part, is_code in spans if is_code] == code
    assert "".join(part for part, _ in spans).replace("`", "") == text.replace("`", "")


def test_every_cell_of_the_matrix_has_its_sign_and_leads_to_its_row(
    recorded: Results, shown: str
) -> None:
    links = re.findall(r'<a class="([\w-]+)" href="#([^"]+)" title="[^"]*">(.)', shown)
    assert len(links) == len(recorded.results)
    verdicts = {row["id"]: row["verdict"] for row in Page(shown).rows}
    for name, anchor, sign in links:
        assert verdicts[anchor] == name
        assert sign == {"PASS": "✓", "FAIL": "✗", "UNKNOWN": "?", "N-A": "-"}[name]


def test_unknown_is_not_shown_as_passed(recorded: Results, shown: str) -> None:
    unknown = [row for row in recorded.results if row.verdict is Verdict.UNKNOWN]
    shown_so = [row for row in Page(shown).rows if row["verdict"] == "UNKNOWN"]
    assert len(unknown) == len(shown_so) > 0
    only = msgspec.structs.replace(
        recorded, results=[r for r in recorded.results if r.verdict in ("PASS", "UNKNOWN")]
    )
    assert html.verdict(only) == "not proven"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({}, []),
        ({"incomplete": ["hosts left out: a"]}, ["INCOMPLETE", "hosts left out: a"]),
        ({"down": "a: no route"}, ["INCOMPLETE", "1 host not reached: k8s-node-02: a: no route"]),
        ({"state": "interrupted"}, ["INTERRUPTED"]),
        ({"evidence_from": "x.json"}, ["SAVED EVIDENCE", "x.json"]),
    ],
)
def test_what_must_not_be_overlooked(
    recorded: Results, run: dict[str, Any], words: list[str]
) -> None:
    for host in recorded.hosts:
        host.down = run.get("down", "") if host.down else ""
    run = {name: value for name, value in run.items() if name != "down"}
    found = msgspec.structs.replace(recorded, run=msgspec.structs.replace(recorded.run, **run))
    page = html.render(found)
    text = Markup(page).text
    (title,) = re.findall(r"<title>(.*)</title>", page)
    for word in ("INCOMPLETE", "INTERRUPTED", "SAVED EVIDENCE", *words):
        assert (word in text) == (word in words)
        if word in ("INCOMPLETE", "INTERRUPTED"):
            assert (word in title) == (word in words)


def test_no_green_word_for_a_run_that_lacks_something(recorded: Results) -> None:
    passed = [r for r in recorded.results if r.verdict is Verdict.PASS]
    of_good = msgspec.structs.replace(recorded.run, exit_status=0)
    good = msgspec.structs.replace(recorded, results=passed, run=of_good)
    assert html.verdict(good) == "compliant"
    assert 'class="banner good"' in html.render(good)
    for change in ({"incomplete": ["x"]}, {"state": "interrupted"}):
        run = msgspec.structs.replace(of_good, **change)
        assert html.verdict(msgspec.structs.replace(good, run=run)) != "compliant"
    words = ("exit status 1", "1 other test failed", "2 other tests failed")
    for others, expected in enumerate(words):
        run = msgspec.structs.replace(of_good, exit_status=1, other_tests_failed=others)
        other = msgspec.structs.replace(good, run=run)
        assert html.verdict(other) == expected
        assert 'class="banner bad"' in html.render(other)
    nothing = msgspec.structs.replace(recorded, results=[])
    assert html.verdict(nothing) == "nothing was judged"
    assert 'class="banner bad"' in html.render(nothing)


def test_identity_of_run_and_hosts(recorded: Results, shown: str) -> None:
    text = Markup(shown).text
    run = recorded.run
    for word in (run.operator, run.source_host, run.git_revision, run.site, run.inventory_sha256):
        assert word in text
    for word in (run.standard_sha256, run.overrides_sha256, "--hosts=all", *run.packages.values()):
        assert word in text
    for host in recorded.hosts:
        for word in (host.address, host.host_key, host.machine_id, host.boot_id, host.os):
            assert word in text


def test_overrides_are_shown_as_overrides(recorded: Results) -> None:
    (one,) = html.overrides(recorded)
    assert one.requirement == "OS-RELEASE"
    assert one.hosts == "k8s-master-[01-03], k8s-node-[01,02]"
    text = Markup(html.render(recorded)).text
    assert "CentOS Stream 8" in text
    assert "Debian GNU/Linux 12" in text


# --- from the command line ---


def test_the_page_of_a_run_is_made_of_its_results(complete: factories.Audited) -> None:
    page = complete.text("report.html")
    assert len(ids(page)) == len(complete.results.results)
    harmless(Markup(page), scripts=2)
    assert "SAVED EVIDENCE" in page


def test_with_xdist_it_is_the_same(
    complete: factories.Audited, distributed: factories.Audited
) -> None:
    one, other = (Page(run.text("report.html")) for run in (distributed, complete))
    assert one.rows == other.rows  # all but the milliseconds
    assert one.data["texts"] == other.data["texts"]


def test_every_text_stands_in_the_data_once(recorded: Results, shown: str) -> None:
    page = Page(shown)
    assert len(page.data["texts"]) == len(set(page.data["texts"]))
    every = [reading for row in recorded.results for reading in row.evidence]
    assert len(page.data["evidence"]) == len(set(every)) < len(every)
